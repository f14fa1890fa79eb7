//! The one way into the database.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::{Digest, ExecutionId, JobId, TenantId, Timestamp, WorkerId, WorkflowId};
use tokio::sync::broadcast;

use crate::blob::{Blob, BlobRef, NewBlob};
use crate::error::Result;
use crate::execution::{
    Event, Execution, ExecutionFilter, ExecutionLease, FinishedExecution, NewEvent, NewExecution, Progress,
    StartedExecution,
};
use crate::job::{
    ClaimRequest, ClaimedJob, FailureOutcome, Job, JobFailure, JobFilter, JobLease, JobResult, ModelHead, NewJob,
    RescuedJob,
};
use crate::model::{ModelFilter, ModelRow, ModelState, NewModel};
use crate::page::{Page, PageRequest};
use crate::signal::Signal;
use crate::worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker};
use crate::workflow::{
    Created, NewWorkflow, OpenExecutions, Workflow, WorkflowChange, WorkflowFilter, WorkflowVersion,
};

/// A store that the whole program shares.
pub type SharedStore = Arc<dyn Store>;

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Executions without an engine.
    pub waiting_executions: u64,
    /// Since when the first of them waits.
    pub oldest_waiting_since: Option<Timestamp>,
    /// Claimable jobs.
    pub ready_jobs: u64,
    /// Leased jobs.
    pub running_jobs: u64,
}

/// Workflows, executions, inference jobs, workers, models and blob references behind one interface.
///
/// Every operation is one transaction: it happens whole and durably before the answer, or not at all. Dropping the
/// future of a write does not take the write back. Reads are made for one tenant; another tenant's ids are absent.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // ── Workflows ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Creates a workflow with version 1. `IdempotencyConflict` when its key came with another request.
    async fn create_workflow(&self, new: NewWorkflow) -> Result<Created<Workflow>>;
    /// A workflow that was not deleted.
    async fn workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<Workflow>;
    /// Workflows that were not deleted, newest first.
    async fn workflows(
        &self,
        tenant: TenantId,
        filter: WorkflowFilter,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>>;
    /// Changes a workflow. A definition that differs in more than layout makes a version. `StaleVersion`.
    async fn update_workflow(&self, tenant: TenantId, id: WorkflowId, change: WorkflowChange) -> Result<Workflow>;
    /// Deletes a workflow; its executions stay readable. `InUse`.
    async fn delete_workflow(&self, tenant: TenantId, id: WorkflowId, open: OpenExecutions) -> Result<()>;
    /// Versions of a workflow, newest first.
    async fn workflow_versions(
        &self,
        tenant: TenantId,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Page<WorkflowVersion, u32>>;
    /// One version.
    async fn workflow_version(&self, tenant: TenantId, id: WorkflowId, version: u32) -> Result<WorkflowVersion>;

    // ── Executions, for clients ─────────────────────────────────────────────────────────────────────────────────────

    /// Accepts a run: key, row, ready row and blob references in one transaction.
    /// `NotFound` (workflow or version), `Archived`, `MissingBlob`, `IdempotencyConflict`.
    async fn submit(&self, new: NewExecution) -> Result<Created<Execution>>;
    /// An execution with everything.
    async fn execution(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution>;
    /// The definition that an execution runs: its own, or its workflow version's.
    async fn execution_definition(&self, tenant: TenantId, id: ExecutionId) -> Result<Value>;
    /// Executions, newest first, without input, outputs and node metrics.
    async fn executions(
        &self,
        tenant: TenantId,
        filter: ExecutionFilter,
        page: PageRequest<ExecutionId>,
    ) -> Result<Page<Execution, ExecutionId>>;
    /// Events after `seq`, in order, at most `limit` (1..=1000).
    async fn events_after(&self, tenant: TenantId, id: ExecutionId, seq: i64, limit: u32) -> Result<Vec<Event>>;
    /// Cancels an execution and its open jobs, whoever holds them. `AlreadyTerminal`.
    async fn cancel(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution>;
    /// Deletes an ended execution with its jobs, events and blob references. `NotTerminal`.
    async fn delete_execution(&self, tenant: TenantId, id: ExecutionId) -> Result<()>;
    /// Deletes the ended executions of a workflow; how many.
    async fn clear_executions(&self, tenant: TenantId, workflow: WorkflowId) -> Result<u64>;

    // ── Executions, for engines ─────────────────────────────────────────────────────────────────────────────────────

    /// Takes up to `limit` waiting executions: `running`, a new token, a deadline, `execution.started`.
    async fn start_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>>;
    /// Takes up to `limit` executions whose engine is gone: a new token, `resume_count + 1`, `execution.resumed`.
    async fn take_over(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>>;
    /// Gives an execution back at a graceful stop; another engine starts it again (`execution.resumed`). `StaleLease`.
    async fn hand_back(&self, lease: ExecutionLease) -> Result<()>;
    /// Records which blocks and models an execution uses. `StaleLease`.
    async fn set_pins(&self, lease: ExecutionLease, pins: Value) -> Result<()>;
    /// Records events, in order, and the progress beside them if given. `StaleLease`.
    async fn append_events(
        &self,
        lease: ExecutionLease,
        events: Vec<NewEvent>,
        progress: Option<Progress>,
    ) -> Result<()>;
    /// Enqueues jobs and answers one row for each, in the same order: new ones, or what an earlier engine enqueued
    /// under the same node and item, with its state and result. `StaleLease`.
    async fn enqueue_jobs(&self, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<Vec<Job>>;
    /// All jobs of an execution with their results, in the order in which they were enqueued.
    async fn jobs_of(&self, execution: ExecutionId) -> Result<Vec<Job>>;
    /// Ends an execution: outputs, metrics, error, open jobs failed, workflow statistics, terminal event. `StaleLease`.
    async fn finish(&self, lease: ExecutionLease, end: FinishedExecution) -> Result<()>;
    /// Which of these leases are lost: cancelled, ended or taken over.
    async fn lost_leases(&self, leases: Vec<ExecutionLease>) -> Result<Vec<ExecutionId>>;
    /// Running executions of this engine whose deadline has passed; the engine ends them with `E-TIMEOUT`.
    async fn overdue_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<ExecutionLease>>;

    // ── Jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// One job with its result.
    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Job>;
    /// Jobs, newest first, without results.
    async fn jobs(&self, tenant: TenantId, filter: JobFilter, page: PageRequest<JobId>) -> Result<Page<Job, JobId>>;
    /// Every model that has claimable jobs, with its first one.
    async fn job_heads(&self) -> Result<Vec<ModelHead>>;
    /// Takes a batch: `running`, attempt + 1, a new token, a lease. Order: rank, virtual time, id.
    async fn claim_jobs(&self, worker: WorkerId, request: ClaimRequest) -> Result<Vec<ClaimedJob>>;
    /// Records results. The answer names those that were recorded; the others were stale, discard them.
    async fn complete_jobs(&self, worker: WorkerId, results: Vec<JobResult>) -> Result<Vec<JobId>>;
    /// Records results and claims the next batch in one transaction.
    async fn complete_and_claim(
        &self,
        worker: WorkerId,
        results: Vec<JobResult>,
        next: ClaimRequest,
    ) -> Result<(Vec<JobId>, Vec<ClaimedJob>)>;
    /// Records failures; each job waits for a retry or fails for good.
    async fn fail_jobs(&self, worker: WorkerId, failures: Vec<JobFailure>) -> Result<Vec<FailureOutcome>>;
    /// Records how far jobs are, 0..=100; stale leases are passed over.
    async fn set_job_progress(&self, worker: WorkerId, progress: Vec<(JobLease, u8)>) -> Result<()>;
    /// Gives jobs back at a graceful stop: `queued`, the attempt not counted. The answer names those given back.
    async fn release_jobs(&self, worker: WorkerId, jobs: Vec<JobId>) -> Result<Vec<JobId>>;
    /// Declares silent members gone, then takes up to 200 jobs from gone workers or past their deadline.
    async fn rescue(&self) -> Result<Vec<RescuedJob>>;
    /// Makes up to `limit` jobs claimable whose pause is over; how many.
    async fn promote_due(&self, limit: u32) -> Result<u64>;
    /// When the next pause is over.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    // ── Fleet ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Adds a member in state `ready`. `AlreadyExists`.
    async fn register_worker(&self, new: NewWorker) -> Result<Worker>;
    /// A sign of life.
    async fn heartbeat(&self, beat: Heartbeat) -> Result<HeartbeatAnswer>;
    /// A member leaves: its leases may be taken at once.
    async fn retire_worker(&self, id: WorkerId) -> Result<()>;
    /// All members, newest first, gone ones too.
    async fn workers(&self) -> Result<Vec<Worker>>;

    // ── Models ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Registers a model or brings it up to date; state and breaker start anew when its digest changes.
    async fn upsert_model(&self, new: NewModel) -> Result<ModelRow>;
    /// A model of the tenant or of the built-in one; the tenant's own wins.
    async fn model(&self, tenant: TenantId, id: &str) -> Result<ModelRow>;
    /// Models that the tenant sees, by id.
    async fn models(&self, tenant: TenantId, filter: ModelFilter) -> Result<Vec<ModelRow>>;
    /// Switches a model on, off, or marks it broken. Its own tenant's only.
    async fn set_model_state(&self, tenant: TenantId, id: &str, state: ModelState) -> Result<ModelRow>;
    /// Closes an open breaker: the model works again; its waiting jobs become claimable at their own time.
    async fn close_breaker(&self, model_id: &str) -> Result<()>;

    // ── Blobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Records stored bytes together with a first reference. `BlobBusy` while they are being deleted.
    async fn record_blob(&self, blob: NewBlob, reference: BlobRef) -> Result<Blob>;
    /// A blob to which the tenant holds a reference.
    async fn blob(&self, tenant: TenantId, digest: &Digest) -> Result<Blob>;
    /// Adds a reference to each blob. `MissingBlob` when one is not stored: none is added then.
    async fn add_blob_refs(&self, digests: Vec<Digest>, reference: BlobRef) -> Result<()>;
    /// Drops the tenant's upload reference. `NotFound` without one; `InUse` while it reads the blob by another.
    async fn drop_upload(&self, tenant: TenantId, digest: &Digest) -> Result<()>;
    /// First look of the deletion: drops references that ran out, marks blobs without any; how many.
    async fn mark_unreferenced_blobs(&self, limit: u32) -> Result<u64>;
    /// Second look, a minute later: blobs whose bytes may now be deleted; call [`Store::forget_blob`] after that.
    async fn deletable_blobs(&self, limit: u32) -> Result<Vec<Digest>>;
    /// Drops the row of a blob whose bytes are deleted.
    async fn forget_blob(&self, digest: &Digest) -> Result<()>;

    // ── The whole ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Hints about changes; see [`Signal`]. Subscribe first, then read, then wait.
    fn subscribe(&self) -> broadcast::Receiver<Signal>;
    /// The store's present time.
    fn now(&self) -> Timestamp;
    /// How much waits.
    async fn queue_depth(&self) -> Result<QueueDepth>;
    /// Succeeds when the store can write.
    async fn ping(&self) -> Result<()>;
    /// Finishes what is queued and lets go of the database. Operations after that are `Unavailable`.
    async fn close(&self);
}
