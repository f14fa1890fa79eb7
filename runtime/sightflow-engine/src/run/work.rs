//! The work of one frame: everything that it needs, owned, and what comes of it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use sightflow_supervisor::Panicked;
use sightflow_types::error::{RunError, chain, code};
use sightflow_types::{ExecutionId, JobId, TenantId};
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, Outputs, find};
use super::jobs::{JobOutcome, JobRequest};
use super::kept::Kept;
use super::request::RunParts;
use super::trace::NodeTrace;
use super::values;
use crate::cell::Cell;
use crate::host::{BlockRef, CallError, CallTrace, FailureKind};
use crate::images::{Access, ImageTable};
use crate::native::{Gathering, LoopSpec};
use crate::plan::{Plan, PlanNode};
use crate::run_input::RunInput;

/// What all frames of a run share.
pub(super) struct Ground {
    pub(super) plan: Arc<Plan>,
    pub(super) parts: RunParts,
    pub(super) table: Arc<ImageTable>,
    pub(super) run: RunInput,
    pub(super) tenant: TenantId,
    pub(super) execution_id: Option<ExecutionId>,
    pub(super) context: Value,
    pub(super) kept: Kept,
    /// By node: whether the end of an item reads it.
    pub(super) lasting: Vec<bool>,
}

impl Ground {
    pub(super) fn access(&self) -> Access<'_> {
        Access { io: self.parts.images.as_ref(), host: &self.parts.host, tenant: self.tenant }
    }
}

/// How far a piece of work is.
#[derive(Debug)]
pub(super) enum Phase {
    /// At its beginning.
    Begin,
    /// A model node's jobs have ended.
    Finish(Vec<JobId>, Vec<JobOutcome>),
    /// A `collect` has what its items left.
    Gather(Gathering),
}

/// What a piece of work comes to.
pub(super) enum Step {
    /// The frame delivers.
    Delivered(Delivered),
    /// These jobs first; then the work goes on.
    Jobs(Box<Work>, Vec<JobRequest>),
    /// A loop begins.
    Loop(LoopSpec),
}

/// What a frame delivers.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) outputs: Outputs,
    pub(super) jobs: Vec<JobId>,
    pub(super) queue_ms: Option<u64>,
    /// Most attempts of its jobs.
    pub(super) attempts: u32,
}

/// Why a frame did not deliver.
#[derive(Debug)]
pub(super) struct NodeFailure {
    pub(super) error: RunError,
    /// Whether the same again may succeed.
    pub(super) repeat: bool,
    /// Most attempts of its jobs.
    pub(super) attempts: u32,
    pub(super) jobs: Vec<JobId>,
}

impl From<RunError> for NodeFailure {
    /// An error of the engine itself: what lies in storage, time or another machine may work the next time.
    fn from(error: RunError) -> Self {
        let repeat = [code::INTERNAL, code::TIMEOUT, code::IMAGE].contains(&error.code.as_str());
        Self { error, repeat, attempts: 0, jobs: Vec::new() }
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
        Self { error: run, repeat, attempts: 0, jobs: Vec::new() }
    }
}

/// A piece of work.
pub(super) struct Work {
    pub(super) ground: Arc<Ground>,
    pub(super) frame: Frame,
    /// Loop indexes of its pass.
    pub(super) path: Arc<str>,
    /// The run's parameters, with handles for images.
    pub(super) parameters: Arc<Map<String, Value>>,
    pub(super) inputs: Outputs,
    pub(super) config: Arc<Map<String, Value>>,
    pub(super) config_text: Option<Arc<str>>,
    pub(super) cancel: CancellationToken,
    pub(super) trace: Arc<Mutex<NodeTrace>>,
    /// Bytes of what it is given.
    pub(super) given: u64,
    pub(super) phase: Phase,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("node", &self.node().id).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Work {
    /// One call of a component on behalf of this frame, on this thread, which may block; its outputs.
    pub(super) async fn call(
        &self,
        block: &BlockRef,
        config: Arc<str>,
        inputs: &[(Arc<str>, Cell)],
    ) -> Result<Outputs, NodeFailure> {
        let node = self.node();
        let (payload, given) = values::payload(inputs, self.ground.access()).await?;
        let context = self.context();
        if node.entry.manifest.reaches_out() {
            return self.reach_out(block, config, payload, context).await;
        }
        match self.ground.parts.host.call(block, &config, payload, context) {
            Ok(outcome) => {
                self.traced(outcome.trace);
                let recipe = || values::recipe(block, &config, inputs, &given);
                Ok(values::outputs(&outcome.document, outcome.images, &given, &self.ground.table, recipe)?)
            }
            Err(mut error) => {
                self.traced(*std::mem::take(&mut error.trace));
                Err(error.into())
            }
        }
    }

    /// What a call logged and used.
    pub(super) fn traced(&self, trace: CallTrace) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).add(trace);
    }

    /// What a panic in it is to be logged with.
    pub(super) fn named(&self) -> Named {
        Named { execution: self.ground.execution_id, node: Arc::clone(&self.node().id), item: Arc::clone(&self.path) }
    }

    pub(super) fn node(&self) -> &PlanNode {
        &self.ground.plan.nodes[self.frame.node]
    }

    pub(super) fn input(&self, port: &str) -> Option<&Cell> {
        find(&self.inputs, port)
    }
}

/// Whose work it is.
pub(super) struct Named {
    execution: Option<ExecutionId>,
    node: Arc<str>,
    item: Arc<str>,
}

impl Named {
    /// A panic inside a frame's work: logged here, with its cause; the frame fails.
    pub(super) fn broken(&self, panicked: &Panicked) -> NodeFailure {
        let Self { execution, node, item } = self;
        tracing::error!(execution.id = execution.map(tracing::field::display), node.id = %node, node.item = %item, error = chain(panicked), "a node panicked");
        let error = RunError::new(code::INTERNAL, "the engine failed in this node; its log has the reason");
        NodeFailure { repeat: false, ..NodeFailure::from(error) }
    }
}
