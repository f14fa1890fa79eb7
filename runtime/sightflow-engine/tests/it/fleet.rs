//! Engines and scripted workers beside a server's store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sightflow_engine::{Engine, EngineConfig, Faults};
use sightflow_store::{
    ClaimRequest, ClaimedJob, Execution, FailureClass, Heartbeat, Job, JobFailure, JobFilter, JobResult, PageRequest,
    SILENCE_MS, Store,
};
use sightflow_types::ExecutionId;
use tokio::sync::Notify;

use crate::server::{Server, TENANT, run};

/// Counts how often executions were parked.
#[derive(Default)]
pub(crate) struct Parked {
    count: std::sync::Mutex<usize>,
    more: Notify,
}

impl Parked {
    /// Hooks for an engine that counts here.
    pub(crate) fn faults(self: &Arc<Self>) -> Faults {
        let parked = Arc::clone(self);
        Faults::new(move |point| {
            if point == "engine.park" {
                *parked.count.lock().unwrap() += 1;
                parked.more.notify_one();
            }
        })
    }

    /// Waits until executions were parked so often.
    pub(crate) async fn reached(&self, wanted: usize) {
        while *self.count.lock().unwrap() < wanted {
            self.more.notified().await;
        }
        // Counted at the door: a moment more until they are inside.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    pub(crate) fn count(&self) -> usize {
        *self.count.lock().unwrap()
    }
}

/// An engine that parks at once, with two places for those that compute.
pub(crate) fn parking(parked: &Arc<Parked>) -> EngineConfig {
    EngineConfig { grace: Duration::from_millis(1), max_running: 2, faults: parked.faults(), ..EngineConfig::default() }
}

/// A photograph, and a node that finds as many things in it as the `confidence` of its configuration says, in hundredths.
pub(crate) fn found(job: &Job) -> usize {
    (job.params["confidence"].as_f64().unwrap_or(0.0) * 100.0).round() as usize
}

impl Server {
    pub(crate) async fn engine_with(&self, config: EngineConfig) -> Engine {
        Engine::start(self.parts.clone(), config).await.unwrap()
    }

    /// Submits a run that has so many seconds.
    pub(crate) async fn submit_for(&self, seconds: u32, definition: Value, input: Value) -> ExecutionId {
        let mut new = run(definition, &input);
        new.timeout_seconds = seconds;
        self.store.submit(new).await.unwrap().value.id
    }

    pub(crate) async fn pending(&self, id: ExecutionId, count: u32) -> Execution {
        self.until(id, |execution| u64::from(execution.jobs.pending) == u64::from(count)).await
    }

    /// Takes jobs of the model, at most so many.
    pub(crate) async fn take(&self, most: u32) -> Vec<ClaimedJob> {
        let request = ClaimRequest {
            model_id: "finder".into(),
            max_count: most,
            pixel_budget: u64::MAX,
            capped_tenants: Vec::new(),
            begin: true,
        };
        self.store.claim_jobs(self.worker, request).await.unwrap()
    }

    /// Answers jobs: see [`found`].
    pub(crate) async fn answer(&self, claimed: &[ClaimedJob]) -> usize {
        let thing = json!({"class_id": 0, "class_name": "cat", "confidence": 0.9});
        let results = claimed.iter().map(|claimed| JobResult {
            lease: claimed.lease(),
            result: json!({"detections": vec![thing.clone(); found(&claimed.job)]}),
            metadata: json!({"device": "script"}),
            load_ms: 0,
            compute_ms: 3,
            batch_size: 1,
        });
        self.store.complete_jobs(self.worker, results.collect()).await.unwrap().len()
    }

    /// Takes and answers jobs until so many are answered.
    pub(crate) async fn answer_all(&self, count: usize) {
        let mut signals = self.store.subscribe();
        let mut left = count;
        while left > 0 {
            let claimed = self.take(8.min(left as u32)).await;
            if claimed.is_empty() {
                signals.recv().await.ok();
            }
            left -= self.answer(&claimed).await;
        }
    }

    /// Fails jobs for good.
    pub(crate) async fn spoil(&self, claimed: &[ClaimedJob]) {
        let failures = claimed.iter().map(|claimed| JobFailure {
            lease: claimed.lease(),
            class: FailureClass::Poison,
            code: "E-JOB-FAILED".into(),
            message: "the picture is bad".into(),
            batch_size: 1,
            hold_ms: None,
        });
        self.store.fail_jobs(self.worker, failures.collect()).await.unwrap();
    }

    /// All jobs of an execution, by item path.
    pub(crate) async fn jobs_of(&self, id: ExecutionId) -> Vec<Job> {
        let filter = JobFilter { execution_id: Some(id), ..JobFilter::default() };
        let page = self.store.jobs(TENANT, filter, PageRequest { limit: 200, ..PageRequest::default() }).await.unwrap();
        let mut jobs = page.items;
        jobs.sort_by(|one, other| (&one.item_path, &one.node_id).cmp(&(&other.item_path, &other.node_id)));
        jobs
    }

    /// The worker's sign of life.
    pub(crate) async fn beat(&self) {
        let beat = Heartbeat { worker_id: self.worker, memory_free: None, models: None, holding: Vec::new() };
        assert!(self.store.heartbeat(beat).await.unwrap().alive, "the worker was declared gone");
    }

    /// So much time passes that engines without a sign of life are declared gone. The worker gives signs meanwhile.
    pub(crate) async fn silence(&self) {
        self.beat().await;
        self.clock.advance(SILENCE_MS / 2 + 500);
        self.beat().await;
        self.clock.advance(SILENCE_MS / 2 + 500);
        self.beat().await;
    }
}

/// An engine that can be killed: it has no time to say that it goes.
pub(crate) struct Mortal(tokio::runtime::Runtime, Option<Engine>);

impl Mortal {
    pub(crate) async fn start(server: &Server, config: EngineConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let parts = server.parts.clone();
        let engine = runtime.spawn(async move { Engine::start(parts, config).await.unwrap() }).await.unwrap();
        Self(runtime, Some(engine))
    }

    /// Stops in order.
    pub(crate) async fn stop(mut self) {
        if let Some(engine) = self.1.take() {
            engine.shutdown().await;
        }
        self.0.shutdown_background();
    }

    pub(crate) fn kill(mut self) {
        // Not dropped before its runtime: that would tell it to stop.
        let engine = self.1.take();
        self.0.shutdown_background();
        drop(engine);
    }
}
