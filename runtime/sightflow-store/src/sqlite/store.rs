//! The trait, operation by operation: which module does it, and whether it reads or writes.

use async_trait::async_trait;
use sightflow_types::{
    Digest, ExecutionId, ExecutionStatus, JobId, KeyId, PackageId, TenantId, Timestamp, WorkerId, WorkflowId,
};
use tokio::sync::broadcast;

use super::submit::Submitted;
use super::{
    SqliteStore, api_keys, blobs, block_packages, claims, effects, ending, engines, events, executions, failures, jobs,
    models, probe, prune, publishers, quotas, records, replay, row, secrets, submit, tenants, usage, versions, workers,
    workflows,
};
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
use crate::store::{QueueDepth, Store, StoreStatistics};
use crate::tenant::{NewTenant, Slug, Tenant, TenantChange};
use crate::usage::{Usage, UsageQuery};
use crate::worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker};
use crate::workflow::{
    Created, Definitions, NewWorkflow, OpenExecutions, Replayed, Workflow, WorkflowChange, WorkflowFilter,
    WorkflowHead, WorkflowVersion,
};

/// Most executions that one transaction deletes: others wait for it.
const DELETE_PAGE: u32 = 100;

#[async_trait]
impl Store for SqliteStore {
    async fn create_workflow(&self, new: NewWorkflow) -> Result<Created<Workflow>> {
        self.write(move |tx| Box::pin(workflows::create(tx, new))).await
    }

    async fn workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
        workflows::get(&self.readers, tenant, id).await
    }

    async fn workflow_head(&self, tenant: TenantId, id: WorkflowId, version: Option<u32>) -> Result<WorkflowHead> {
        versions::head(&self.readers, tenant, id, version).await
    }

    async fn check_workflow(&self, tenant: TenantId, id: WorkflowId) -> Result<()> {
        workflows::check(&self.readers, tenant, id).await
    }

    async fn workflows(
        &self,
        tenant: TenantId,
        filter: WorkflowFilter,
        definitions: Definitions,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>> {
        workflows::list(&self.readers, tenant, filter, definitions, page).await
    }

    async fn count_workflows(&self, tenant: TenantId, filter: WorkflowFilter) -> Result<u64> {
        workflows::count(&self.readers, tenant, filter).await
    }

    async fn update_workflow(
        &self,
        tenant: TenantId,
        id: WorkflowId,
        change: WorkflowChange,
    ) -> Result<Created<Workflow>> {
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
        workflows::check(&self.readers, tenant, id).await?;
        versions::list(&self.readers, id, page).await
    }

    async fn count_workflow_versions(&self, tenant: TenantId, id: WorkflowId) -> Result<u64> {
        workflows::check(&self.readers, tenant, id).await?;
        versions::count(&self.readers, id).await
    }

    async fn workflow_version(&self, tenant: TenantId, id: WorkflowId, version: u32) -> Result<WorkflowVersion> {
        workflows::check(&self.readers, tenant, id).await?;
        versions::one(&self.readers, id, version).await
    }

    async fn replayed(&self, tenant: TenantId, key: &Idempotency) -> Result<Option<Replayed>> {
        replay::replayed(&self.readers, tenant, key, self.time.now().millis()).await
    }

    async fn submit(&self, new: NewExecution) -> Result<Created<Execution>> {
        let (tenant, inline) = (new.tenant_id, submit::inline(&new.source));
        Ok(match self.write(move |tx| Box::pin(submit::submit(tx, new, inline))).await? {
            Submitted::New(execution) => Created { value: *execution, replayed: false },
            Submitted::Known(id) => {
                Created { value: executions::get(&self.readers, tenant, id).await?, replayed: true }
            }
        })
    }

    async fn execution(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
        executions::get(&self.readers, tenant, id).await
    }

    async fn execution_status(&self, tenant: TenantId, id: ExecutionId) -> Result<ExecutionStatus> {
        executions::status(&self.readers, tenant, id).await
    }

    async fn execution_definition(&self, tenant: TenantId, id: ExecutionId) -> Result<RunDefinition> {
        executions::definition(&self.readers, tenant, id).await
    }

    async fn node_record(
        &self,
        tenant: TenantId,
        id: ExecutionId,
        node_id: &str,
        item_path: &str,
    ) -> Result<Option<NodeRecord>> {
        executions::check(&self.readers, tenant, id).await?;
        records::one(&self.readers, id, node_id, item_path).await
    }

    async fn node_items(
        &self,
        tenant: TenantId,
        id: ExecutionId,
        node_id: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<NodeRecord, String>> {
        executions::check(&self.readers, tenant, id).await?;
        records::items(&self.readers, id, node_id, after, limit).await
    }

    async fn count_node_items(&self, tenant: TenantId, id: ExecutionId, node_id: &str) -> Result<u64> {
        executions::check(&self.readers, tenant, id).await?;
        records::count_items(&self.readers, id, node_id).await
    }

    async fn job_summaries(&self, tenant: TenantId, id: ExecutionId, node_id: Option<&str>) -> Result<Vec<JobSummary>> {
        executions::check(&self.readers, tenant, id).await?;
        jobs::summaries(&self.readers, id, node_id).await
    }

    async fn executions(
        &self,
        tenant: TenantId,
        filter: ExecutionFilter,
        page: PageRequest<ExecutionId>,
    ) -> Result<Page<Execution, ExecutionId>> {
        executions::list(&self.readers, tenant, filter, page).await
    }

    async fn count_executions(&self, tenant: TenantId, filter: ExecutionFilter) -> Result<u64> {
        executions::count(&self.readers, tenant, filter).await
    }

    async fn events_after(&self, tenant: TenantId, id: ExecutionId, seq: i64, limit: u32) -> Result<Vec<Event>> {
        events::after(&self.readers, tenant, id, seq, limit).await
    }

    async fn cancel(&self, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
        self.write(move |tx| Box::pin(ending::cancel(tx, tenant, id))).await?;
        executions::get(&self.readers, tenant, id).await
    }

    async fn delete_execution(&self, tenant: TenantId, id: ExecutionId) -> Result<()> {
        self.write(move |tx| Box::pin(ending::delete(tx, tenant, id))).await
    }

    async fn clear_executions(&self, tenant: TenantId, workflow: WorkflowId) -> Result<u64> {
        workflows::check(&self.readers, tenant, workflow).await?;
        let mut deleted = 0;
        loop {
            let page = self.write(move |tx| Box::pin(ending::clear(tx, workflow, DELETE_PAGE))).await?;
            deleted += page;
            if page < u64::from(DELETE_PAGE) {
                return Ok(deleted);
            }
        }
    }

    async fn start_executions(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
        if !engines::any_ready(&self.readers).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| Box::pin(engines::start(tx, engine, limit))).await
    }

    async fn take_over(&self, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
        if !engines::any_orphan(&self.readers).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| Box::pin(engines::take_over(tx, engine, limit))).await
    }

    async fn hand_back(&self, lease: ExecutionLease) -> Result<()> {
        self.write(move |tx| Box::pin(engines::hand_back(tx, lease))).await
    }

    async fn give_up(&self, lease: ExecutionLease) -> Result<()> {
        self.write(move |tx| Box::pin(engines::give_up(tx, lease))).await
    }

    async fn append_events(&self, lease: ExecutionLease, append: Append) -> Result<()> {
        self.write(move |tx| Box::pin(engines::append(tx, lease, append))).await
    }

    async fn begin_effect(&self, lease: ExecutionLease, new: NewEffect) -> Result<BegunEffect> {
        self.write(move |tx| Box::pin(effects::begin(tx, lease, new))).await
    }

    async fn end_effect(&self, lease: ExecutionLease, node: &str, item: &str, end: EffectEnd) -> Result<()> {
        let (node, item) = (node.to_owned(), item.to_owned());
        self.write(move |tx| Box::pin(async move { effects::end(tx, lease, &node, &item, end).await })).await
    }

    async fn effects(&self, tenant: TenantId, id: ExecutionId) -> Result<Vec<Effect>> {
        effects::list(&self.readers, tenant, id).await
    }

    async fn enqueue_jobs(&self, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        let names = jobs::names(&jobs);
        self.write(move |tx| Box::pin(jobs::enqueue(tx, lease, jobs))).await?;
        // They can be thousands: nobody's write waits for them to be read.
        jobs::named(&self.readers, lease.execution_id, names).await
    }

    async fn ended_jobs(&self, ids: Vec<JobId>) -> Result<Vec<Job>> {
        jobs::ended(&self.readers, &ids).await
    }

    async fn finish(&self, lease: ExecutionLease, end: FinishedExecution) -> Result<()> {
        self.write(move |tx| Box::pin(engines::finish(tx, lease, end))).await
    }

    async fn lost_leases(&self, leases: Vec<ExecutionLease>) -> Result<Vec<ExecutionId>> {
        engines::lost(&self.readers, &leases).await
    }

    async fn leases_of(&self, engine: WorkerId) -> Result<Vec<ExecutionLease>> {
        engines::leases_of(&self.readers, engine).await
    }

    async fn expire_executions(&self, limit: u32) -> Result<Vec<ExecutionId>> {
        let found = ending::overdue(&self.readers, self.time.now().millis(), limit).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |tx| Box::pin(async move { ending::expire(tx, &found).await })).await
    }

    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Job> {
        jobs::get(&self.readers, tenant, id).await
    }

    async fn jobs(&self, tenant: TenantId, filter: JobFilter, page: PageRequest<JobId>) -> Result<Page<Job, JobId>> {
        jobs::list(&self.readers, tenant, filter, page).await
    }

    async fn count_jobs(&self, tenant: TenantId, filter: JobFilter) -> Result<u64> {
        jobs::count(&self.readers, tenant, filter).await
    }

    async fn job_heads(&self) -> Result<Vec<ModelHead>> {
        claims::heads(&self.readers).await
    }

    async fn claim_jobs(&self, worker: WorkerId, request: ClaimRequest) -> Result<Vec<ClaimedJob>> {
        self.write(move |tx| Box::pin(claims::claim(tx, worker, request))).await
    }

    async fn begin_jobs(&self, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>> {
        self.write(move |tx| Box::pin(claims::begin(tx, worker, jobs))).await
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

    async fn release_jobs(&self, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>> {
        self.write(move |tx| Box::pin(claims::release(tx, worker, jobs))).await
    }

    async fn rescue(&self) -> Result<Vec<RescuedJob>> {
        if !failures::anything_to_rescue(&self.readers, self.time.now().millis()).await? {
            return Ok(Vec::new());
        }
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

    async fn publish_block_version(&self, new: NewBlockVersion) -> Result<PublishedVersion> {
        self.write(move |tx| Box::pin(block_packages::publish(tx, new))).await
    }

    async fn block_package(&self, tenant: TenantId, key: PackageKey) -> Result<BlockPackage> {
        block_packages::package(&self.readers, tenant, &key).await
    }

    async fn block_packages(&self, tenant: TenantId) -> Result<Vec<BlockPackage>> {
        block_packages::list(&self.readers, tenant).await
    }

    async fn block_versions(&self, tenant: TenantId, id: PackageId) -> Result<Vec<BlockVersion>> {
        block_packages::list_versions(&self.readers, tenant, id).await
    }

    async fn block_version(&self, tenant: TenantId, id: PackageId, version: &str) -> Result<BlockVersion> {
        block_packages::version(&self.readers, tenant, id, version).await
    }

    async fn pinned_block_version(
        &self,
        tenant: TenantId,
        package: &str,
        version: &str,
        digest: &Digest,
    ) -> Result<BlockVersion> {
        block_packages::pinned(&self.readers, tenant, package, version, digest).await
    }

    async fn named_block_versions(&self, tenant: TenantId) -> Result<Vec<NamedVersion>> {
        block_packages::named(&self.readers, tenant).await
    }

    async fn package_changes(&self, after: u64) -> Result<PackageChanges> {
        block_packages::changes(&self.readers, after).await
    }

    async fn block_types_in_use(&self, tenant: TenantId) -> Result<Vec<String>> {
        block_packages::types_in_use(&self.readers, tenant).await
    }

    async fn activate_block_version(
        &self,
        tenant: TenantId,
        id: PackageId,
        version: &str,
        quarantined: Quarantined,
    ) -> Result<BlockPackage> {
        let version = version.to_owned();
        self.write(move |tx| {
            Box::pin(async move { block_packages::activate(tx, tenant, id, &version, quarantined).await })
        })
        .await
    }

    async fn roll_back_block_package(&self, tenant: TenantId, id: PackageId) -> Result<BlockPackage> {
        self.write(move |tx| Box::pin(block_packages::rollback(tx, tenant, id))).await
    }

    async fn quarantine_block_version(
        &self,
        tenant: TenantId,
        id: PackageId,
        version: &str,
        reason: &str,
    ) -> Result<BlockPackage> {
        let (version, reason) = (version.to_owned(), reason.to_owned());
        self.write(move |tx| {
            Box::pin(async move { block_packages::quarantine(tx, tenant, id, &version, &reason).await })
        })
        .await
    }

    async fn grant_block_package(
        &self,
        tenant: TenantId,
        id: PackageId,
        grants: PackageGrants,
    ) -> Result<BlockPackage> {
        self.write(move |tx| Box::pin(async move { block_packages::grant(tx, tenant, id, &grants).await })).await
    }

    async fn yank_block_version(&self, tenant: TenantId, id: PackageId, version: &str) -> Result<BlockPackage> {
        let version = version.to_owned();
        self.write(move |tx| Box::pin(async move { block_packages::yank(tx, tenant, id, &version).await })).await
    }

    async fn delete_block_package(&self, tenant: TenantId, id: PackageId) -> Result<()> {
        self.write(move |tx| Box::pin(block_packages::delete(tx, tenant, id))).await
    }

    async fn secrets(&self, tenant: TenantId) -> Result<Vec<SecretName>> {
        secrets::list(&self.readers, tenant).await
    }

    async fn secret(&self, tenant: TenantId, name: &str) -> Result<Vec<u8>> {
        secrets::get(&self.readers, tenant, name).await
    }

    async fn put_secret(&self, tenant: TenantId, name: &str, ciphertext: Vec<u8>) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| Box::pin(async move { secrets::put(tx, tenant, &name, &ciphertext).await })).await
    }

    async fn delete_secret(&self, tenant: TenantId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| Box::pin(async move { secrets::delete(tx, tenant, &name).await })).await
    }

    async fn record_blob(&self, blob: NewBlob, reference: BlobRef) -> Result<Blob> {
        self.write(move |tx| Box::pin(blobs::record_one(tx, blob, reference))).await
    }

    async fn blob(&self, tenant: TenantId, digest: &Digest) -> Result<Blob> {
        blobs::get(&self.readers, tenant, digest).await
    }

    async fn drop_upload(&self, tenant: TenantId, digest: &Digest) -> Result<()> {
        let digest = *digest;
        self.write(move |tx| Box::pin(async move { blobs::drop_upload(tx, tenant, &digest).await })).await
    }

    async fn condemn_blobs(&self, limit: u32) -> Result<Vec<Digest>> {
        if !blobs::anything_to_condemn(&self.readers, self.time.now().millis()).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| Box::pin(blobs::condemn(tx, limit))).await
    }

    async fn condemn_unknown(&self, digests: Vec<Digest>) -> Result<Vec<Digest>> {
        let unknown = blobs::unknown(&self.readers, &digests).await?;
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |tx| Box::pin(async move { blobs::condemn_unknown(tx, &unknown).await })).await
    }

    async fn forget_blobs(&self, digests: Vec<Digest>) -> Result<()> {
        self.write(move |tx| Box::pin(async move { blobs::forget(tx, &digests).await })).await
    }

    async fn create_tenant(&self, new: NewTenant) -> Result<Tenant> {
        self.write(move |tx| Box::pin(tenants::create(tx, new))).await
    }

    async fn tenant(&self, id: TenantId) -> Result<Tenant> {
        tenants::get(&self.readers, id).await
    }

    async fn tenant_named(&self, slug: &Slug) -> Result<Tenant> {
        tenants::named(&self.readers, slug).await
    }

    async fn tenants(&self, page: PageRequest<TenantId>) -> Result<Page<Tenant, TenantId>> {
        tenants::list(&self.readers, page).await
    }

    async fn count_tenants(&self) -> Result<u64> {
        tenants::count(&self.readers).await
    }

    async fn update_tenant(&self, id: TenantId, change: TenantChange) -> Result<Tenant> {
        self.write(move |tx| Box::pin(tenants::update(tx, id, change))).await
    }

    async fn publishers(&self, tenant: TenantId) -> Result<Vec<Publisher>> {
        publishers::list(&self.readers, tenant).await
    }

    async fn put_publisher(&self, tenant: TenantId, name: &str, public_key: [u8; 32]) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| Box::pin(async move { publishers::put(tx, tenant, &name, public_key).await })).await
    }

    async fn delete_publisher(&self, tenant: TenantId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| Box::pin(async move { publishers::delete(tx, tenant, &name).await })).await
    }

    async fn usage(&self, id: TenantId, query: UsageQuery) -> Result<Vec<Usage>> {
        usage::list(&self.readers, id, query).await
    }

    async fn quotas(&self, id: TenantId) -> Result<QuotaChanges> {
        quotas::get(&self.readers, id).await
    }

    async fn set_quotas(&self, id: TenantId, changes: QuotaChanges) -> Result<()> {
        self.write(move |tx| Box::pin(async move { quotas::set(tx, id, &changes).await })).await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<()> {
        while !self.write(move |tx| Box::pin(tenants::delete_page(tx, id, DELETE_PAGE))).await? {}
        Ok(())
    }

    async fn create_key(&self, new: NewApiKey) -> Result<ApiKey> {
        self.write(move |tx| Box::pin(api_keys::create(tx, new))).await
    }

    async fn api_keys(&self, tenant: Option<TenantId>, page: PageRequest<KeyId>) -> Result<Page<ApiKey, KeyId>> {
        api_keys::list(&self.readers, tenant, page).await
    }

    async fn count_api_keys(&self) -> Result<u64> {
        api_keys::count(&self.readers).await
    }

    async fn revoke_key(&self, id: KeyId) -> Result<()> {
        self.write(move |tx| Box::pin(api_keys::revoke(tx, id))).await
    }

    async fn key_owner(&self, hash: KeyHash) -> Result<KeyOwner> {
        api_keys::owner(&self.readers, hash, self.time.now().millis()).await
    }

    async fn key_used(&self, id: KeyId) -> Result<()> {
        self.write(move |tx| Box::pin(api_keys::used(tx, id))).await
    }

    fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    fn now(&self) -> Timestamp {
        self.time.now()
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        // Within a rank the first row is the oldest: ten looks at the key instead of one at every row.
        let row: (i64, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT value FROM wf_counters WHERE name = 'waiting_executions'),
               (SELECT min((SELECT r.queued_at FROM wf_ready_executions r WHERE r.rank = i.value ORDER BY r.vt, r.execution_id LIMIT 1))
                FROM json_each('[1,2,3,4,5,6,7,8,9,10]') i)",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(QueueDepth { waiting_executions: row::number(row.0)?, oldest_waiting_since: row::time(row.1) })
    }

    async fn prune(&self, retention: Retention, limit: u32) -> Result<Pruned> {
        let old = match retention.versions {
            Some(kept) => Some(prune::old_versions(&self.readers, kept, limit).await?),
            None => None,
        };
        self.write(move |tx| Box::pin(prune::prune(tx, retention, old, limit))).await
    }

    async fn ping(&self) -> Result<()> {
        probe::ping(self).await
    }

    fn statistics(&self) -> StoreStatistics {
        self.log.statistics()
    }

    async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        let reason = failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // Closed in good order: it can never fail.
            None => std::future::pending().await,
        }
    }

    async fn close(&self) {
        self.shut().await;
    }
}
