//! The walk: nodes start when everything that they wait for has settled.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value, json};
use sightflow_expressions::reference::Root;
use sightflow_supervisor::caught;
use sightflow_types::definition::OnError;
use sightflow_types::error::{RunError, chain, code};
use sightflow_types::{ExecutionId, NodeStatus, event};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arrive::{self, Arrival};
use super::kept::Kept;
use super::record::NodeRecord;
use super::task::{Delivered, NodeFailure, Task};
use super::values::Scope;
use super::{End, RunOutcome, RunParts, RunRequest, outputs};
use crate::images::{self, ImageTable};
use crate::input::{ImageSource, RunInput};
use crate::plan::{Feed, Plan};
use crate::weight::Room;

type Running = FuturesUnordered<BoxFuture<'static, (usize, Result<Delivered, NodeFailure>)>>;

/// Bytes of log lines that all nodes of a run keep together.
const LOG_BYTES: usize = 1 << 20;

/// Nodes that run now and are named: an event has room for as many of the longest ids.
const RUNNING_SHOWN: usize = 64;

struct Walk {
    parts: RunParts,
    plan: Arc<Plan>,
    run: Arc<RunInput>,
    inputs: HashMap<String, Value>,
    parameters: Arc<Map<String, Value>>,
    table: Arc<ImageTable>,
    records: Vec<NodeRecord>,
    /// Unsettled dependencies by node.
    waits: Vec<usize>,
    /// Unsettled readers of its outputs by node.
    readers: Vec<usize>,
    ready: VecDeque<usize>,
    running: Running,
    /// What is left of [`LOG_BYTES`].
    log_budget: usize,
    kept: Arc<Kept>,
    /// Bytes of what the nodes that run were given.
    given: u64,
    execution_id: Option<ExecutionId>,
    context: Value,
    cancel: CancellationToken,
    failure: Option<RunError>,
}

/// Runs a plan to its end, or until it is stopped. A panic on the way fails the run, and what resolved before is kept.
pub async fn run_plan(parts: &RunParts, request: RunRequest) -> RunOutcome {
    let RunRequest { plan, input, execution_id, context, cancel, deadline } = request;
    let node_count = plan.nodes.len();
    let mut walk = Walk {
        parts: parts.clone(),
        waits: plan.nodes.iter().map(|node| node.depends_on.len()).collect(),
        readers: plan.nodes.iter().map(|node| node.dependents.len()).collect(),
        ready: (0..node_count).filter(|&index| plan.nodes[index].depends_on.is_empty()).collect(),
        records: (0..node_count).map(|_| NodeRecord::default()).collect(),
        inputs: HashMap::new(),
        parameters: Arc::new(input.parameters.clone()),
        run: Arc::new(input),
        plan,
        table: Arc::new(ImageTable::default()),
        running: FuturesUnordered::new(),
        log_budget: LOG_BYTES,
        kept: Arc::new(Kept::new(parts.limits.clone())),
        given: 0,
        execution_id,
        context,
        // Calls stop with the run, whatever ends it.
        cancel: cancel.child_token(),
        failure: None,
    };
    let guard = walk.cancel.clone().drop_guard();
    let end = caught(walk.drive(&cancel, deadline)).await.unwrap_or_else(|panicked| {
        tracing::error!(
            execution.id = execution_id.map(tracing::field::display),
            error = chain(&panicked),
            "a walk panicked"
        );
        End::Failed(RunError::new(
            code::INTERNAL,
            "the engine failed in the middle of this run; its log has the reason",
        ))
    });
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
            // What a node is given is copied for it. While a lot of that is under way, no more nodes start.
            while self.given <= self.kept.limits().values
                && let Some(index) = self.ready.pop_front()
            {
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
                (None, _, _) => self.run.images.get(&name).map(|source| match source {
                    ImageSource::Reference(_) => source.to_value(),
                    ImageSource::Url(url) => Value::String(url.clone()),
                }),
            };
            if let Some(mut value) = value {
                images::import(&mut value, &self.table, io.as_ref()).await?;
                self.inputs.insert(name, value);
            }
        }
        if self.parameters.values().any(images::holds_image) {
            let mut parameters = (*self.parameters).clone();
            for value in parameters.values_mut() {
                images::import(value, &self.table, io.as_ref()).await?;
            }
            self.parameters = Arc::new(parameters);
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
                record.given = task.given;
                self.given += task.given;
                if self.parts.observer.listens() {
                    let id = &*self.plan.nodes[index].id;
                    self.parts.observer.event(event::NODE_STARTED, json!({"node_id": id}));
                    self.parts.observer.node(id, self.records[index].metrics(&self.plan.nodes[index].entry.block_type));
                }
                let named = (self.execution_id, Arc::clone(&self.plan.nodes[index].id));
                self.running.push(Box::pin(async move {
                    let result = caught(task.run()).await;
                    match result {
                        Ok(result) => (index, result),
                        Err(panicked) => (index, Err(broken(&named, &panicked))),
                    }
                }));
            }
        }
    }

    fn prepare(&self, index: usize) -> Result<Prepared, RunError> {
        let scope = self.scope();
        let mut room = Room::new(self.kept.limits().values);
        let inputs = match arrive::inputs(index, &scope, &mut room)? {
            Arrival::All(inputs) => inputs,
            Arrival::Missing(reason) => return Ok(Prepared::Skip(reason)),
        };
        let (config, config_text) = arrive::config(index, &scope, &self.context, &mut room)?;
        Ok(Prepared::Run(Box::new(Task {
            plan: Arc::clone(&self.plan),
            index,
            parts: self.parts.clone(),
            table: Arc::clone(&self.table),
            run: Arc::clone(&self.run),
            parameters: Arc::clone(&self.parameters),
            inputs,
            config,
            config_text,
            execution_id: self.execution_id,
            cancel: self.cancel.clone(),
            trace: Arc::clone(&self.records[index].trace),
            kept: Arc::clone(&self.kept),
            given: room.taken(),
        })))
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
        self.given -= std::mem::take(&mut self.records[index].given);
        let trace = &self.records[index].trace;
        trace.lock().unwrap_or_else(PoisonError::into_inner).settle(&mut self.log_budget);
        // An image lives until its last reader has run.
        if self.readers[index] == 0 {
            self.let_go(index);
        }
        for &source in &plan.nodes[index].depends_on {
            self.readers[source] -= 1;
            if self.readers[source] == 0 {
                self.let_go(source);
            }
        }
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

    /// No node reads this one any more; what the run's outputs read stays.
    fn let_go(&self, index: usize) {
        let node = &self.plan.nodes[index];
        let (needed, others): (Vec<_>, Vec<_>) =
            self.records[index].images().into_iter().partition(|(port, _)| self.plan.reads(node, port));
        let free = others.into_iter().map(|(_, handle)| handle);
        self.table.let_go(free.filter(|handle| !needed.iter().any(|(_, needed)| needed == handle)));
    }

    fn progress(&self) -> Value {
        let total = self.records.len();
        let done = self.records.iter().filter(|record| record.settled()).count();
        let running =
            self.plan.nodes.iter().zip(&self.records).filter(|(_, record)| record.status == NodeStatus::Running);
        let running: Vec<&str> = running.map(|(node, _)| &*node.id).collect();
        let (count, shown) = (running.len(), &running[..running.len().min(RUNNING_SHOWN)]);
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        json!({"percent": percent, "completed_nodes": done, "total_nodes": total, "running_nodes": count, "running": shown})
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
                outputs::assemble(&self.scope(), &self.table, self.parts.images.as_ref(), self.kept.limits()).await;
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
    Run(Box<Task>),
    Skip(String),
}

/// A panic inside a node: logged here, with its cause; the node fails.
fn broken(
    (execution, node): &(Option<ExecutionId>, Arc<str>),
    panicked: &sightflow_supervisor::Panicked,
) -> NodeFailure {
    tracing::error!(execution.id = execution.map(tracing::field::display), node.id = %node, error = chain(panicked), "a node panicked");
    RunError::new(code::INTERNAL, "the engine failed in this node; its log has the reason").into()
}
