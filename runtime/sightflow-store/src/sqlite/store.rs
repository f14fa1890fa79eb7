//! The trait, operation by operation: which module does it, and whether it reads or writes.

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::{Digest, ExecutionId, JobId, TenantId, Timestamp, WorkerId, WorkflowId};
use tokio::sync::broadcast;

use super::{SqliteStore, blobs, claims, engines, events, executions, failures, jobs, models, row, workers, workflows};
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
use crate::store::{QueueDepth, Store};
use crate::worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker};
use crate::workflow::{
    Created, NewWorkflow, OpenExecutions, Workflow, WorkflowChange, WorkflowFilter, WorkflowVersion,
};

#[async_trait]
impl Store for SqliteStore {
    async fn create_workflow(&self, new: NewWorkflow) -> Result<Created<Workflow>> {
        self.write(move |tx| Box::pin(workflows::create(tx, new))).await
    }

    async fn workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
        workflows::get(&self.readers, tenant, id).await
    }

    async fn workflows(
        &self,
        tenant: TenantId,
        filter: WorkflowFilter,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>> {
        workflows::list(&self.readers, tenant, filter, page).await
    }

    async fn update_workflow(&self, tenant: TenantId, id: WorkflowId, change: WorkflowChange) -> Result<Workflow> {
        self.write(move |tx| Box::pin(workflows::update(tx, tenant, id, change))).await
    }

    async fn delete_workflow(&self, tenant: TenantId, id: WorkflowId, open: OpenExecutions) -> Result<()> {
        self.write(move |tx| Box::pin(workflows::delete(tx, tenant, id, open))).await
    }

    async fn workflow_versions(
        &self,
        tenant: TenantId,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Page<WorkflowVersion, u32>> {
        workflows::versions(&self.readers, tenant, id, page).await
    }

    async fn workflow_version(&self, tenant: TenantId, id: WorkflowId, version: u32) -> Result<WorkflowVersion> {
        workflows::version(&self.readers, tenant, id, version).await
    }

    async fn submit(&self, new: NewExecution) -> Result<Created<Execution>> {
        self.write(move |tx| Box::pin(executions::submit(tx, new))).await
    }

    async fn execution(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
        executions::get(&self.readers, tenant, id).await
    }

    async fn execution_definition(&self, tenant: TenantId, id: ExecutionId) -> Result<Value> {
        executions::definition(&self.readers, tenant, id).await
    }

    async fn executions(
        &self,
        tenant: TenantId,
        filter: ExecutionFilter,
        page: PageRequest<ExecutionId>,
    ) -> Result<Page<Execution, ExecutionId>> {
        executions::list(&self.readers, tenant, filter, page).await
    }

    async fn events_after(&self, tenant: TenantId, id: ExecutionId, seq: i64, limit: u32) -> Result<Vec<Event>> {
        events::after(&self.readers, tenant, id, seq, limit).await
    }

    async fn cancel(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
        self.write(move |tx| Box::pin(executions::cancel(tx, tenant, id))).await
    }

    async fn delete_execution(&self, tenant: TenantId, id: ExecutionId) -> Result<()> {
        self.write(move |tx| Box::pin(executions::delete(tx, tenant, id))).await
    }

    async fn clear_executions(&self, tenant: TenantId, workflow: WorkflowId) -> Result<u64> {
        self.write(move |tx| Box::pin(executions::clear(tx, tenant, workflow))).await
    }

    async fn start_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
        self.write(move |tx| Box::pin(engines::start(tx, engine, limit))).await
    }

    async fn take_over(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
        self.write(move |tx| Box::pin(engines::take_over(tx, engine, limit))).await
    }

    async fn hand_back(&self, lease: ExecutionLease) -> Result<()> {
        self.write(move |tx| Box::pin(engines::hand_back(tx, lease))).await
    }

    async fn set_pins(&self, lease: ExecutionLease, pins: Value) -> Result<()> {
        self.write(move |tx| Box::pin(engines::set_pins(tx, lease, pins))).await
    }

    async fn append_events(
        &self,
        lease: ExecutionLease,
        events: Vec<NewEvent>,
        progress: Option<Progress>,
    ) -> Result<()> {
        self.write(move |tx| Box::pin(engines::append(tx, lease, events, progress))).await
    }

    async fn enqueue_jobs(&self, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        self.write(move |tx| Box::pin(jobs::enqueue(tx, lease, jobs))).await
    }

    async fn jobs_of(&self, execution: ExecutionId) -> Result<Vec<Job>> {
        jobs::of_execution(&self.readers, execution).await
    }

    async fn finish(&self, lease: ExecutionLease, end: FinishedExecution) -> Result<()> {
        self.write(move |tx| Box::pin(engines::finish(tx, lease, end))).await
    }

    async fn lost_leases(&self, leases: Vec<ExecutionLease>) -> Result<Vec<ExecutionId>> {
        engines::lost(&self.readers, &leases).await
    }

    async fn overdue_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<ExecutionLease>> {
        engines::overdue(&self.readers, engine, self.time().millis(), limit).await
    }

    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Job> {
        jobs::get(&self.readers, tenant, id).await
    }

    async fn jobs(&self, tenant: TenantId, filter: JobFilter, page: PageRequest<JobId>) -> Result<Page<Job, JobId>> {
        jobs::list(&self.readers, tenant, filter, page).await
    }

    async fn job_heads(&self) -> Result<Vec<ModelHead>> {
        claims::heads(&self.readers).await
    }

    async fn claim_jobs(&self, worker: WorkerId, request: ClaimRequest) -> Result<Vec<ClaimedJob>> {
        self.write(move |tx| Box::pin(claims::claim(tx, worker, request))).await
    }

    async fn complete_jobs(&self, worker: WorkerId, results: Vec<JobResult>) -> Result<Vec<JobId>> {
        self.write(move |tx| Box::pin(claims::complete(tx, worker, results))).await
    }

    async fn complete_and_claim(
        &self,
        worker: WorkerId,
        results: Vec<JobResult>,
        next: ClaimRequest,
    ) -> Result<(Vec<JobId>, Vec<ClaimedJob>)> {
        self.write(move |tx| {
            Box::pin(async move {
                let recorded = claims::complete(tx, worker, results).await?;
                Ok((recorded, claims::claim(tx, worker, next).await?))
            })
        })
        .await
    }

    async fn fail_jobs(&self, worker: WorkerId, failures: Vec<JobFailure>) -> Result<Vec<FailureOutcome>> {
        self.write(move |tx| Box::pin(failures::fail(tx, worker, failures))).await
    }

    async fn set_job_progress(&self, worker: WorkerId, progress: Vec<(JobLease, u8)>) -> Result<()> {
        self.write(move |tx| Box::pin(claims::set_progress(tx, worker, progress))).await
    }

    async fn release_jobs(&self, worker: WorkerId, jobs: Vec<JobId>) -> Result<Vec<JobId>> {
        self.write(move |tx| Box::pin(async move { claims::release(tx, worker, &jobs).await })).await
    }

    async fn rescue(&self) -> Result<Vec<RescuedJob>> {
        self.write(move |tx| Box::pin(failures::rescue(tx))).await
    }

    async fn promote_due(&self, limit: u32) -> Result<u64> {
        self.write(move |tx| Box::pin(failures::promote(tx, limit))).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        failures::next_due(&self.readers).await
    }

    async fn register_worker(&self, new: NewWorker) -> Result<Worker> {
        self.write(move |tx| Box::pin(workers::register(tx, new))).await
    }

    async fn heartbeat(&self, beat: Heartbeat) -> Result<HeartbeatAnswer> {
        self.write(move |tx| Box::pin(workers::heartbeat(tx, beat))).await
    }

    async fn retire_worker(&self, id: WorkerId) -> Result<()> {
        self.write(move |tx| Box::pin(workers::retire(tx, id))).await
    }

    async fn workers(&self) -> Result<Vec<Worker>> {
        workers::list(&self.readers).await
    }

    async fn upsert_model(&self, new: NewModel) -> Result<ModelRow> {
        self.write(move |tx| Box::pin(models::upsert(tx, new))).await
    }

    async fn model(&self, tenant: TenantId, id: &str) -> Result<ModelRow> {
        models::get(&self.readers, tenant, id).await
    }

    async fn models(&self, tenant: TenantId, filter: ModelFilter) -> Result<Vec<ModelRow>> {
        models::list(&self.readers, tenant, filter).await
    }

    async fn set_model_state(&self, tenant: TenantId, id: &str, state: ModelState) -> Result<ModelRow> {
        let id = id.to_owned();
        self.write(move |tx| Box::pin(async move { models::set_state(tx, tenant, &id, state).await })).await
    }

    async fn close_breaker(&self, model_id: &str) -> Result<()> {
        let model_id = model_id.to_owned();
        self.write(move |tx| Box::pin(async move { models::close_breaker(tx, &model_id).await })).await
    }

    async fn record_blob(&self, blob: NewBlob, reference: BlobRef) -> Result<Blob> {
        self.write(move |tx| Box::pin(blobs::record(tx, blob, reference))).await
    }

    async fn blob(&self, tenant: TenantId, digest: &Digest) -> Result<Blob> {
        blobs::get(&self.readers, tenant, digest).await
    }

    async fn add_blob_refs(&self, digests: Vec<Digest>, reference: BlobRef) -> Result<()> {
        self.write(move |tx| Box::pin(async move { blobs::add_refs(tx, &digests, reference).await })).await
    }

    async fn drop_upload(&self, tenant: TenantId, digest: &Digest) -> Result<()> {
        let digest = *digest;
        self.write(move |tx| Box::pin(async move { blobs::drop_upload(tx, tenant, &digest).await })).await
    }

    async fn mark_unreferenced_blobs(&self, limit: u32) -> Result<u64> {
        self.write(move |tx| Box::pin(blobs::mark_unreferenced(tx, limit))).await
    }

    async fn deletable_blobs(&self, limit: u32) -> Result<Vec<Digest>> {
        self.write(move |tx| Box::pin(blobs::deletable(tx, limit))).await
    }

    async fn forget_blob(&self, digest: &Digest) -> Result<()> {
        let digest = *digest;
        self.write(move |tx| Box::pin(async move { blobs::forget(tx, &digest).await })).await
    }

    fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    fn now(&self) -> Timestamp {
        self.time()
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        let row: (i64, Option<i64>, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM wf_ready_executions), (SELECT min(queued_at) FROM wf_ready_executions),
               (SELECT count(*) FROM wf_ready_jobs), (SELECT count(*) FROM wf_job_leases)",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(QueueDepth {
            waiting_executions: row::number(row.0)?,
            oldest_waiting_since: row::time(row.1),
            ready_jobs: row::number(row.2)?,
            running_jobs: row::number(row.3)?,
        })
    }

    async fn ping(&self) -> Result<()> {
        self.write(|_| Box::pin(async { Ok(()) })).await
    }

    async fn close(&self) {
        self.shut().await;
    }
}
