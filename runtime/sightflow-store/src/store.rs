//! The one way into the database.

use std::sync::Arc;

use async_trait::async_trait;
use sightflow_types::{
    Digest, ExecutionId, ExecutionStatus, JobId, KeyId, PackageId, TenantId, Timestamp, WorkerId, WorkflowId,
};
use tokio::sync::broadcast;

use crate::api_key::{ApiKey, KeyHash, KeyOwner, NewApiKey};
use crate::blob::{Blob, BlobRef, NewBlob};
use crate::block_package::{
    BlockPackage, BlockVersion, NamedVersion, NewBlockVersion, PackageChanges, PackageGrants, PackageKey,
    PublishedVersion, Quarantined,
};
use crate::effect::{BegunEffect, Effect, EffectEnd, NewEffect};
use crate::error::Result;
use crate::execution::{
    Append, Event, Execution, ExecutionFilter, ExecutionLease, FinishedExecution, NewExecution, NodeRecord,
    RunDefinition, StartedExecution,
};
use crate::idempotency::Idempotency;
use crate::job::{
    ClaimRequest, ClaimedJob, FailureOutcome, Job, JobFailure, JobFilter, JobLease, JobResult, JobSummary, ModelHead,
    NewJob, RescuedJob,
};
use crate::model::{ModelFilter, ModelRow, ModelState, NewModel};
use crate::page::{Page, PageRequest};
use crate::publisher::Publisher;
use crate::quota::QuotaChanges;
use crate::retention::{Pruned, Retention};
use crate::secret::SecretName;
use crate::signal::Signal;
use crate::tenant::{NewTenant, Slug, Tenant, TenantChange};
use crate::usage::{Usage, UsageQuery};
use crate::worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker};
use crate::workflow::{
    Created, Definitions, NewWorkflow, OpenExecutions, Replayed, Workflow, WorkflowChange, WorkflowFilter,
    WorkflowHead, WorkflowVersion,
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
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStatistics {
    /// Durable commits; each costs one synchronisation of the log.
    pub commits: u64,
    /// Operations that these commits made durable.
    pub transactions: u64,
    /// Times that the log was copied into the database file; each costs two synchronisations.
    pub checkpoints: u64,
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
    /// A workflow that was not deleted. `DamagedWorkflow` when it cannot be read.
    async fn workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<Workflow>;
    /// What a run of a version (none: the newest) needs to know before it reads the definition. `NotFound` (workflow or
    /// version), `DamagedWorkflow`.
    async fn workflow_head(&self, tenant: TenantId, id: WorkflowId, version: Option<u32>) -> Result<WorkflowHead>;
    /// Succeeds when there is such a workflow, readable or not.
    async fn check_workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<()>;
    /// Workflows that were not deleted, newest first.
    async fn workflows(
        &self,
        tenant: TenantId,
        filter: WorkflowFilter,
        definitions: Definitions,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>>;
    /// How many such workflows there are, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_workflows(&self, tenant: TenantId, filter: WorkflowFilter) -> Result<u64>;
    /// Changes a workflow. A definition that differs in more than layout makes a version, and so does one that takes the
    /// place of one that cannot be read. `StaleVersion`, `DamagedWorkflow`.
    async fn update_workflow(
        &self,
        tenant: TenantId,
        id: WorkflowId,
        change: WorkflowChange,
    ) -> Result<Created<Workflow>>;
    /// Deletes a workflow; its executions stay readable. `InUse`.
    async fn delete_workflow(&self, tenant: TenantId, id: WorkflowId, open: OpenExecutions) -> Result<()>;
    /// Versions of a workflow, newest first, without definitions.
    async fn workflow_versions(
        &self,
        tenant: TenantId,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Page<WorkflowVersion, u32>>;
    /// How many versions a workflow has, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_workflow_versions(&self, tenant: TenantId, id: WorkflowId) -> Result<u64>;
    /// One version. `DamagedWorkflow` when it cannot be read.
    async fn workflow_version(&self, tenant: TenantId, id: WorkflowId, version: u32) -> Result<WorkflowVersion>;

    /// What an earlier request with this key made, if it did and the key has not expired. `IdempotencyConflict` when it
    /// came with another request.
    async fn replayed(&self, tenant: TenantId, key: &Idempotency) -> Result<Option<Replayed>>;

    // ── Executions, for clients ─────────────────────────────────────────────────────────────────────────────────────

    /// Accepts a run: key, row, ready row, new blobs and references in one transaction.
    /// `NotFound` (workflow or version), `Archived`, `MissingBlob`, `BlobBusy`, `IdempotencyConflict`.
    async fn submit(&self, new: NewExecution) -> Result<Created<Execution>>;
    /// An execution with everything, but without records of items.
    async fn execution(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution>;
    /// How far an execution is, and nothing else of it: many may ask, again and again.
    async fn execution_status(&self, tenant: TenantId, id: ExecutionId) -> Result<ExecutionStatus>;
    /// The definition that an execution runs: its own, or its workflow version's. `Corrupt` when it cannot be read.
    async fn execution_definition(&self, tenant: TenantId, id: ExecutionId) -> Result<RunDefinition>;
    /// What is recorded about a node, or about one item of it; none when nothing is. `NotFound` (execution).
    async fn node_record(
        &self,
        tenant: TenantId,
        id: ExecutionId,
        node_id: &str,
        item_path: &str,
    ) -> Result<Option<NodeRecord>>;
    /// Records of a node's items, in the order of their indexes, after the item `after`; at most `limit` (1..=100).
    /// `NotFound` (execution).
    async fn node_items(
        &self,
        tenant: TenantId,
        id: ExecutionId,
        node_id: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<NodeRecord, String>>;
    /// How many items of a node have a record, counted to [`COUNT_CAP`](crate::COUNT_CAP). `NotFound` (execution).
    async fn count_node_items(&self, tenant: TenantId, id: ExecutionId, node_id: &str) -> Result<u64>;
    /// The jobs of an execution, or of one of its nodes, in the order in which they were enqueued. `NotFound` (execution).
    async fn job_summaries(&self, tenant: TenantId, id: ExecutionId, node_id: Option<&str>) -> Result<Vec<JobSummary>>;
    /// Executions, newest first, without input, outputs and node metrics. One that cannot be read is shown with
    /// `E-INTERNAL` and the reason.
    async fn executions(
        &self,
        tenant: TenantId,
        filter: ExecutionFilter,
        page: PageRequest<ExecutionId>,
    ) -> Result<Page<Execution, ExecutionId>>;
    /// How many such executions there are, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_executions(&self, tenant: TenantId, filter: ExecutionFilter) -> Result<u64>;
    /// Events after `seq`, in order, at most `limit` (1..=1000), and none after the one that brings their payloads to
    /// [`EVENT_PAGE_BYTES`](crate::EVENT_PAGE_BYTES): only an empty answer says that there are no more.
    async fn events_after(&self, tenant: TenantId, id: ExecutionId, seq: i64, limit: u32) -> Result<Vec<Event>>;
    /// Cancels an execution and its open jobs, whoever holds them. `AlreadyTerminal`.
    async fn cancel(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution>;
    /// Deletes an ended execution with its jobs, events and blob references. `NotTerminal`.
    async fn delete_execution(&self, tenant: TenantId, id: ExecutionId) -> Result<()>;
    /// Deletes the ended executions of a workflow; how many.
    async fn clear_executions(&self, tenant: TenantId, workflow: WorkflowId) -> Result<u64>;

    // ── Executions, for engines ─────────────────────────────────────────────────────────────────────────────────────

    /// Takes up to `limit` waiting executions: `running`, a new token, `execution.started`. One that cannot be read fails
    /// with `E-INTERNAL`.
    async fn start_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>>;
    /// Takes up to `limit` executions whose engine is gone: a new token, `resume_count + 1`, `execution.resumed`. One that
    /// was resumed [`CRASH_LOOP`](crate::CRASH_LOOP) times without a newly completed node or job fails with `E-CRASH-LOOP`
    /// instead, one that cannot be read with `E-INTERNAL`.
    async fn take_over(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>>;
    /// Gives an execution back that others can go on with; another engine starts it again (`execution.resumed`). `StaleLease`.
    async fn hand_back(&self, lease: ExecutionLease) -> Result<()>;
    /// Gives an execution back that cannot go on here. Counts as a takeover: after
    /// [`CRASH_LOOP`](crate::CRASH_LOOP) of both without a newly completed node or job it fails with `E-CRASH-LOOP` instead.
    /// `StaleLease`.
    async fn give_up(&self, lease: ExecutionLease) -> Result<()>;
    /// Records events, in order, and what is given beside them: all or nothing. `StaleLease`.
    async fn append_events(&self, lease: ExecutionLease, append: Append) -> Result<()>;
    /// Records that a call is about to leave, or says what became of it before. `StaleLease`.
    async fn begin_effect(&self, lease: ExecutionLease, new: NewEffect) -> Result<BegunEffect>;
    /// Records what became of a call that was begun. `StaleLease`, `Conflict` when it was not begun.
    async fn end_effect(&self, lease: ExecutionLease, node: &str, item: &str, end: EffectEnd) -> Result<()>;
    /// Calls of an execution that reached the outside, in the order in which they left first; at most
    /// [`MOST_LISTED_EFFECTS`](crate::MOST_LISTED_EFFECTS).
    async fn effects(&self, tenant: TenantId, id: ExecutionId) -> Result<Vec<Effect>>;
    /// Enqueues jobs and answers one row for each, in the same order: new ones, or what an earlier engine enqueued
    /// under the same node and item, with its state and result. As few statements for thousands of jobs, of many nodes, as
    /// for one. `StaleLease`.
    async fn enqueue_jobs(&self, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<Vec<Job>>;
    /// Those of these jobs that have ended, with their results, in the given order. A job that cannot be read has failed
    /// with `E-INTERNAL`; one that is unknown is absent.
    async fn ended_jobs(&self, ids: Vec<JobId>) -> Result<Vec<Job>>;
    /// Ends an execution: last events, outputs, records, error, cost, open jobs failed, workflow statistics, terminal event.
    /// `StaleLease`.
    async fn finish(&self, lease: ExecutionLease, end: FinishedExecution) -> Result<()>;
    /// Which of these leases are lost: cancelled, ended or taken over.
    async fn lost_leases(&self, leases: Vec<ExecutionLease>) -> Result<Vec<ExecutionId>>;
    /// Every lease that this engine holds, as the store sees it.
    async fn leases_of(&self, engine: WorkerId) -> Result<Vec<ExecutionLease>>;
    /// Fails up to `limit` executions with `E-TIMEOUT`, with their open jobs: those that wait past their deadline, and those
    /// that still run [`DEADLINE_GRACE_MS`](crate::DEADLINE_GRACE_MS) after it, because nobody ended them.
    async fn expire_executions(&self, limit: u32) -> Result<Vec<ExecutionId>>;

    // ── Jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// One job with its result.
    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Job>;
    /// Jobs, newest first, without results.
    async fn jobs(&self, tenant: TenantId, filter: JobFilter, page: PageRequest<JobId>) -> Result<Page<Job, JobId>>;
    /// How many such jobs there are, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_jobs(&self, tenant: TenantId, filter: JobFilter) -> Result<u64>;
    /// Every model that has claimable jobs, with its first one.
    async fn job_heads(&self) -> Result<Vec<ModelHead>>;
    /// Takes a batch: `running`, a new token, a lease. Order: rank, virtual time, id. The attempt counts and its deadline
    /// runs from the claim with [`ClaimRequest::begin`], else from [`Store::begin_jobs`]. A job that cannot be read fails
    /// with `E-INTERNAL`.
    async fn claim_jobs(&self, worker: WorkerId, request: ClaimRequest) -> Result<Vec<ClaimedJob>>;
    /// Computing starts: counts the attempt and starts the deadline of claimed jobs, once each. The answer names those that
    /// the worker still holds; drop the others. A job that has not begun has no deadline while its worker shows signs of
    /// life, and costs no attempt when the worker is lost.
    async fn begin_jobs(&self, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>>;
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
    /// Gives jobs back at a graceful stop: `queued`, the attempt not counted. The answer names those given back; the others
    /// were stale.
    async fn release_jobs(&self, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>>;
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

    /// Registers a model or brings it up to date. When its digest changes, state and breaker start anew, and the reference
    /// to the former weights ends unless another model of the tenant is made of them.
    async fn upsert_model(&self, new: NewModel) -> Result<ModelRow>;
    /// A model of the tenant or of the built-in one; the tenant's own wins.
    async fn model(&self, tenant: TenantId, id: &str) -> Result<ModelRow>;
    /// Models that the tenant sees, by id.
    async fn models(&self, tenant: TenantId, filter: ModelFilter) -> Result<Vec<ModelRow>>;
    /// Switches a model on, off, or marks it broken. Its own tenant's only.
    async fn set_model_state(&self, tenant: TenantId, id: &str, state: ModelState) -> Result<ModelRow>;
    /// Closes an open breaker: the model works again, and the jobs that were held for it are due at once.
    async fn close_breaker(&self, model_id: &str) -> Result<()>;

    // ── Block packages ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Publishes a version: package, version, component and reference in one transaction. The same bytes under the same
    /// version are `known`; what was withdrawn is published again. `AlreadyExists` (other bytes), `Quota`, `BlobBusy`.
    async fn publish_block_version(&self, new: NewBlockVersion) -> Result<PublishedVersion>;
    /// A package that was not deleted.
    async fn block_package(&self, tenant: TenantId, key: PackageKey) -> Result<BlockPackage>;
    /// The tenant's packages, newest first; their number is bounded by the quota.
    async fn block_packages(&self, tenant: TenantId) -> Result<Vec<BlockPackage>>;
    /// Versions of a package, newest first.
    async fn block_versions(&self, tenant: TenantId, id: PackageId) -> Result<Vec<BlockVersion>>;
    /// One version, withdrawn or not.
    async fn block_version(&self, tenant: TenantId, id: PackageId, version: &str) -> Result<BlockVersion>;
    /// What an execution is pinned to: the version of the package with these bytes, also after it was withdrawn or its
    /// package deleted, as long as the bytes are kept.
    async fn pinned_block_version(
        &self,
        tenant: TenantId,
        package: &str,
        version: &str,
        digest: &Digest,
    ) -> Result<BlockVersion>;
    /// Every version that definitions of the tenant can name. One that cannot be read is left out.
    async fn named_block_versions(&self, tenant: TenantId) -> Result<Vec<NamedVersion>>;
    /// Whose packages changed after a revision; 0 asks for all. Cheap: processes ask once a second.
    async fn package_changes(&self, after: u64) -> Result<PackageChanges>;
    /// Block types that the nodes of the tenant's active workflows name, as they are written.
    async fn block_types_in_use(&self, tenant: TenantId) -> Result<Vec<String>>;
    /// Makes a version the active one, in one step. `Conflict` when it was withdrawn or is quarantined.
    async fn activate_block_version(
        &self,
        tenant: TenantId,
        id: PackageId,
        version: &str,
        quarantined: Quarantined,
    ) -> Result<BlockPackage>;
    /// Makes the previous version the active one, and the active one the previous. `Conflict` without one.
    async fn roll_back_block_package(&self, tenant: TenantId, id: PackageId) -> Result<BlockPackage>;
    /// Takes a published version out of use for a reason; the previous one becomes active in its place.
    async fn quarantine_block_version(
        &self,
        tenant: TenantId,
        id: PackageId,
        version: &str,
        reason: &str,
    ) -> Result<BlockPackage>;
    /// Grants a package these capabilities, and none besides.
    async fn grant_block_package(&self, tenant: TenantId, id: PackageId, grants: PackageGrants)
    -> Result<BlockPackage>;
    /// Withdraws a version; the previous one becomes active in its place. Its bytes stay while an open execution is pinned
    /// to them, and go with [`Store::prune`].
    async fn yank_block_version(&self, tenant: TenantId, id: PackageId, version: &str) -> Result<BlockPackage>;
    /// Withdraws every version, and the package is not found any more.
    async fn delete_block_package(&self, tenant: TenantId, id: PackageId) -> Result<()>;

    /// Whose signatures the tenant trusts, by name.
    async fn publishers(&self, tenant: TenantId) -> Result<Vec<Publisher>>;
    /// Trusts a publisher, or gives it another key. `Quota`.
    async fn put_publisher(&self, tenant: TenantId, name: &str, public_key: [u8; 32]) -> Result<()>;
    /// Trusts a publisher no longer; what it signed before stays. `NotFound`.
    async fn delete_publisher(&self, tenant: TenantId, name: &str) -> Result<()>;

    // ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The tenant's secrets, by name.
    async fn secrets(&self, tenant: TenantId) -> Result<Vec<SecretName>>;
    /// What was sealed under a name.
    async fn secret(&self, tenant: TenantId, name: &str) -> Result<Vec<u8>>;
    /// Keeps what was sealed, in place of what was there. `Quota` beyond [`MOST_SECRETS`](crate::MOST_SECRETS).
    async fn put_secret(&self, tenant: TenantId, name: &str, ciphertext: Vec<u8>) -> Result<()>;
    /// Forgets a secret.
    async fn delete_secret(&self, tenant: TenantId, name: &str) -> Result<()>;

    // ── Blobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Records stored bytes together with a first reference. `BlobBusy`: see [`NewBlob`].
    async fn record_blob(&self, blob: NewBlob, reference: BlobRef) -> Result<Blob>;
    /// A blob to which the tenant holds a reference.
    async fn blob(&self, tenant: TenantId, digest: &Digest) -> Result<Blob>;
    /// Drops the tenant's upload reference. `NotFound` without one; `InUse` while it reads the blob by another.
    async fn drop_upload(&self, tenant: TenantId, digest: &Digest) -> Result<()>;
    /// Marks up to `limit` blobs that lost their last reference [`SECOND_LOOK_MS`](crate::SECOND_LOOK_MS) ago: nobody can
    /// refer to them from now on. Delete their bytes, then [`Store::forget_blobs`]. Names those left by a crash again.
    async fn condemn_blobs(&self, limit: u32) -> Result<Vec<Digest>>;
    /// Of these stored bytes, those that no row knows, marked as [`Store::condemn_blobs`] does.
    async fn condemn_unknown(&self, digests: Vec<Digest>) -> Result<Vec<Digest>>;
    /// Drops the rows of marked blobs whose bytes are deleted.
    async fn forget_blobs(&self, digests: Vec<Digest>) -> Result<()>;

    // ── Tenants and keys ────────────────────────────────────────────────────────────────────────────────────────────

    /// Creates a tenant. `AlreadyExists` when its slug is taken.
    async fn create_tenant(&self, new: NewTenant) -> Result<Tenant>;
    /// A tenant by its id.
    async fn tenant(&self, id: TenantId) -> Result<Tenant>;
    /// A tenant by its slug.
    async fn tenant_named(&self, slug: &Slug) -> Result<Tenant>;
    /// All tenants, newest first.
    async fn tenants(&self, page: PageRequest<TenantId>) -> Result<Page<Tenant, TenantId>>;
    /// How many tenants there are, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_tenants(&self) -> Result<u64>;
    /// Changes a tenant.
    async fn update_tenant(&self, id: TenantId, change: TenantChange) -> Result<Tenant>;
    /// Deletes a tenant with everything that it has, in pages; its keys are refused from the first one on. `NotFound`, `Conflict`
    /// for the built-in one, `InUse` while executions of it have not ended.
    async fn delete_tenant(&self, id: TenantId) -> Result<()>;
    /// What a tenant used, in the order of the groups; at most 10,000. An execution counts where it ended.
    async fn usage(&self, id: TenantId, query: UsageQuery) -> Result<Vec<Usage>>;
    /// What a tenant may have where that is not the default.
    async fn quotas(&self, id: TenantId) -> Result<QuotaChanges>;
    /// Sets what a tenant may have; what is not named becomes the default. `NotFound` (tenant).
    async fn set_quotas(&self, id: TenantId, changes: QuotaChanges) -> Result<()>;
    /// Creates a key; its hash is stored, never itself. `NotFound` (tenant).
    async fn create_key(&self, new: NewApiKey) -> Result<ApiKey>;
    /// Keys of a tenant, or of all, newest first, revoked ones too.
    async fn api_keys(&self, tenant: Option<TenantId>, page: PageRequest<KeyId>) -> Result<Page<ApiKey, KeyId>>;
    /// How many keys there are, counted to [`COUNT_CAP`](crate::COUNT_CAP).
    async fn count_api_keys(&self) -> Result<u64>;
    /// Revokes a key, once and for all.
    async fn revoke_key(&self, id: KeyId) -> Result<()>;
    /// Who presents the key with this hash. `NotFound` also when it was revoked or has expired.
    async fn key_owner(&self, hash: KeyHash) -> Result<KeyOwner>;
    /// Records that a key is in use, unless that was recorded within the last minute.
    async fn key_used(&self, id: KeyId) -> Result<()>;

    // ── The whole ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Hints about changes; see [`Signal`]. Subscribe first, then read, then wait.
    fn subscribe(&self) -> broadcast::Receiver<Signal>;
    /// The store's present time.
    fn now(&self) -> Timestamp;
    /// How much waits.
    async fn queue_depth(&self) -> Result<QueueDepth>;
    /// Deletes up to about `limit` rows of each kind that are past their time, in one transaction.
    async fn prune(&self, retention: Retention, limit: u32) -> Result<Pruned>;
    /// Succeeds when a row could be written within the last second.
    async fn ping(&self) -> Result<()>;
    /// What was done so far.
    fn statistics(&self) -> StoreStatistics;
    /// Ends, with the reason, when the store has failed for good: its writer, after which every operation is `Unavailable`,
    /// or what keeps its log short. The process should stop. Never ends otherwise.
    async fn failed(&self) -> String;
    /// Finishes what is queued and lets go of the database. Operations after that are `Unavailable`.
    async fn close(&self);
}
