//! What a case needs: a backend that can be opened again, a clock that stands still, and the check after every case.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, json};
use sightflow_store::{
    ClaimRequest, ClaimedJob, ExecutionLease, FailureClass, FinishedExecution, Idempotency, Job, JobFailure, JobResult,
    ManualClock, NewExecution, NewJob, NewWorker, NewWorkflow, NodeRecord, RunSource, SharedStore, StartedExecution,
    WorkerRole, Workflow,
};
use sightflow_types::{ExecutionMode, ModelSource, Task, TenantId, Timestamp, WorkerId, WorkflowStatus};

pub(crate) const TENANT: TenantId = TenantId::BUILT_IN;

/// One database of some kind, that a case has for itself.
#[async_trait]
pub(crate) trait Backend: Send + Sync + Sized + 'static {
    /// An empty database.
    async fn create(clock: Arc<ManualClock>) -> Self;
    /// Opens it; again after [`sightflow_store::Store::close`].
    async fn open(&self) -> SharedStore;
    /// Runs a statement past the store.
    async fn execute(&self, sql: &str) -> Result<u64, String>;
    /// First column of every row, as text.
    async fn column(&self, sql: &str) -> Vec<String>;
}

pub(crate) struct World<B> {
    pub(crate) backend: B,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<ManualClock>,
}

/// Portable SQL that finds no row in a sound database.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "queued jobs have one ready row",
        "SELECT id FROM wf_inference_jobs j WHERE (status = 'queued') <> ((SELECT count(*) FROM wf_ready_jobs r WHERE r.job_id = j.id) = 1)",
    ),
    (
        "running jobs have one lease with their token",
        "SELECT id FROM wf_inference_jobs j WHERE (status = 'running') <> ((SELECT count(*) FROM wf_job_leases l WHERE l.job_id = j.id AND l.lease_token = j.lease_token) = 1)",
    ),
    (
        "failed jobs have one failed row",
        "SELECT id FROM wf_inference_jobs j WHERE (status = 'failed') <> ((SELECT count(*) FROM wf_failed_jobs f WHERE f.job_id = j.id) = 1)",
    ),
    (
        "pending jobs have one timer",
        "SELECT id FROM wf_inference_jobs j WHERE (status = 'pending') <> ((SELECT count(*) FROM wf_timers t WHERE t.kind = 'job' AND t.ref_id = j.id) = 1)",
    ),
    ("no orphan ready row", "SELECT job_id FROM wf_ready_jobs WHERE job_id NOT IN (SELECT id FROM wf_inference_jobs)"),
    ("no orphan lease", "SELECT job_id FROM wf_job_leases WHERE job_id NOT IN (SELECT id FROM wf_inference_jobs)"),
    (
        "no orphan timer",
        "SELECT ref_id FROM wf_timers WHERE kind = 'job' AND ref_id NOT IN (SELECT id FROM wf_inference_jobs)",
    ),
    (
        "pending executions wait",
        "SELECT id FROM wf_executions e WHERE status = 'pending' AND (SELECT count(*) FROM wf_ready_executions r WHERE r.execution_id = e.id) <> 1",
    ),
    (
        "running executions are leased or wait",
        "SELECT id FROM wf_executions e WHERE status = 'running' AND (SELECT count(*) FROM wf_ready_executions r WHERE r.execution_id = e.id) + (SELECT count(*) FROM wf_execution_leases l WHERE l.execution_id = e.id AND l.lease_token = e.lease_token) <> 1",
    ),
    (
        "ended executions have no narrow row",
        "SELECT id FROM wf_executions e WHERE status IN ('completed', 'failed', 'cancelled') AND (EXISTS (SELECT 1 FROM wf_ready_executions r WHERE r.execution_id = e.id) OR EXISTS (SELECT 1 FROM wf_execution_leases l WHERE l.execution_id = e.id))",
    ),
    (
        "ended executions have no open job",
        "SELECT j.id FROM wf_inference_jobs j JOIN wf_executions e ON e.id = j.execution_id WHERE e.status IN ('completed', 'failed', 'cancelled') AND j.status IN ('pending', 'queued', 'running')",
    ),
    (
        "pending counter",
        "SELECT id FROM wf_executions e WHERE inference_jobs_pending <> (SELECT count(*) FROM wf_inference_jobs j WHERE j.execution_id = e.id AND j.status IN ('pending', 'queued', 'running'))",
    ),
    (
        "completed counter",
        "SELECT id FROM wf_executions e WHERE inference_jobs_completed <> (SELECT count(*) FROM wf_inference_jobs j WHERE j.execution_id = e.id AND j.status = 'completed')",
    ),
    (
        "failed counter",
        "SELECT id FROM wf_executions e WHERE inference_jobs_failed <> (SELECT count(*) FROM wf_inference_jobs j WHERE j.execution_id = e.id AND j.status = 'failed')",
    ),
    (
        "cancelled counter",
        "SELECT id FROM wf_executions e WHERE inference_jobs_cancelled <> (SELECT count(*) FROM wf_inference_jobs j WHERE j.execution_id = e.id AND j.status = 'cancelled')",
    ),
    (
        "event numbers are dense",
        "SELECT id FROM wf_executions e WHERE event_seq <> (SELECT count(*) FROM wf_execution_events v WHERE v.execution_id = e.id) OR event_seq <> (SELECT coalesce(max(seq), 0) FROM wf_execution_events v WHERE v.execution_id = e.id)",
    ),
    (
        "the terminal event is the last",
        "SELECT v.execution_id FROM wf_execution_events v JOIN wf_executions e ON e.id = v.execution_id WHERE v.kind IN ('execution.completed', 'execution.failed', 'execution.cancelled') AND v.seq <> e.event_seq",
    ),
    (
        "no orphan node record",
        "SELECT execution_id FROM wf_node_records WHERE execution_id NOT IN (SELECT id FROM wf_executions)",
    ),
    (
        "node records leave out what is null",
        "SELECT execution_id FROM wf_node_records r, json_each(r.record) f WHERE json_type(r.record) <> 'object' OR f.type = 'null'",
    ),
    (
        "open executions know what they run",
        "SELECT id FROM wf_executions e WHERE status IN ('pending', 'running') AND (definition IS NULL) = (definition_digest IS NOT NULL)",
    ),
    (
        "every workflow has its newest version",
        "SELECT id FROM wf_workflows w WHERE current_version <> (SELECT max(v.version) FROM wf_workflow_versions v WHERE v.workflow_id = w.id)",
    ),
    (
        "the counter of admission",
        "SELECT name FROM wf_counters WHERE name = 'waiting_executions' AND value <> (SELECT count(*) FROM wf_ready_executions)",
    ),
    (
        "blobs without references are known as such",
        "SELECT digest FROM wf_blobs b WHERE state = 'ready' AND (unreferenced_at IS NULL) <> EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest)",
    ),
    (
        "blobs that are being deleted have no reference",
        "SELECT digest FROM wf_blobs b WHERE state = 'deleting' AND EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest)",
    ),
];

impl<B: Backend> World<B> {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_425_164_000)));
        let backend = B::create(clock.clone()).await;
        let store = backend.open().await;
        Self { backend, store, clock }
    }

    /// Closes and opens the database, as a new process would.
    pub(crate) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.backend.open().await;
    }

    /// [`INVARIANTS`], over everything that is stored.
    pub(crate) async fn check(&self) {
        for (what, sql) in INVARIANTS {
            let found = self.backend.column(sql).await;
            assert!(found.is_empty(), "violated: {what}: {found:?}");
        }
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.backend.column(sql).await[0].parse().expect("a number")
    }

    pub(crate) async fn workflow(&self) -> Workflow {
        self.store.create_workflow(new_workflow("privacy blur")).await.expect("create").value
    }

    pub(crate) async fn submit(&self) -> sightflow_store::Execution {
        self.store.submit(inline_run()).await.expect("submit").value
    }

    pub(crate) async fn engine(&self) -> WorkerId {
        self.member(WorkerRole::Engine).await
    }

    pub(crate) async fn worker(&self) -> WorkerId {
        self.member(WorkerRole::Worker).await
    }

    async fn member(&self, role: WorkerRole) -> WorkerId {
        let id = WorkerId::new();
        let new = NewWorker {
            id,
            role,
            name: "test".into(),
            version: "0".into(),
            labels: json!({}),
            models: json!([]),
            device: None,
            memory_total: None,
        };
        self.store.register_worker(new).await.expect("register");
        id
    }

    /// A running execution.
    pub(crate) async fn running(&self) -> StartedExecution {
        self.submit().await;
        let engine = self.engine().await;
        self.store.start_executions(engine, 1).await.expect("start").remove(0)
    }

    /// A running execution with `count` queued jobs.
    pub(crate) async fn with_jobs(&self, count: u32) -> (ExecutionLease, Vec<Job>) {
        let lease = self.running().await.lease();
        let jobs = self
            .store
            .enqueue_jobs(lease, (0..count).map(|n| new_job(&format!("{n}"))).collect())
            .await
            .expect("enqueue");
        (lease, jobs)
    }

    pub(crate) async fn claim(&self, worker: WorkerId, count: u32) -> Vec<ClaimedJob> {
        self.store.claim_jobs(worker, claim_of(count)).await.expect("claim")
    }

    pub(crate) async fn job(&self, job: &Job) -> Job {
        self.store.job(TENANT, job.id).await.expect("job")
    }

    pub(crate) async fn kinds(&self, lease: ExecutionLease) -> Vec<String> {
        let events = self.store.events_after(TENANT, lease.execution_id, 0, 1000).await.expect("events");
        events.into_iter().map(|event| event.kind).collect()
    }
}

pub(crate) fn new_workflow(name: &str) -> NewWorkflow {
    NewWorkflow {
        tenant_id: TENANT,
        name: name.into(),
        description: Some("hides faces".into()),
        definition: json!({"version": "1.0", "nodes": [{"id": "photo", "type": "image_input", "position": {"x": 1}}], "edges": []}),
        status: WorkflowStatus::Draft,
        warnings: Vec::new(),
        changed_by: None,
        idempotency: None,
    }
}

pub(crate) fn inline_run() -> NewExecution {
    NewExecution {
        queue_quota: None,
        tenant_id: TENANT,
        source: RunSource::Inline(json!({"version": "1.0", "nodes": [], "edges": []})),
        mode: ExecutionMode::Async,
        priority: 5,
        input: Map::from_iter([("text".to_owned(), json!("hello"))]),
        parameters: Map::from_iter([("min".to_owned(), json!(0.4))]),
        metadata: json!({"store": "17"}),
        timeout_seconds: 300,
        max_retries: 3,
        traceparent: None,
        input_blobs: Vec::new(),
        new_blobs: Vec::new(),
        idempotency: None,
    }
}

pub(crate) fn keyed(key: &str, hash: u8) -> NewExecution {
    NewExecution { idempotency: Some(Idempotency { key: key.into(), request_hash: [hash; 32] }), ..inline_run() }
}

pub(crate) fn new_job(item: &str) -> NewJob {
    NewJob {
        node_id: "detect".into(),
        item_path: item.into(),
        task: Task::Detection,
        model_id: "m".into(),
        model_source: ModelSource::Pretrained,
        model_digest: None,
        params: json!({"confidence": 0.5}),
        input: json!({"image": 1}),
        pixels: 100,
        vt: 0,
        timeout_ms: 60_000,
    }
}

pub(crate) fn claim_of(max_count: u32) -> ClaimRequest {
    ClaimRequest { model_id: "m".into(), max_count, pixel_budget: 1_000_000, capped_tenants: Vec::new(), begin: true }
}

pub(crate) fn result_of(job: &ClaimedJob) -> JobResult {
    JobResult {
        lease: job.lease(),
        result: json!({"count": 1, "score": 0.1}),
        metadata: json!({"cached": true}),
        load_ms: 3,
        compute_ms: 7,
        batch_size: 2,
    }
}

pub(crate) fn failure_of(job: &ClaimedJob, class: FailureClass) -> JobFailure {
    JobFailure {
        lease: job.lease(),
        class,
        code: "E-TEST".into(),
        message: "broken".into(),
        batch_size: 1,
        hold_ms: None,
    }
}

pub(crate) fn record(node: &str, item: &str, record: serde_json::Value) -> NodeRecord {
    NodeRecord { node_id: node.into(), item_path: item.into(), record }
}

pub(crate) fn completed() -> FinishedExecution {
    FinishedExecution {
        error: None,
        outputs: json!({"count": 3}),
        records: vec![record("photo", "", json!({"status": "completed", "error": null}))],
        block_cpu_us: 2_000,
        progress: json!({"percent": 100}),
        output_blobs: Vec::new(),
        events: Vec::new(),
        pins: None,
    }
}
