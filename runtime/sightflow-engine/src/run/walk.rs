//! The walk: nodes start when everything that they wait for has settled.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value, json};
use sightflow_expressions::reference::{Resolved, Root, TemplateError};
use sightflow_types::definition::OnError;
use sightflow_types::error::{RunError, code};
use sightflow_types::manifest::PortKind;
use sightflow_types::{ExecutionId, NodeStatus, Problem, event};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::record::NodeRecord;
use super::values::{Cell, Scope};
use super::{End, RunOutcome, RunParts, RunRequest, model, native, outputs, values};
use crate::catalog::EngineKind;
use crate::host::{CallContext, CallError};
use crate::images::{self, ImageTable};
use crate::input::{ImageSource, RunInput};
use crate::plan::{Feed, Plan, PlanInput, Wire};

/// What a node delivers.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) outputs: Vec<(String, Cell)>,
    pub(super) job_ids: Vec<sightflow_types::JobId>,
    pub(super) queue_ms: Option<u64>,
    pub(super) attempts: u32,
}

/// Why a node did not deliver, and after how many attempts.
#[derive(Debug)]
pub(super) struct NodeFailure {
    pub(super) error: RunError,
    pub(super) attempts: u32,
    pub(super) job_ids: Vec<sightflow_types::JobId>,
}

impl From<RunError> for NodeFailure {
    fn from(error: RunError) -> Self {
        Self { error, attempts: 1, job_ids: Vec::new() }
    }
}

/// Everything that one node's work needs, owned.
pub(super) struct Task {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) parts: RunParts,
    pub(super) table: Arc<ImageTable>,
    pub(super) run: Arc<RunInput>,
    pub(super) inputs: Vec<(Arc<str>, Cell)>,
    pub(super) config: Arc<Map<String, Value>>,
    pub(super) config_text: Option<Arc<str>>,
    pub(super) execution_id: Option<ExecutionId>,
    pub(super) cancel: CancellationToken,
}

/// A node's resolved configuration and, where nothing in it changed, its JSON text.
type Resolution = (Arc<Map<String, Value>>, Option<Arc<str>>);
type Running = FuturesUnordered<BoxFuture<'static, (usize, Result<Delivered, NodeFailure>)>>;

struct Walk {
    parts: RunParts,
    plan: Arc<Plan>,
    run: Arc<RunInput>,
    inputs: HashMap<String, Value>,
    parameters: Map<String, Value>,
    table: Arc<ImageTable>,
    records: Vec<NodeRecord>,
    /// Unsettled dependencies by node.
    waits: Vec<usize>,
    ready: VecDeque<usize>,
    running: Running,
    execution_id: Option<ExecutionId>,
    context: Value,
    cancel: CancellationToken,
    failure: Option<RunError>,
}

/// Runs a plan to its end, or until it is stopped.
pub async fn run_plan(parts: &RunParts, request: RunRequest) -> RunOutcome {
    let RunRequest { plan, input, execution_id, context, cancel, deadline } = request;
    let node_count = plan.nodes.len();
    let mut walk = Walk {
        parts: parts.clone(),
        waits: plan.nodes.iter().map(|node| node.depends_on.len()).collect(),
        ready: (0..node_count).filter(|&index| plan.nodes[index].depends_on.is_empty()).collect(),
        records: (0..node_count).map(|_| NodeRecord::default()).collect(),
        inputs: HashMap::new(),
        parameters: input.parameters.clone(),
        run: Arc::new(input),
        plan,
        table: Arc::new(ImageTable::default()),
        running: FuturesUnordered::new(),
        execution_id,
        context,
        // Calls stop with the run, whatever ends it.
        cancel: cancel.child_token(),
        failure: None,
    };
    let guard = walk.cancel.clone().drop_guard();
    let end = walk.drive(&cancel, deadline).await;
    drop(guard);
    walk.conclude(end).await
}

impl Walk {
    async fn drive(&mut self, cancel: &CancellationToken, deadline: Option<Instant>) -> End {
        let cancelled = cancel.cancelled();
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(cancelled, timeout);
        let late = || End::Failed(RunError::new(code::TIMEOUT, "the execution ran out of time (`timeout_seconds`)"));
        tokio::select! {
            biased;
            () = &mut cancelled => return End::Stopped,
            () = &mut timeout => return late(),
            imported = self.import_inputs() => if let Err(error) = imported { return End::Failed(error) },
        }
        loop {
            while let Some(index) = self.ready.pop_front() {
                self.start(index);
                if let Some(failure) = self.failure.take() {
                    return End::Failed(failure);
                }
            }
            // Once for all that settled and started: what is said to run does.
            if self.parts.observer.listens() {
                self.parts.observer.progress(self.progress());
            }
            if self.running.is_empty() {
                return End::Completed;
            }
            let (index, result) = tokio::select! {
                biased;
                () = &mut cancelled => return End::Stopped,
                () = &mut timeout => return late(),
                Some(done) = self.running.next() => done,
            };
            match result {
                Ok(delivered) => self.completed(index, delivered),
                Err(failure) => self.failed(index, failure),
            }
            if let Some(failure) = self.failure.take() {
                return End::Failed(failure);
            }
        }
    }

    /// Makes the run's own values available to expressions, with images opened where one is named.
    async fn import_inputs(&mut self) -> Result<(), RunError> {
        let config_roots =
            self.plan.nodes.iter().flat_map(|node| node.config.dynamic.iter().flat_map(|(_, value)| value.roots()));
        let input_roots = self.plan.nodes.iter().flat_map(|node| &node.inputs).flat_map(|input| match &input.feed {
            Feed::Value(value) => value.roots(),
            _ => Vec::new(),
        });
        let output_roots = self.plan.outputs.iter().map(|output| &output.source.root);
        let named: Vec<String> = config_roots
            .chain(input_roots)
            .chain(output_roots)
            .filter_map(|root| match root {
                Root::Input(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        let io = Arc::clone(&self.parts.images);
        for name in named {
            if self.inputs.contains_key(&name) {
                continue;
            }
            let value = match (self.run.values.get(&name), name.as_str(), &self.run.image) {
                (Some(value), _, _) => Some(value.clone()),
                (None, "image", Some(source @ ImageSource::Reference(_))) => Some(source.to_value()),
                (None, "image_url", Some(ImageSource::Url(url))) => Some(Value::String(url.clone())),
                (None, _, _) => self.run.images.get(&name).and_then(|source| match source {
                    ImageSource::Reference(_) => Some(source.to_value()),
                    ImageSource::Url(url) => Some(Value::String(url.clone())),
                    ImageSource::Base64(_) => None,
                }),
            };
            if let Some(mut value) = value {
                images::import(&mut value, &self.table, io.as_ref()).await?;
                self.inputs.insert(name, value);
            }
        }
        for value in self.parameters.values_mut() {
            if images::holds_image(value) {
                images::import(value, &self.table, io.as_ref()).await?;
            }
        }
        Ok(())
    }

    fn scope(&self) -> Scope<'_> {
        Scope { plan: &self.plan, records: &self.records, inputs: &self.inputs, parameters: &self.parameters }
    }

    fn start(&mut self, index: usize) {
        self.records[index].started = Some(Instant::now());
        match self.prepare(index) {
            Ok(Prepared::Skip(reason)) => self.skipped(index, reason),
            Err(error) => self.failed(index, NodeFailure::from(error)),
            Ok(Prepared::Run(task)) => {
                let record = &mut self.records[index];
                record.status = NodeStatus::Running;
                if self.parts.observer.listens() {
                    let id = &*self.plan.nodes[index].id;
                    self.parts.observer.event(event::NODE_STARTED, json!({"node_id": id}));
                    self.parts.observer.node(id, self.records[index].metrics(&self.plan.nodes[index].entry.block_type));
                }
                self.running.push(Box::pin(async move { (index, task.run().await) }));
            }
        }
    }

    fn prepare(&self, index: usize) -> Result<Prepared, RunError> {
        let node = &self.plan.nodes[index];
        let scope = self.scope();
        let mut inputs: Vec<(Arc<str>, Cell)> = Vec::with_capacity(node.inputs.len());
        let (mut edges, mut present) = (0usize, 0usize);
        let mut missing = None;
        for input in &node.inputs {
            let record = node.entry.schema.takes_record(&input.port);
            let cell = self.gather(input, &scope, record, &mut edges, &mut present)?;
            match cell {
                Some(cell) if cell.value.is_null() && input.required => {
                    return Err(RunError::new(
                        code::BAD_INPUT,
                        format!("the required input `{}` is null ({})", input.port, source_of(&self.plan, input)),
                    ));
                }
                // On an optional port null is absent.
                Some(cell) if cell.value.is_null() => {}
                Some(cell) => inputs.push((Arc::clone(&input.port), cell)),
                None if input.required => {
                    missing.get_or_insert_with(|| {
                        format!("the required input `{}` is absent: {}", input.port, source_of(&self.plan, input))
                    });
                }
                None => {}
            }
        }
        if let Some(reason) = missing {
            return Ok(Prepared::Skip(reason));
        }
        if edges > 0 && present == 0 {
            return Ok(Prepared::Skip("nothing arrived on any of its edges".to_owned()));
        }
        let (config, config_text) = self.config(index, &scope)?;
        Ok(Prepared::Run(Task {
            plan: Arc::clone(&self.plan),
            index,
            parts: self.parts.clone(),
            table: Arc::clone(&self.table),
            run: Arc::clone(&self.run),
            inputs,
            config,
            config_text,
            execution_id: self.execution_id,
            cancel: self.cancel.clone(),
        }))
    }

    /// The value of an input port; counts its edges and those that delivered.
    fn gather(
        &self,
        input: &PlanInput,
        scope: &Scope<'_>,
        record: bool,
        edges: &mut usize,
        present: &mut usize,
    ) -> Result<Option<Cell>, RunError> {
        let mut arrives = |wire: &Wire| {
            *edges += 1;
            let source = &self.records[wire.node];
            let open = wire.gate.as_ref().is_none_or(|gate| source.output(gate).is_some());
            let cell = source.output(&wire.port).filter(|_| open).map(|cell| wrap(cell, wire.wraps));
            *present += usize::from(cell.is_some());
            cell
        };
        match &input.feed {
            Feed::First(wires) => Ok(wires.iter().filter_map(&mut arrives).next()),
            Feed::Many(wires) if record => {
                let found: Vec<(&Wire, Cell)> = wires.iter().filter_map(|wire| Some((wire, arrives(wire)?))).collect();
                Ok(match found.as_slice() {
                    [] => None,
                    [(_, only)] if wires.len() == 1 => Some(only.clone()),
                    _ => Some(by_source(&self.plan, wires, found)),
                })
            }
            Feed::Many(wires) => {
                let cells: Vec<Cell> = wires.iter().filter_map(&mut arrives).collect();
                if cells.is_empty() {
                    return Ok(None);
                }
                let images = cells.iter().any(|cell| cell.images);
                let list = cells.into_iter().map(|cell| Arc::unwrap_or_clone(cell.value)).collect();
                Ok(Some(Cell { value: Arc::new(Value::Array(list)), images }))
            }
            Feed::Value(dynamic) => {
                if let Some((node, port)) = dynamic.as_port() {
                    return Ok(scope.port(node, port).map(|cell| wrap(cell, input.wraps)));
                }
                match dynamic.evaluate(scope).map_err(template_error)? {
                    Resolved::Value(value) => Ok(Some(Cell::new(value))),
                    Resolved::Absent => Ok(None),
                }
            }
        }
    }

    /// The node's configuration with templates resolved, canonical and validated again.
    fn config(&self, index: usize, scope: &Scope<'_>) -> Result<Resolution, RunError> {
        let node = &self.plan.nodes[index];
        let schema = &node.entry.schema;
        let params = schema.wants_params && !self.parameters.is_empty();
        let context = schema.wants_context && !self.context.is_null();
        if node.config.dynamic.is_empty() && !params && !context {
            return Ok((Arc::clone(&node.config.fixed), node.config.text.clone()));
        }
        let mut config = (*node.config.fixed).clone();
        for (key, dynamic) in &node.config.dynamic {
            match dynamic.evaluate(scope).map_err(template_error)? {
                Resolved::Value(value) => {
                    config.insert(key.clone(), value);
                }
                Resolved::Absent => {}
            }
        }
        let mut canonical = node.entry.schema.canonical_keys(config);
        node.entry.schema.finish(&mut canonical, &[]);
        let broken: Vec<&Problem> =
            canonical.problems.iter().filter(|problem| problem.code.starts_with("E-")).collect();
        if let Some(first) = broken.first() {
            let mut error = RunError::new(code::BAD_CONFIG, format!("after its templates resolved: {}", first.message));
            error.cause = broken.iter().skip(1).map(|problem| problem.message.clone()).collect();
            return Err(error);
        }
        // Beside the configuration, not part of it: the schema does not know these keys.
        let mut sent = canonical.config.clone();
        if params {
            sent.insert("$params".to_owned(), Value::Object(self.parameters.clone()));
        }
        if context {
            sent.insert("$context".to_owned(), self.context.clone());
        }
        let text = Value::Object(sent).to_string();
        Ok((Arc::new(canonical.config), Some(Arc::from(text))))
    }

    fn completed(&mut self, index: usize, delivered: Delivered) {
        let record = &mut self.records[index];
        record.status = NodeStatus::Completed;
        record.outputs = delivered.outputs;
        record.job_ids = delivered.job_ids;
        record.queue_ms = delivered.queue_ms;
        record.attempts = delivered.attempts;
        record.duration = record.started.map(|started| started.elapsed());
        if self.parts.observer.listens() {
            let record = &self.records[index];
            let payload = json!({
                "node_id": &*self.plan.nodes[index].id,
                "item": null,
                "duration_ms": record.duration.map(|duration| duration.as_millis() as u64),
                "outputs_summary": record.summary(),
            });
            self.parts.observer.event(event::NODE_COMPLETED, payload);
        }
        self.settled(index);
    }

    fn skipped(&mut self, index: usize, reason: String) {
        if self.parts.observer.listens() {
            self.parts
                .observer
                .event(event::NODE_SKIPPED, json!({"node_id": &*self.plan.nodes[index].id, "reason": reason}));
        }
        let record = &mut self.records[index];
        record.status = NodeStatus::Skipped;
        record.skip_reason = Some(reason);
        self.settled(index);
    }

    fn failed(&mut self, index: usize, failure: NodeFailure) {
        let node = &self.plan.nodes[index];
        let error = failure.error.at_node(&*node.id);
        let record = &mut self.records[index];
        record.status = NodeStatus::Failed;
        record.duration = record.started.map(|started| started.elapsed());
        record.attempts = failure.attempts;
        record.job_ids = failure.job_ids;
        record.error = Some(error.clone());
        if self.parts.observer.listens() {
            let continues = node.on_error == OnError::Continue;
            self.parts
                .observer
                .event(event::NODE_FAILED, json!({"node_id": &*node.id, "error": error, "continues": continues}));
        }
        if node.on_error == OnError::Fail {
            self.failure = Some(error);
        }
        self.settled(index);
    }

    fn settled(&mut self, index: usize) {
        let plan = Arc::clone(&self.plan);
        for &dependent in &plan.nodes[index].dependents {
            self.waits[dependent] -= 1;
            if self.waits[dependent] == 0 {
                self.ready.push_back(dependent);
            }
        }
        if self.parts.observer.listens() {
            self.parts
                .observer
                .node(&plan.nodes[index].id, self.records[index].metrics(&plan.nodes[index].entry.block_type));
        }
    }

    fn progress(&self) -> Value {
        let total = self.records.len();
        let done = self.records.iter().filter(|record| record.settled()).count();
        let running =
            self.plan.nodes.iter().zip(&self.records).filter(|(_, record)| record.status == NodeStatus::Running);
        let running: Vec<&str> = running.map(|(node, _)| &*node.id).collect();
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        json!({"percent": percent, "completed_nodes": done, "total_nodes": total, "running": running})
    }

    async fn conclude(mut self, end: End) -> RunOutcome {
        self.running.clear();
        for record in self.records.iter_mut().filter(|record| !record.settled()) {
            if record.status == NodeStatus::Running {
                record.duration = record.started.map(|started| started.elapsed());
            }
            record.status = NodeStatus::Cancelled;
        }
        let node_metrics = self.plan.nodes.iter().zip(&self.records);
        let node_metrics =
            node_metrics.map(|(node, record)| (node.id.to_string(), record.metrics(&node.entry.block_type))).collect();
        let mut outcome = RunOutcome {
            end,
            outputs: Value::Object(Map::new()),
            node_metrics: Value::Object(node_metrics),
            progress: self.progress(),
            output_blobs: Vec::new(),
        };
        if outcome.end != End::Stopped {
            let (outputs, blobs, trouble) =
                outputs::assemble(&self.scope(), &self.table, self.parts.images.as_ref()).await;
            outcome.outputs = outputs;
            outcome.output_blobs = blobs;
            if let (End::Completed, Some(error)) = (&outcome.end, trouble) {
                outcome.end = End::Failed(error);
            }
        }
        outcome
    }
}

enum Prepared {
    Run(Task),
    Skip(String),
}

impl Task {
    async fn run(mut self) -> Result<Delivered, NodeFailure> {
        self.open_images().await?;
        let node = &self.plan.nodes[self.index];
        // A finished job answers from its row, so a model node has nothing to repeat: its jobs have their own attempts.
        let retries = if node.entry.engine == EngineKind::Model { 0 } else { node.retries };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let once = self.once();
            let result = match node.timeout {
                Some(limit) => match tokio::time::timeout(limit, once).await {
                    Ok(result) => result,
                    Err(_) => {
                        let message = format!("the node ran longer than its `timeout_ms` of {}", limit.as_millis());
                        Err(NodeFailure::from(RunError::new(code::TIMEOUT, message)))
                    }
                },
                None => once.await,
            };
            match result {
                Ok(delivered) => {
                    return Ok(Delivered { attempts: attempt.max(delivered.attempts), ..delivered });
                }
                Err(failure) if attempt > retries || !repeatable(&failure.error) => {
                    return Err(NodeFailure { attempts: attempt.max(failure.attempts), ..failure });
                }
                Err(_) => tokio::time::sleep(node.backoff.saturating_mul(1 << (attempt - 1).min(10))).await,
            }
        }
    }

    /// Stored images that a definition names in `inputs` get a handle of this run.
    async fn open_images(&mut self) -> Result<(), RunError> {
        let ports = &self.plan.nodes[self.index].entry.manifest.inputs;
        for (name, cell) in &mut self.inputs {
            let is_image = ports.iter().any(|port| port.name == **name && port.kind == PortKind::Image);
            let foreign = is_image && images::is_reference(&cell.value);
            let named = cell.images && images::holds_reference(&cell.value);
            if !foreign && !named {
                continue;
            }
            let mut value = match &*cell.value {
                digest @ Value::String(_) => json!({sightflow_types::IMAGE_KEY: digest}),
                other => other.clone(),
            };
            images::import(&mut value, &self.table, self.parts.images.as_ref()).await?;
            *cell = Cell { value: Arc::new(value), images: true };
        }
        Ok(())
    }

    async fn once(&self) -> Result<Delivered, NodeFailure> {
        let node = &self.plan.nodes[self.index];
        match node.entry.engine {
            EngineKind::Component => {
                let payload = values::payload(&self.inputs, &self.table).map_err(call_error)?;
                let answer = self
                    .call(&node.entry.block, self.config_text.as_deref().unwrap_or("{}"), payload)
                    .await
                    .map_err(call_error)?;
                let outputs = values::outputs(&answer, &self.table).map_err(call_error)?;
                Ok(Delivered { outputs, attempts: 1, ..Delivered::default() })
            }
            EngineKind::Native if node.entry.manifest.name == "image_input" => Ok(native::image_input(self).await?),
            EngineKind::Native => Ok(native::parameter_input(self)),
            EngineKind::Model => model::run(self).await,
        }
    }

    /// One call of a component on behalf of this node.
    pub(super) async fn call(
        &self,
        block: &crate::host::BlockRef,
        config: &str,
        payload: crate::host::Payload,
    ) -> Result<crate::host::Payload, CallError> {
        let node = &self.plan.nodes[self.index];
        let context = CallContext {
            execution_id: self.execution_id,
            node_id: node.id.to_string(),
            timeout: node.timeout,
            cancel: self.cancel.clone(),
        };
        self.parts.host.call(block, config, payload, context).await
    }

    pub(super) fn input(&self, port: &str) -> Option<&Cell> {
        self.inputs.iter().find(|(name, _)| &**name == port).map(|(_, cell)| cell)
    }
}

fn repeatable(error: &RunError) -> bool {
    ![code::BAD_INPUT, code::BAD_CONFIG, code::REFERENCE, code::EXPRESSION, code::CANCELLED, code::URL_NOT_ALLOWED]
        .contains(&error.code.as_str())
}

pub(super) fn call_error(error: CallError) -> RunError {
    let mut run = RunError::new(&error.code, error.message);
    run.cause = error.cause;
    run
}

fn template_error(error: TemplateError) -> RunError {
    RunError::new(error.code, error.message)
}

fn wrap(cell: &Cell, wraps: bool) -> Cell {
    if wraps && cell.value.is_object() {
        return Cell { value: Arc::new(Value::Array(vec![(*cell.value).clone()])), images: cell.images };
    }
    cell.clone()
}

/// `{source node: value}`, or `<node>.<port>` for a node that is wired more than once.
fn by_source(plan: &Plan, wires: &[Wire], found: Vec<(&Wire, Cell)>) -> Cell {
    let images = found.iter().any(|(_, cell)| cell.images);
    let record = found.into_iter().map(|(wire, cell)| {
        let id = &plan.nodes[wire.node].id;
        let alone = wires.iter().filter(|other| other.node == wire.node).count() == 1;
        let key = if alone { id.to_string() } else { format!("{id}.{}", wire.port) };
        (key, Arc::unwrap_or_clone(cell.value))
    });
    Cell { value: Arc::new(Value::Object(record.collect())), images }
}

fn source_of(plan: &Plan, input: &PlanInput) -> String {
    match &input.feed {
        Feed::First(wires) | Feed::Many(wires) => {
            let names: Vec<String> =
                wires.iter().map(|wire| format!("`{}.{}`", plan.nodes[wire.node].id, wire.port)).collect();
            format!("it comes from {}", names.join(" or "))
        }
        Feed::Value(dynamic) => {
            let names: Vec<String> = dynamic.roots().iter().map(|root| format!("`{root}`")).collect();
            if names.is_empty() { "it is a literal".to_owned() } else { format!("it comes from {}", names.join(", ")) }
        }
    }
}
