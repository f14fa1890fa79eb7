//! Executions of a server: a real store, scripted blocks, and a worker that answers by a script.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_blobs::BlobStore;
use sightflow_engine::{
    BlockSource, DefinitionLimits, Engine, EngineConfig, EngineParts, FetchError, ImageFetcher, Package, Plans,
    RunLimits,
};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_store::{
    ClaimRequest, ClaimedJob, Execution, JobResult, NewBlob, NewExecution, NewModel, NewWorker, RunSource,
    SqliteOptions, SqliteStore, Store, SystemClock, WorkerRole,
};
use sightflow_types::model::{Decoder, ModelSpec};
use sightflow_types::{
    Digest, ExecutionId, ExecutionMode, ExecutionStatus, ModelSource, Task, TenantId, Timestamp, WorkerId,
};

use crate::script::{Host, package};

pub(crate) const TENANT: TenantId = TenantId::BUILT_IN;

pub(crate) struct Urls(AtomicU32, Bytes);

#[async_trait]
impl ImageFetcher for Urls {
    async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if url.contains("127.0.0.1") {
            return Err(FetchError::NotAllowed("127.0.0.1 is a loopback address".into()));
        }
        Ok(self.1.clone())
    }
}

/// The machine's clock, and how far a test has moved it on.
#[derive(Default)]
pub(crate) struct Clock(SystemClock, AtomicI64);

impl Clock {
    pub(crate) fn advance(&self, ms: i64) {
        self.1.fetch_add(ms, Ordering::SeqCst);
    }
}

impl sightflow_store::Clock for Clock {
    fn now(&self) -> Timestamp {
        self.0.now().plus_millis(self.1.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() + Duration::from_millis(self.1.load(Ordering::SeqCst).unsigned_abs())
    }
}

pub(crate) struct Server {
    pub(crate) parts: EngineParts,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) urls: Arc<Urls>,
    pub(crate) host: Arc<Host>,
    pub(crate) blocks: Arc<BlockSource>,
    pub(crate) worker: WorkerId,
    pub(crate) clock: Arc<Clock>,
    _directory: tempfile::TempDir,
}

/// Blocks, and plans of them.
fn blocks(store: &Arc<SqliteStore>, host: &Arc<Host>, package: Package) -> (Arc<BlockSource>, Arc<Plans>) {
    let source = Arc::new(BlockSource::new([package]).unwrap());
    let plans =
        Plans::new(Arc::clone(store) as _, Arc::clone(&source), Arc::clone(host) as _, DefinitionLimits::default());
    (source, Arc::new(plans))
}

impl Server {
    /// As another process has them, with these blocks.
    pub(crate) fn plans_of(&self, package: Package) -> (Arc<BlockSource>, Arc<Plans>) {
        blocks(&self.store, &self.host, package)
    }

    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(Clock::default());
        let options = SqliteOptions { clock: Arc::clone(&clock) as _, ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(directory.path().join("test.db"), options).await.unwrap());
        let pixels = Pixels::new(8, 6, PixelFormat::Rgb8, vec![90; 8 * 6 * 3]).unwrap();
        let urls = Arc::new(Urls(AtomicU32::new(0), encode(&Image::from_pixels(pixels), EncodeFormat::Png).unwrap()));
        let spec = ModelSpec::new(
            Task::Detection,
            [416, 416],
            Decoder::Softmax { output: "out".into() },
            vec!["cat".into(), "dog".into()],
        );
        let model = NewModel {
            id: "finder".into(),
            tenant_id: TENANT,
            source: ModelSource::Pretrained,
            task: Task::Detection,
            name: "Finder".into(),
            digest: None,
            size: None,
            format: "onnx".into(),
            spec: serde_json::to_value(spec).unwrap(),
        };
        store.upsert_model(model).await.unwrap();
        let worker = WorkerId::new();
        let new = NewWorker {
            id: worker,
            role: WorkerRole::Worker,
            name: "script".into(),
            version: "0".into(),
            labels: json!({}),
            models: json!([]),
            device: None,
            memory_total: None,
        };
        store.register_worker(new).await.unwrap();
        let host = Arc::new(Host::default());
        let first = package("sightflow/test", semver::Version::new(0, 1, 0), Digest::from_bytes([7; 32]));
        let (blocks, plans) = blocks(&store, &host, first);
        let parts = EngineParts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            blobs: BlobStore::in_memory(),
            host: Arc::clone(&host) as _,
            plans,
            fetcher: Arc::clone(&urls) as _,
        };
        Self { parts, store, urls, host, blocks, worker, clock, _directory: directory }
    }

    pub(crate) async fn engine(&self) -> Engine {
        Engine::start(self.parts.clone(), EngineConfig::default()).await.unwrap()
    }

    pub(crate) async fn submit(&self, definition: Value, input: Value) -> ExecutionId {
        self.store.submit(run(definition, &input)).await.unwrap().value.id
    }

    /// A run that reads what was just stored, and does nothing.
    pub(crate) async fn submit_with(&self, new_blobs: Vec<NewBlob>) -> ExecutionId {
        let new = NewExecution { new_blobs, ..run(json!({"nodes": []}), &json!({})) };
        self.store.submit(new).await.unwrap().value.id
    }

    /// Waits by signals until `reached` holds for the execution.
    pub(crate) async fn until(&self, id: ExecutionId, reached: impl Fn(&Execution) -> bool) -> Execution {
        let mut signals = self.store.subscribe();
        loop {
            let execution = self.store.execution(TENANT, id).await.unwrap();
            if reached(&execution) {
                return execution;
            }
            signals.recv().await.ok();
        }
    }

    pub(crate) async fn ended(&self, id: ExecutionId) -> Execution {
        self.until(id, |execution| execution.status.is_terminal()).await
    }

    /// Takes the waiting jobs of the model.
    pub(crate) async fn claim(&self) -> Vec<ClaimedJob> {
        let request = ClaimRequest {
            model_id: "finder".into(),
            max_count: 8,
            pixel_budget: u64::MAX,
            capped_tenants: Vec::new(),
            begin: true,
        };
        self.store.claim_jobs(self.worker, request).await.unwrap()
    }

    /// Answers every waiting job of the model once; how many there were.
    pub(crate) async fn work(&self) -> usize {
        let claimed = self.claim().await;
        let result = |lease| JobResult {
            lease,
            result: json!({"detections": [{"class_id": 0, "class_name": "cat", "confidence": 0.9}]}),
            metadata: json!({"device": "script"}),
            load_ms: 0,
            compute_ms: 3,
            batch_size: 1,
        };
        let results = claimed.iter().map(|job| result(job.lease())).collect();
        self.store.complete_jobs(self.worker, results).await.unwrap().len()
    }

    pub(crate) async fn events(&self, id: ExecutionId) -> Vec<String> {
        let events = self.store.events_after(TENANT, id, 0, 1000).await.unwrap();
        let wanted =
            events.into_iter().filter(|event| event.kind != "execution.progress" && event.kind != "node.progress");
        wanted
            .map(|event| {
                format!("{} {}", event.kind, event.payload["node_id"].as_str().unwrap_or_default())
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }
}

/// A run of a definition.
pub(crate) fn run(definition: Value, input: &Value) -> NewExecution {
    NewExecution {
        queue_quota: None,
        tenant_id: TENANT,
        source: RunSource::Inline(definition),
        mode: ExecutionMode::Async,
        priority: 5,
        input: input.as_object().cloned().unwrap_or_default(),
        parameters: serde_json::Map::new(),
        metadata: json!({}),
        timeout_seconds: 60,
        max_retries: 3,
        traceparent: None,
        input_blobs: Vec::new(),
        new_blobs: Vec::new(),
        idempotency: None,
    }
}

/// photo → find → shout.
pub(crate) fn definition() -> Value {
    json!({
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "find", "type": "detection", "config": {"model_id": "finder"}}, {"id": "shout", "type": "echo"}],
        "edges": [{"source": "photo", "target": "find"}, {"source": "find", "sourceHandle": "count", "target": "shout", "targetHandle": "value"}],
        "outputs": [{"name": "count", "source": "$nodes.shout.value"}, {"name": "photo", "source": "$nodes.photo.image"}],
    })
}

#[tokio::test]
async fn an_execution_runs_to_its_end() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let id = server.submit(definition(), json!({"image_url": "https://example.com/a.png"})).await;
    server.until(id, |execution| execution.jobs.pending == 1).await;
    assert_eq!(server.work().await, 1);
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    let outputs = execution.outputs.unwrap();
    assert_eq!(outputs["count"], 1);
    assert_eq!(
        (outputs["photo"]["$image"]["width"].clone(), outputs["photo"]["$image"]["format"].clone()),
        (json!(8), json!("png"))
    );
    assert_eq!(execution.node_metrics["find"]["job_ids"].as_array().map(Vec::len), Some(1));
    assert_eq!(execution.progress["percent"], 100);
    let expected = [
        "execution.started",
        "node.started photo",
        "node.completed photo",
        "node.started find",
        "job.queued find",
        "job.running find",
        "job.completed find",
        "node.completed find",
        "node.started shout",
        "node.completed shout",
        "execution.completed",
    ];
    let mut events = server.events(id).await;
    // The engine's events are written in batches, the jobs' with their rows: only their own order is promised.
    for wanted in expected {
        let at = events
            .iter()
            .position(|event| event == wanted)
            .unwrap_or_else(|| panic!("{wanted} is missing in {events:?}"));
        events.remove(at);
    }
    assert_eq!(events, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_stopped_engine_hands_back_and_the_next_takes_the_recorded_results() {
    let server = Server::new().await;
    let mut definition = definition();
    // After the model a node that never ends, so that the first engine stops in the middle.
    definition["nodes"].as_array_mut().unwrap().push(json!({"id": "stuck", "type": "stuck", "timeout_ms": 400, "on_error": "continue", "inputs": {"value": "$nodes.find.count"}}));
    let first = server.engine().await;
    let id = server.submit(definition, json!({"image_url": "https://example.com/a.png"})).await;
    server.until(id, |execution| execution.jobs.pending == 1).await;
    assert_eq!(server.work().await, 1);
    server.until(id, |execution| execution.node_metrics["stuck"]["status"] == "running").await;
    first.shutdown().await;
    let second = server.engine().await;
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    assert_eq!(execution.outputs.unwrap()["count"], 1);
    let jobs = server.store.job_summaries(TenantId::BUILT_IN, id, None).await.unwrap();
    assert_eq!(jobs.len(), 1, "the job was not enqueued twice");
    assert_eq!(server.urls.0.load(Ordering::Relaxed), 1, "the URL was not fetched twice");
    assert_eq!(server.host.calls.lock().unwrap()["stuck"], 2, "the walk was repeated");
    second.shutdown().await;
}

#[tokio::test]
async fn a_cancel_stops_the_walk() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let id = server.submit(json!({"nodes": [{"id": "s", "type": "stuck", "inputs": {"value": 1}}]}), json!({})).await;
    server.until(id, |execution| execution.node_metrics["s"]["status"] == "running").await;
    server.store.cancel(TENANT, id).await.unwrap();
    assert_eq!(server.ended(id).await.status, ExecutionStatus::Cancelled);
    // The engine is free again and nothing of the cancelled walk is written.
    let next = server.submit(json!({"nodes": [{"id": "n", "type": "number"}]}), json!({})).await;
    assert_eq!(server.ended(next).await.status, ExecutionStatus::Completed);
    engine.shutdown().await;
    assert_eq!(server.events(id).await.last().map(String::as_str), Some("execution.cancelled"));
}

#[tokio::test]
async fn refusals_end_the_execution_with_their_code() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let cases = [
        (definition(), json!({"image_url": "http://127.0.0.1/a.png"}), "E-URL-NOT-ALLOWED", Some("photo")),
        (definition(), json!({}), "E-BAD-INPUT", Some("photo")),
        (json!({"nodes": [{"id": "a", "type": "gone"}]}), json!({}), "E-TYPE-UNKNOWN", None),
    ];
    for (definition, input, code, node) in cases {
        let id = server.submit(definition, input).await;
        let execution = server.ended(id).await;
        let error = execution.error.unwrap();
        assert_eq!(
            (execution.status, error.code.as_str(), error.node_id.as_deref()),
            (ExecutionStatus::Failed, code, node)
        );
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn fifty_executions_at_once_all_end() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let chain = json!({
        "nodes": [{"id": "n", "type": "number", "config": {"is": 3}}, {"id": "a", "type": "echo"}, {"id": "b", "type": "echo"}],
        "edges": [{"source": "n", "sourceHandle": "number", "target": "a", "targetHandle": "value"}, {"source": "a", "sourceHandle": "value", "target": "b", "targetHandle": "value"}],
    });
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(server.submit(chain.clone(), json!({})).await);
    }
    for id in ids {
        let execution = server.ended(id).await;
        assert_eq!(execution.status, ExecutionStatus::Completed);
        assert_eq!(execution.outputs.unwrap()["b"]["value"].as_f64(), Some(3.0));
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn outputs_beyond_their_limit_end_the_execution_with_a_code() {
    let server = Server::new().await;
    let run_limits = RunLimits { outputs: 2500, ..RunLimits::default() };
    let engine =
        Engine::start(server.parts.clone(), EngineConfig { run_limits, ..EngineConfig::default() }).await.unwrap();
    let text = |n: u32| json!({"id": format!("n{n}"), "type": "echo", "inputs": {"value": 1}, "config": {"text": "x".repeat(1000)}});
    let id = server.submit(json!({"nodes": [text(0), text(1), text(2)]}), json!({})).await;
    let execution = server.ended(id).await;
    let error = execution.error.expect("it failed");
    assert_eq!((error.code.as_str(), error.node_id), ("E-BLOCK-LIMIT", None));
    assert!(error.message.contains("`n2`"), "{}", error.message);
    assert_eq!(execution.outputs.unwrap()["n1"]["value"], "x".repeat(1000), "what fits is kept");
    engine.shutdown().await;
}
