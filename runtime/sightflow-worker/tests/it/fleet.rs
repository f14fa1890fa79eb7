//! One place that touches store and worker.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, json};
use sightflow_blobs::BlobStore;
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_models::{Device, Hints, inspect};
use sightflow_store::{
    ExecutionLease, Job, NewExecution, NewJob, NewModel, NewWorker, RunSource, SharedStore, SqliteOptions, SqliteStore,
    WorkerRole,
};
use sightflow_types::{Digest, ExecutionMode, ImageRef, JobId, JobStatus, ModelSource, Task, TenantId, WorkerId};
use sightflow_worker::{Faults, Worker, WorkerConfig};

pub(crate) const TENANT: TenantId = TenantId::BUILT_IN;

/// A store with one starter model, an engine that enqueues, and pictures.
pub(crate) struct Fleet {
    pub(crate) store: SharedStore,
    pub(crate) blobs: BlobStore,
    pub(crate) model: Digest,
    engine: WorkerId,
    _directory: tempfile::TempDir,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(directory.path().join("test.db"), SqliteOptions::default()).await.unwrap());
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/nanodet-g-416.onnx");
        let bytes = std::fs::read(path).expect("a starter model");
        let blobs = BlobStore::in_memory();
        let engine = WorkerId::new();
        let member = NewWorker {
            id: engine,
            role: WorkerRole::Engine,
            name: "test".into(),
            version: "0".into(),
            labels: json!({}),
            models: json!([]),
            device: None,
            memory_total: None,
        };
        store.register_worker(member).await.unwrap();
        let info = inspect(&bytes, &Hints::default()).unwrap();
        let model = blobs.put(Bytes::from(bytes)).await.unwrap();
        let fleet = Self { store, blobs, model, engine, _directory: directory };
        fleet.register("finder", model, serde_json::to_value(info.spec).unwrap()).await;
        fleet
    }

    /// Registers a model for everybody.
    pub(crate) async fn register(&self, id: &str, digest: Digest, spec: serde_json::Value) {
        let model = NewModel {
            id: id.into(),
            tenant_id: TENANT,
            source: ModelSource::Pretrained,
            task: Task::Detection,
            name: id.into(),
            digest: Some(digest),
            size: None,
            format: "onnx".into(),
            spec,
        };
        self.store.upsert_model(model).await.unwrap();
    }

    /// Starts an execution and enqueues `count` jobs of a model for it.
    pub(crate) async fn enqueue(&self, model: &str, digest: Digest, count: usize) -> (ExecutionLease, Vec<JobId>) {
        let new = NewExecution {
            queue_quota: None,
            tenant_id: TENANT,
            source: RunSource::Inline(json!({"nodes": []})),
            mode: ExecutionMode::Async,
            priority: 5,
            input: Map::new(),
            parameters: Map::new(),
            metadata: json!({}),
            timeout_seconds: 600,
            max_retries: 3,
            traceparent: None,
            input_blobs: Vec::new(),
            new_blobs: Vec::new(),
            idempotency: None,
        };
        self.store.submit(new).await.unwrap();
        let lease = self.store.start_executions(self.engine, 1).await.unwrap()[0].lease();
        let mut jobs = Vec::new();
        for index in 0..count {
            let input = self.picture(index as u8).await;
            jobs.push(NewJob {
                node_id: "find".into(),
                item_path: format!("#{index}"),
                task: Task::Detection,
                model_id: model.into(),
                model_source: ModelSource::Pretrained,
                model_digest: Some(digest),
                params: json!({}),
                pixels: u64::from(input.width) * u64::from(input.height),
                input: serde_json::to_value(input).unwrap(),
                vt: 0,
                timeout_ms: 60_000,
            });
        }
        let jobs = self.store.enqueue_jobs(lease, jobs).await.unwrap();
        (lease, jobs.iter().map(|job| job.id).collect())
    }

    async fn picture(&self, shade: u8) -> ImageRef {
        let pixels = Pixels::filled(64, 48, PixelFormat::Rgb8, &[shade, 90, 30]).unwrap();
        let bytes = encode(&Image::from_pixels(pixels), EncodeFormat::Png).unwrap();
        let digest = self.blobs.put(bytes).await.unwrap();
        ImageRef { digest, width: 64, height: 48, format: None, view: None, ignore_orientation: false, url: None }
    }

    /// A worker of one slot that takes up to four jobs at once.
    pub(crate) async fn worker(&self, faults: Faults) -> Worker {
        let heartbeat = Duration::from_millis(100);
        let config =
            WorkerConfig { slots: 1, max_batch: 4, heartbeat, faults, ..WorkerConfig::for_device(Device::Cpu) };
        Worker::start(self.store.clone(), Arc::new(self.blobs.clone()), config).await.unwrap()
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store.job(TENANT, id).await.unwrap()
    }

    /// Waits by signals until the job has ended.
    pub(crate) async fn ended(&self, id: JobId) -> Job {
        let mut signals = self.store.subscribe();
        loop {
            let job = self.job(id).await;
            if job.status.is_terminal() {
                return job;
            }
            signals.recv().await.ok();
        }
    }

    pub(crate) async fn all_completed(&self, jobs: &[JobId]) {
        for id in jobs {
            let job = self.ended(*id).await;
            assert_eq!((job.status, job.attempt), (JobStatus::Completed, 1), "{:?}", job.error_message);
            assert!(job.result.unwrap()["detections"].is_array());
        }
    }
}

/// A point at which a worker stops until it is let go, the first time that it comes by.
pub(crate) struct Gate {
    reached: Mutex<Receiver<()>>,
    open: Sender<()>,
}

impl Gate {
    pub(crate) fn at(point: &'static str) -> (Faults, Self) {
        let ((tell, reached), (open, opened)) = (channel(), channel::<()>());
        let first = Mutex::new(Some((tell, opened)));
        let faults = Faults::new(move |here| {
            if here == point {
                let taken = first.lock().unwrap().take();
                if let Some((tell, opened)) = taken {
                    tell.send(()).ok();
                    opened.recv().ok();
                }
            }
        });
        (faults, Self { reached: Mutex::new(reached), open })
    }

    /// Waits until the worker stands at the gate.
    pub(crate) fn reached(&self) {
        tokio::task::block_in_place(|| self.reached.lock().unwrap().recv()).expect("the worker comes by");
    }

    pub(crate) fn open(&self) {
        self.open.send(()).ok();
    }
}

/// Points as they are reached.
pub(crate) struct Reached(Mutex<Receiver<&'static str>>);

impl Reached {
    /// Tells about every point after `faults` were there.
    pub(crate) fn after(faults: Faults) -> (Faults, Self) {
        let (tell, told) = channel();
        let faults = Faults::new(move |point| {
            faults.at(point);
            tell.send(point).ok();
        });
        (faults, Self(Mutex::new(told)))
    }

    /// Whether this one was reached since the last question.
    pub(crate) fn was(&self, point: &str) -> bool {
        self.0.lock().unwrap().try_iter().filter(|reached| *reached == point).count() > 0
    }

    /// Waits for the next that is one of these.
    pub(crate) fn next_of(&self, points: &[&str]) -> &'static str {
        let told = self.0.lock().unwrap();
        tokio::task::block_in_place(|| told.iter().find(|point| points.contains(point))).expect("the worker lives")
    }
}

/// Panics the first time that `point` is reached.
pub(crate) fn once(point: &'static str) -> Faults {
    let first = std::sync::atomic::AtomicBool::new(true);
    Faults::new(move |here| {
        let fire = here == point && first.swap(false, std::sync::atomic::Ordering::SeqCst);
        assert!(!fire, "a fault at {point}");
    })
}
