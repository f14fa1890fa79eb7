//! Inference jobs: what the engine enqueues and workers claim.

use serde_json::Value;
use sightflow_types::{
    Digest, ExecutionId, JobId, JobStatus, ModelSource, Task, TenantId, Timestamp, WorkerId, WorkflowId, closed_set,
};

/// Silence after which a worker counts as gone.
pub const SILENCE_MS: i64 = 15_000;
/// How long a job may wait for a broken model before it fails.
pub const MODEL_WAIT_MS: i64 = 600_000;
/// Most leases that one rescue handles.
pub const RESCUE_PAGE: u32 = 200;

/// How long a broken model's breaker stays open after `failures` load failures in a row (the first is 1):
/// 5 s, doubling, at most 5 minutes.
pub fn breaker_hold_ms(failures: u32) -> i64 {
    (5_000_i64 << failures.saturating_sub(1).min(10)).min(300_000)
}

/// One inference job with everything that is recorded about it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each field is the column of the same name, described in the job states above it")]
pub struct Job {
    pub id: JobId,
    pub execution_id: ExecutionId,
    pub workflow_id: Option<WorkflowId>,
    pub tenant_id: TenantId,
    pub node_id: String,
    /// Loop indexes (`3/1`), `#k` for the k-th image of a list, empty otherwise.
    pub item_path: String,
    pub task: Task,
    pub model_id: String,
    pub model_source: ModelSource,
    pub model_digest: Option<Digest>,
    pub params: Value,
    /// Image reference; never pixels.
    pub input: Value,
    /// Pixels of the input, for the batch's budget.
    pub pixels: u64,
    pub status: JobStatus,
    /// 0..=100.
    pub progress: u8,
    pub priority: u8,
    /// Virtual start time of fair queueing; ascends in claim order.
    pub vt: i64,
    pub attempt: u32,
    pub max_attempts: u32,
    /// Largest batch that it may run in; none: no bound.
    pub max_batch: Option<u32>,
    pub lease_token: i64,
    pub worker_id: Option<WorkerId>,
    pub timeout_ms: u32,
    /// When a pending job becomes claimable.
    pub run_at: Option<Timestamp>,
    pub submitted_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// `load_ms + compute_ms`.
    pub duration_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub load_ms: Option<u64>,
    /// Of the whole batch.
    pub compute_ms: Option<u64>,
    pub batch_size: Option<u32>,
    /// None in lists.
    pub result: Option<Value>,
    pub error_class: Option<FailureClass>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub metadata: Value,
    pub traceparent: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What is told of a job beside others of its execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The node that asked.
    pub node_id: String,
    /// As [`Job::item_path`].
    pub item_path: String,
    /// How long it waited; none before it was claimed.
    pub queue_ms: Option<u64>,
}

closed_set!(
/// Why a job could not be run; decides what happens next.
FailureClass, "failure class", {
    /// Network, device reset, lost worker, timeout: again after a pause, while attempts remain.
    Transient = "transient",
    /// Device memory: half the batch at once; alone, as transient.
    Oom = "oom",
    /// This image or these parameters: fails at once.
    Poison = "poison",
    /// Weights missing or broken: waits until the model is back.
    Model = "model",
});

/// A job to enqueue. Priority, attempts and trace come from its execution.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The node that asks.
    pub node_id: String,
    /// Loop indexes, `#k`, or empty. With `node_id` it names the job within its execution.
    pub item_path: String,
    /// What the model does.
    pub task: Task,
    /// Which model.
    pub model_id: String,
    /// From which registry.
    pub model_source: ModelSource,
    /// The pinned weights.
    pub model_digest: Option<Digest>,
    /// Thresholds and the like.
    pub params: Value,
    /// Image reference.
    pub input: Value,
    /// Pixels of the input.
    pub pixels: u64,
    /// Virtual start time; 0 where no fairness is wanted.
    pub vt: i64,
    /// Bound of one attempt.
    pub timeout_ms: u32,
}

/// Which jobs to list; `None` and empty do not filter.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of this execution.
    pub execution_id: Option<ExecutionId>,
    /// Of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Of this node.
    pub node_id: Option<String>,
    /// Of this model.
    pub model_id: Option<String>,
    /// Of this task.
    pub task: Option<Task>,
    /// In one of these states.
    pub statuses: Vec<JobStatus>,
    /// With this error.
    pub error_code: Option<String>,
    /// Submitted after this instant (exclusive).
    pub submitted_after: Option<Timestamp>,
}

/// The first waiting job of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHead {
    /// The model.
    pub model_id: String,
    /// 11 − priority of that job; smaller is sooner.
    pub rank: i64,
    /// Its virtual start time.
    pub vt: i64,
    /// Since when it waits.
    pub queued_at: Timestamp,
}

/// What a worker asks for: one batch of one model.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Which model.
    pub model_id: String,
    /// Most jobs.
    pub max_count: u32,
    /// Most pixels in all; the first job is taken however large it is.
    pub pixel_budget: u64,
    /// Tenants at their limit: their jobs are passed over.
    pub capped_tenants: Vec<TenantId>,
    /// The model is loaded and computing starts at once: the claim counts an attempt and starts the jobs' deadline.
    /// Otherwise [`Store::begin_jobs`](crate::Store::begin_jobs) does both later.
    pub begin: bool,
}

/// The right to report about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobLease {
    /// Which.
    pub job_id: JobId,
    /// Given by the claim.
    pub token: i64,
}

/// A job that a worker now runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// Its row, status `running`.
    pub job: Job,
    /// Until when it must be reported; none before computing has begun.
    pub deadline_at: Option<Timestamp>,
}

impl ClaimedJob {
    /// What reports carry.
    pub const fn lease(&self) -> JobLease {
        JobLease { job_id: self.job.id, token: self.job.lease_token }
    }
}

/// A result to record.
#[derive(Debug, Clone, PartialEq)]
pub struct JobResult {
    /// Which job, under which lease.
    pub lease: JobLease,
    /// At most 1 MiB as JSON; a larger one belongs into a blob.
    pub result: Value,
    /// Merged over the job's metadata: `cached`, `device`, `worker`, ….
    pub metadata: Value,
    /// Time to load the model, for this batch.
    pub load_ms: u64,
    /// Time of the whole batch.
    pub compute_ms: u64,
    /// Jobs in the batch.
    pub batch_size: u32,
}

/// A failure to record.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFailure {
    /// Which job, under which lease.
    pub lease: JobLease,
    /// Decides about a retry.
    pub class: FailureClass,
    /// `E-…`.
    pub code: String,
    /// Cut to 4,000 characters.
    pub message: String,
    /// Jobs in the batch that failed.
    pub batch_size: u32,
    /// Class `model`: how long to hold the model's jobs ([`breaker_hold_ms`]); none: give up at once.
    pub hold_ms: Option<i64>,
}

/// What became of a reported failure. A job missing from the answer was stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureOutcome {
    /// Which job.
    pub job_id: JobId,
    /// `pending` (again at `run_at`) or `failed`.
    pub status: JobStatus,
    /// When it becomes claimable again.
    pub run_at: Option<Timestamp>,
}

/// A job taken from a lost worker or past its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescuedJob {
    /// Which job.
    pub job_id: JobId,
    /// `queued` or, with its attempts spent, `failed`.
    pub status: JobStatus,
    /// `E-WORKER-LOST` or `E-JOB-TIMEOUT`.
    pub code: String,
}
