//! Running a plan: the walk over the graph, without a database in sight.
//!
//! Everything that leaves the process goes through [`RunParts`], so that the same walk runs executions of a server,
//! benches and tests.

mod arrive;
mod cell;
mod classify;
mod detect;
mod embed;
mod kept;
mod model;
mod native;
mod outputs;
mod record;
mod task;
mod trace;
mod values;
mod walk;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::error::RunError;
use sightflow_types::{Digest, ExecutionId, ImageRef, JobId, ModelSource, Task};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use kept::RunLimits;
pub(crate) use native::blocking;
pub use walk::run_plan;

use crate::host::BlockHost;
use crate::images::ImageIo;
use crate::input::RunInput;
use crate::plan::Plan;

/// What a run needs from outside.
#[derive(Clone)]
pub struct RunParts {
    /// Component blocks.
    pub host: Arc<dyn BlockHost>,
    /// Inference jobs.
    pub jobs: Arc<dyn JobRunner>,
    /// Bytes of images.
    pub images: Arc<dyn ImageIo>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// How much it may keep.
    pub limits: RunLimits,
}

/// One run of a plan.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// What to run.
    pub plan: Arc<Plan>,
    /// Checked input.
    pub input: RunInput,
    /// For logs and calls; none outside of an execution.
    pub execution_id: Option<ExecutionId>,
    /// For blocks whose schema asks for it (`x-context`): `{workflow_id, execution_id, version}`.
    pub context: Value,
    /// Stops the run: its outcome is then [`End::Stopped`].
    pub cancel: CancellationToken,
    /// The run fails with `E-TIMEOUT` then.
    pub deadline: Option<Instant>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// No node failed, except under `on_error: continue`.
    Completed,
    /// A node failed, or time ran out.
    Failed(RunError),
    /// [`RunRequest::cancel`] fired; nothing is known about the rest.
    Stopped,
}

/// What a run leaves behind.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// How it ended.
    pub end: End,
    /// What resolved; images are stored references.
    pub outputs: Value,
    /// A record per node.
    pub node_metrics: Value,
    /// `percent`, `completed_nodes`, `total_nodes`, `running_nodes`, and `running`: the ids of the first of those that run.
    pub progress: Value,
    /// Blobs that the outputs name.
    pub output_blobs: Vec<Digest>,
}

/// One inference to make.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// The node that asks.
    pub node_id: String,
    /// `#k` for the k-th image of a list, else empty.
    pub item_path: String,
    /// What the model does.
    pub task: Task,
    /// Which model.
    pub model_id: String,
    /// From which registry.
    pub model_source: ModelSource,
    /// The pinned weights.
    pub model_digest: Option<Digest>,
    /// Settings that ride in the job.
    pub params: Value,
    /// What to look at.
    pub input: ImageRef,
}

/// What became of an inference.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOutcome {
    /// Its row, where there is one.
    pub job_id: Option<JobId>,
    /// What the model found, or why there is nothing.
    pub result: Result<Value, RunError>,
    /// `device`, `cached`, `model_digest`, timings.
    pub metadata: Value,
    /// Time from enqueue to start.
    pub queue_ms: Option<u64>,
    /// Time of the inference.
    pub compute_ms: Option<u64>,
    /// Attempts that were made.
    pub attempts: u32,
}

/// Runs inferences: through the store in a server, by a script in tests.
#[async_trait]
pub trait JobRunner: Send + Sync {
    /// Runs all jobs of one node and answers in the same order. Dropping the future gives up waiting.
    ///
    /// # Errors
    /// When the jobs could not be enqueued or followed at all.
    async fn run(&self, jobs: Vec<JobRequest>) -> Result<Vec<JobOutcome>, RunError>;
}

/// Hears what happens in a run. Must not block.
pub trait Observer: Send + Sync {
    /// False: nothing is reported, and no report is made.
    fn listens(&self) -> bool;
    /// An event of [`sightflow_types::event`].
    fn event(&self, kind: &'static str, payload: Value);
    /// The record of a node that settled.
    fn node(&self, node_id: &str, metrics: Value);
    /// How far the run is.
    fn progress(&self, progress: Value);
}

/// An observer that hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn listens(&self) -> bool {
        false
    }
    fn event(&self, _: &'static str, _: Value) {}
    fn node(&self, _: &str, _: Value) {}
    fn progress(&self, _: Value) {}
}
