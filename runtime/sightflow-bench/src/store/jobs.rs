//! No-op jobs through the store: enqueue, claim and complete in batches of 32, every commit durable.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, json};
use sightflow_store::{
    ClaimRequest, JobResult, NewExecution, NewJob, NewWorker, RunSource, SqliteOptions, SqliteStore, Store, WorkerRole,
};
use sightflow_types::{ExecutionMode, ModelSource, Task, TenantId, WorkerId};

const BATCH: u32 = 32;

pub(super) async fn run() -> anyhow::Result<()> {
    let (jobs, workers) = (20_000_u32, 4_u32);
    let directory = tempfile::TempDir::new()?;
    let path = directory.path().join("jobs.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await?);

    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..workers {
        let share = jobs / workers / BATCH + u32::from(n < jobs / BATCH % workers);
        tasks.spawn(engine(store.clone(), share));
        tasks.spawn(worker(store.clone(), share * BATCH));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{jobs} jobs, {workers} engines and workers: {seconds:.2} s, {:.0} jobs/s; bar ≥ 5000",
        f64::from(jobs) / seconds
    );
    store.close().await;
    Ok(())
}

async fn member(store: &Arc<dyn Store>, role: WorkerRole) -> sightflow_store::Result<WorkerId> {
    let id = WorkerId::new();
    let new = NewWorker {
        id,
        role,
        name: "bench".into(),
        version: "0".into(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    store.register_worker(new).await.map(|worker| worker.id)
}

/// Submits executions, each with one batch of jobs; they end when their jobs have.
async fn engine(store: Arc<dyn Store>, executions: u32) -> sightflow_store::Result<()> {
    let id = member(&store, WorkerRole::Engine).await?;
    for _ in 0..executions {
        let new = NewExecution {
            queue_quota: None,
            tenant_id: TenantId::BUILT_IN,
            source: RunSource::Inline(json!({})),
            mode: ExecutionMode::Async,
            priority: 5,
            input: Map::new(),
            parameters: Map::new(),
            metadata: json!({}),
            timeout_seconds: 300,
            max_retries: 3,
            traceparent: None,
            input_blobs: Vec::new(),
            new_blobs: Vec::new(),
            idempotency: None,
        };
        store.submit(new).await?;
        for run in store.start_executions(id, 1).await? {
            let jobs = (0..BATCH).map(|n| NewJob {
                node_id: "detect".into(),
                item_path: n.to_string(),
                task: Task::Detection,
                model_id: "m".into(),
                model_source: ModelSource::Pretrained,
                model_digest: None,
                params: json!({"confidence": 0.5}),
                input: json!({"image": n}),
                pixels: 409_600,
                vt: 0,
                timeout_ms: 60_000,
            });
            store.enqueue_jobs(run.lease(), jobs.collect()).await?;
        }
    }
    Ok(())
}

/// Completes batches until every job has been recorded by somebody; idle workers leave.
async fn worker(store: Arc<dyn Store>, mut jobs: u32) -> sightflow_store::Result<()> {
    let id = member(&store, WorkerRole::Worker).await?;
    let request = ClaimRequest {
        model_id: "m".into(),
        max_count: BATCH,
        pixel_budget: u64::MAX,
        capped_tenants: Vec::new(),
        begin: true,
    };
    let mut signals = store.subscribe();
    let mut held = store.claim_jobs(id, request.clone()).await?;
    while jobs > 0 {
        if held.is_empty() {
            // A hint, or that some were missed: look again either way.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), signals.recv()).await;
            held = store.claim_jobs(id, ClaimRequest { max_count: BATCH.min(jobs), ..request.clone() }).await?;
            continue;
        }
        let results = held.iter().map(|claimed| JobResult {
            lease: claimed.lease(),
            result: json!({"detections": [], "count": 0}),
            metadata: json!({"cached": true}),
            load_ms: 0,
            compute_ms: 1,
            batch_size: BATCH,
        });
        let next = ClaimRequest { max_count: BATCH.min(jobs - held.len() as u32).max(1), ..request.clone() };
        let (recorded, claimed) = store.complete_and_claim(id, results.collect(), next).await?;
        jobs = jobs.saturating_sub(recorded.len() as u32);
        held = claimed;
    }
    // What was claimed beyond the share goes back.
    store.release_jobs(id, held.iter().map(sightflow_store::ClaimedJob::lease).collect()).await?;
    Ok(())
}
