//! The work of one node.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use sightflow_types::error::{RunError, code};
use sightflow_types::manifest::{PortKind, Role};
use sightflow_types::{ExecutionId, JobId};
use tokio_util::sync::CancellationToken;

use super::cell::Cell;
use super::kept::Kept;
use super::trace::NodeTrace;
use super::{RunParts, model, native, values};
use crate::catalog::EngineKind;
use crate::host::{BlockRef, CallContext, CallError, FailureKind, Payload};
use crate::images::{self, ImageTable};
use crate::input::RunInput;
use crate::plan::Plan;

/// What a node delivers.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) outputs: Vec<(String, Cell)>,
    pub(super) job_ids: Vec<JobId>,
    pub(super) queue_ms: Option<u64>,
    pub(super) attempts: u32,
}

/// Why a node did not deliver, and after how many attempts.
#[derive(Debug)]
pub(super) struct NodeFailure {
    pub(super) error: RunError,
    /// Whether the same again may succeed.
    pub(super) repeat: bool,
    pub(super) attempts: u32,
    pub(super) job_ids: Vec<JobId>,
}

impl From<RunError> for NodeFailure {
    /// An error of the engine itself: what lies in storage, time or another machine may work the next time.
    fn from(error: RunError) -> Self {
        let repeat = [code::INTERNAL, code::TIMEOUT, code::IMAGE].contains(&error.code.as_str());
        Self { error, repeat, attempts: 1, job_ids: Vec::new() }
    }
}

impl From<CallError> for NodeFailure {
    /// A pure block fails again in the same way, unless it says otherwise or the machine was too slow for it.
    fn from(error: CallError) -> Self {
        let repeat = match error.kind {
            FailureKind::Retry | FailureKind::Host => true,
            FailureKind::Refused | FailureKind::Cancelled => false,
            FailureKind::Failed => error.code == code::TIMEOUT,
        };
        let mut run = RunError::new(&error.code, error.message);
        run.cause = error.cause;
        Self { error: run, repeat, attempts: 1, job_ids: Vec::new() }
    }
}

/// Everything that one node's work needs, owned.
pub(super) struct Task {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) parts: RunParts,
    pub(super) table: Arc<ImageTable>,
    pub(super) run: Arc<RunInput>,
    /// The run's parameters, with handles for images.
    pub(super) parameters: Arc<Map<String, Value>>,
    pub(super) inputs: Vec<(Arc<str>, Cell)>,
    pub(super) config: Arc<Map<String, Value>>,
    pub(super) config_text: Option<Arc<str>>,
    pub(super) execution_id: Option<ExecutionId>,
    pub(super) cancel: CancellationToken,
    pub(super) trace: Arc<Mutex<NodeTrace>>,
    pub(super) kept: Arc<Kept>,
    /// Bytes of what it is given.
    pub(super) given: u64,
}

impl Task {
    /// Does the work, repeated as often as the node's `retry` allows.
    pub(super) async fn run(mut self) -> Result<Delivered, NodeFailure> {
        let _given = self.kept.lend(self.given).await?;
        let opened = self.open_literals().await?;
        let result = match self.check_images() {
            Ok(()) => self.repeated().await,
            Err(error) => Err(error.into()),
        };
        self.table.let_go(opened);
        let delivered = result?;
        match self.kept.keep(&delivered.outputs).await {
            Ok(()) => Ok(delivered),
            Err(error) => {
                let Delivered { attempts, job_ids, .. } = delivered;
                Err(NodeFailure { error, repeat: false, attempts, job_ids })
            }
        }
    }

    async fn repeated(&self) -> Result<Delivered, NodeFailure> {
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
                Err(failure) if attempt > retries || !failure.repeat => {
                    return Err(NodeFailure { attempts: attempt.max(failure.attempts), ..failure });
                }
                Err(_) => tokio::time::sleep(node.backoff.saturating_mul(1 << (attempt - 1).min(10))).await,
            }
        }
    }

    /// Stored images that the definition names in `inputs` get a handle of this run, for this node alone.
    async fn open_literals(&mut self) -> Result<Vec<usize>, RunError> {
        let mut opened = Vec::new();
        for (_, cell) in &mut self.inputs {
            if !cell.images || !images::holds_reference(&cell.value) {
                continue;
            }
            let mut value = (*cell.value).clone();
            opened.extend(images::open_references(&mut value, &self.table, self.parts.images.as_ref()).await?);
            *cell = Cell { value: Arc::new(value), images: true };
        }
        Ok(opened)
    }

    /// What arrives at a port for one image is an image; a text that looks like a digest is a text.
    fn check_images(&self) -> Result<(), RunError> {
        let ports = &self.plan.nodes[self.index].entry.manifest.inputs;
        for (name, cell) in &self.inputs {
            let single = ports.iter().any(|port| port.name == **name && port.kind == PortKind::Image && !port.many);
            if single && self.table.handle(&cell.value).is_none() {
                let what = match &*cell.value {
                    Value::String(_) => "a text",
                    Value::Number(_) => "a number",
                    Value::Bool(_) => "a boolean",
                    Value::Array(_) => "a list",
                    Value::Object(_) | Value::Null => "another value",
                };
                return Err(RunError::new(code::BAD_INPUT, format!("the input `{name}` is {what}, not an image")));
            }
        }
        Ok(())
    }

    async fn once(&self) -> Result<Delivered, NodeFailure> {
        let node = &self.plan.nodes[self.index];
        match node.entry.engine {
            EngineKind::Component => {
                let outputs =
                    self.call(&node.entry.block, self.config_text.as_deref().unwrap_or("{}"), &self.inputs).await?;
                Ok(Delivered { outputs, attempts: 1, ..Delivered::default() })
            }
            EngineKind::Native => match node.entry.manifest.role {
                Some(Role::RunImage) => Ok(native::image_input(self).await?),
                Some(Role::RunParameters) => Ok(native::parameter_input(self)),
                role => Err(RunError::new(code::INTERNAL, format!("no node runs as {role:?}")).into()),
            },
            EngineKind::Model => model::run(self).await,
        }
    }

    /// One call of a component on behalf of this node; its outputs.
    pub(super) async fn call(
        &self,
        block: &BlockRef,
        config: &str,
        inputs: &[(Arc<str>, Cell)],
    ) -> Result<Vec<(String, Cell)>, NodeFailure> {
        let node = &self.plan.nodes[self.index];
        let payload: Payload = values::payload(inputs, &self.table, self.parts.images.as_ref()).await?;
        let context = CallContext {
            execution_id: self.execution_id,
            node_id: node.id.to_string(),
            timeout: node.timeout,
            cancel: self.cancel.clone(),
        };
        let keep = |trace| self.trace.lock().unwrap_or_else(PoisonError::into_inner).add(trace);
        match self.parts.host.call(block, config, payload, context).await {
            Ok(outcome) => {
                keep(outcome.trace);
                Ok(values::outputs(&outcome.payload, &self.table)?)
            }
            Err(mut error) => {
                keep(*std::mem::take(&mut error.trace));
                Err(error.into())
            }
        }
    }

    pub(super) fn input(&self, port: &str) -> Option<&Cell> {
        self.inputs.iter().find(|(name, _)| &**name == port).map(|(_, cell)| cell)
    }
}
