//! Inferences, as a run asks for them.

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::error::RunError;
use sightflow_types::{Digest, ImageRef, JobId, ModelSource, Task};

/// One inference to make.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// The node that asks.
    pub node_id: String,
    /// Loop indexes (`3/1`), then `#k` for the k-th image of a list; empty for one image outside of loops.
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
    /// Enqueues the jobs of one round together and answers for each, in the same order, its id and, if it has ended, what
    /// became of it. Asked twice for one node and item, it is one job.
    ///
    /// # Errors
    /// When the jobs could not be enqueued at all.
    async fn enqueue(&self, jobs: Vec<JobRequest>) -> Result<Vec<(JobId, Option<JobOutcome>)>, RunError>;

    /// Resolves when some jobs may have ended since [`JobRunner::ended`] was asked last.
    async fn news(&self);

    /// Of the jobs that `open` names, those that have ended. May leave some out that [`JobRunner::news`] will tell of.
    ///
    /// # Errors
    /// When the jobs could not be followed.
    async fn ended(&self, open: Vec<JobId>) -> Result<Vec<(JobId, JobOutcome)>, RunError>;
}
