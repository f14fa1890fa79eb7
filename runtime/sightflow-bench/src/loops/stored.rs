//! The same loop through an engine, a durable store and a worker that only answers: what an item leaves behind.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow::wiring::Blocks;
use sightflow_blobs::BlobStore;
use sightflow_engine::{DefinitionLimits, Engine, EngineConfig, EngineParts, FetchError, ImageFetcher, Plans};
use sightflow_images::{EncodeFormat, encode};
use sightflow_store::{
    BlobRef, ClaimRequest, JobResult, NewBlob, NewExecution, NewModel, NewWorker, RefKind, RunSource, SqliteOptions,
    SqliteStore, Store, WorkerRole,
};
use sightflow_types::{ExecutionId, ExecutionMode, ExecutionStatus, ModelSource, Task, TenantId, WorkerId};

use crate::measure::{detections, process_cpu};

/// Largest batch of the worker.
const BATCH: u32 = 32;

pub(super) async fn run(blocks: &Blocks, definition: Value) -> Result<()> {
    println!("\nthe loop over a scripted model, through the store, every commit durable; batches of at most {BATCH}");
    for items in [10, 100, 500, 2000] {
        through(blocks, &definition, items).await?;
    }
    Ok(())
}

async fn through(blocks: &Blocks, definition: &Value, items: usize) -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let path = directory.path().join("loops.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await?);
    let blobs = BlobStore::in_memory();
    let model = NewModel {
        id: "finder".into(),
        tenant_id: TenantId::BUILT_IN,
        source: ModelSource::Pretrained,
        task: Task::Detection,
        name: "Finder".into(),
        digest: None,
        size: None,
        format: "onnx".into(),
        spec: serde_json::to_value(super::finder().spec)?,
    };
    store.upsert_model(model).await?;
    let plans = Plans::new(store.clone(), blocks.source.clone(), blocks.host.clone() as _, DefinitionLimits::default());
    let parts = EngineParts {
        store: store.clone(),
        blobs: blobs.clone(),
        host: blocks.host.clone(),
        plans: Arc::new(plans),
        fetcher: Arc::new(Nowhere),
    };
    let engine = Engine::start(parts, EngineConfig::default()).await?;
    let worker = tokio::spawn(answer(store.clone()));
    let before = (process_cpu("self")?, bytes(&path), store.statistics());
    let start = Instant::now();
    let id = submit(&store, &blobs, definition, items).await?;
    let mut signals = store.subscribe();
    let execution = loop {
        let execution = store.execution(TenantId::BUILT_IN, id).await?;
        if execution.status.is_terminal() {
            break execution;
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), signals.recv()).await;
    };
    let wall = start.elapsed();
    ensure!(execution.status == ExecutionStatus::Completed, "{:?}", execution.error);
    let cpu = process_cpu("self")? - before.0;
    let commits = store.statistics().commits - before.2.commits;
    engine.shutdown().await;
    worker.abort();
    let claims = worker.await.err().map(|_| CLAIMS.swap(0, std::sync::atomic::Ordering::Relaxed)).unwrap_or_default();
    let events = execution.event_seq;
    store.close().await;
    let n = items as f64;
    println!(
        "items {items:>5}  wall {:>8.1} ms  CPU {:>8.1} ms  {:>6.0} µs CPU an item  {:>5.1} jobs a batch  {:>5.2} events an item  {:>6.0} bytes an item  {commits} commits",
        wall.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e6 / n,
        n / claims.max(1) as f64,
        events as f64 / n,
        bytes(&path).saturating_sub(before.1) as f64 / n,
    );
    Ok(())
}

/// Batches that the worker took.
static CLAIMS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Takes jobs and answers them, until it is aborted.
async fn answer(store: Arc<dyn Store>) -> Result<()> {
    let id = WorkerId::new();
    let new = NewWorker {
        id,
        role: WorkerRole::Worker,
        name: "bench".into(),
        version: "0".into(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    store.register_worker(new).await?;
    let mut signals = store.subscribe();
    loop {
        let request = ClaimRequest {
            model_id: "finder".into(),
            max_count: BATCH,
            pixel_budget: u64::MAX,
            capped_tenants: Vec::new(),
            begin: true,
        };
        let claimed = store.claim_jobs(id, request).await?;
        if claimed.is_empty() {
            let _ = tokio::time::timeout(Duration::from_millis(100), signals.recv()).await;
            continue;
        }
        CLAIMS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let results = claimed.iter().map(|job| JobResult {
            lease: job.lease(),
            result: json!({"detections": [{"class_id": 0, "class_name": "cat", "confidence": 0.9, "bbox": {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}}]}),
            metadata: json!({"device": "script"}),
            load_ms: 0,
            compute_ms: 0,
            batch_size: u32::try_from(claimed.len()).unwrap_or(u32::MAX),
        });
        store.complete_jobs(id, results.collect()).await?;
    }
}

async fn submit(store: &Arc<dyn Store>, blobs: &BlobStore, definition: &Value, items: usize) -> Result<ExecutionId> {
    let picture = encode(&super::photo()?, EncodeFormat::Png)?;
    let (size, stored_at) = (picture.len() as u64, store.now());
    let digest = blobs.put(picture).await?;
    let blob = NewBlob { digest, size, media_type: "image/png".into(), width: Some(640), height: Some(480), stored_at };
    let tenant_id = TenantId::BUILT_IN;
    let upload = BlobRef { tenant_id, kind: RefKind::Upload, ref_id: ExecutionId::new().uuid(), expires_at: None };
    store.record_blob(blob, upload).await?;
    let mut input = Map::from_iter([("items".to_owned(), detections(items))]);
    input.insert("image".to_owned(), json!({"$image": {"digest": digest, "width": 640, "height": 480}}));
    let new = NewExecution {
        queue_quota: None,
        tenant_id,
        source: RunSource::Inline(definition.clone()),
        mode: ExecutionMode::Async,
        priority: 5,
        input,
        parameters: Map::new(),
        metadata: json!({}),
        timeout_seconds: 300,
        max_retries: 3,
        traceparent: None,
        new_blobs: Vec::new(),
        input_blobs: vec![digest],
        idempotency: None,
    };
    Ok(store.submit(new).await?.value.id)
}

/// Bytes of the database and its log.
fn bytes(path: &Path) -> u64 {
    let of = |suffix: &str| {
        let file = format!("{}{suffix}", path.display());
        std::fs::metadata(file).map_or(0, |found| found.len())
    };
    of("") + of("-wal")
}

/// Fetches nothing.
struct Nowhere;

#[async_trait]
impl ImageFetcher for Nowhere {
    async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        Err(FetchError::NotAllowed(format!("{url} is not fetched here")))
    }
}
