#![doc = include_str!("../README.md")]

mod batch;
mod compute;
mod heartbeat;
mod member;
mod model_cache;
mod news;
mod persist;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sightflow_blobs::BlobStore;
use sightflow_models::Device;
use sightflow_store::{SILENCE_MS, SharedStore, StoreError};
use sightflow_supervisor::{HealthReport, Services};
use sightflow_types::WorkerId;
use sightflow_types::error::chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use sightflow_supervisor::{Faults, Health, Restarts};

use crate::member::Member;
use crate::model_cache::ModelCache;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// For people, in `GET /workers`.
    pub name: String,
    /// Where models run.
    pub device: Device,
    /// Batches at the same time, each on a thread of its own; at least 1.
    pub slots: usize,
    /// Most jobs in one batch; at least 1.
    pub max_batch: u32,
    /// Most source pixels in one batch; the first job is taken however large it is.
    pub pixel_budget: u64,
    /// Bytes of model files that stay loaded; the least recently used go first.
    pub model_budget: u64,
    /// Between signs of life; a fifth of it while jobs are held.
    pub heartbeat: Duration,
    /// How often a loop that panics starts again.
    pub restarts: Restarts,
    /// Hooks for tests.
    pub faults: Faults,
}

impl WorkerConfig {
    /// What suits a device: on a CPU a slot for each core and small batches, on a GPU one slot and batches of 32.
    pub fn for_device(device: Device) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (slots, max_batch) = match device {
            Device::Cpu => (cores, 4),
            Device::Cuda(_) => (1, 32),
        };
        Self {
            name: format!("local {device}"),
            device,
            slots,
            max_batch,
            pixel_budget: 200_000_000,
            model_budget: 4 << 30,
            heartbeat: Duration::from_secs(5),
            restarts: Restarts::default(),
            faults: Faults::default(),
        }
    }
}

/// What every part of a worker shares.
struct Shared {
    store: SharedStore,
    blobs: Arc<BlobStore>,
    models: ModelCache,
    member: Arc<Member>,
    config: WorkerConfig,
    health: Health,
    /// Claim nothing more.
    stop: CancellationToken,
    /// The last slot has ended: no more signs of life.
    gone: CancellationToken,
    /// Slots that wait for jobs: a slot takes a full batch only if no other could share the work.
    idle: AtomicUsize,
    /// Counts reasons to look for jobs.
    news: watch::Sender<u64>,
}

impl Shared {
    fn idle(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }

    fn jobs_ready(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// What is known about a worker's life at one moment.
pub type WorkerHealth = HealthReport;

/// A running worker. Dropping it aborts its loops; [`Worker::shutdown`] lets them finish.
pub struct Worker {
    slots: Services<Shared>,
    services: Services<Shared>,
    shared: Arc<Shared>,
}

impl Worker {
    /// Registers as a member of the fleet and starts to claim.
    ///
    /// # Errors
    /// The store's, if the registration fails.
    pub async fn start(store: SharedStore, blobs: Arc<BlobStore>, config: WorkerConfig) -> Result<Self, StoreError> {
        // Nothing that is told after the registration is missed.
        let signals = store.subscribe();
        let member = Arc::new(Member::register(&store, &config).await?);
        let shared = Arc::new(Shared {
            models: ModelCache::new(config.model_budget),
            store,
            blobs,
            member,
            config,
            health: Health::new(Duration::from_millis(SILENCE_MS.unsigned_abs())),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            idle: AtomicUsize::new(0),
            news: watch::Sender::new(0),
        });
        let services = |stop: &CancellationToken| {
            Services::new(Arc::clone(&shared), shared.health.clone(), shared.config.restarts, stop.clone())
        };
        let (mut slots, mut services) = (services(&shared.stop), services(&shared.gone));
        for number in 0..shared.config.slots.max(1) {
            let left = slot::Left::default();
            slots.add("worker slot", move |shared| slot::run(shared, number, Arc::clone(&left)));
        }
        services.add("worker heartbeat", heartbeat::run);
        let mut signals = Some(signals);
        services.add("worker listener", move |shared| {
            let signals = signals.take().unwrap_or_else(|| shared.store.subscribe());
            news::listen(shared, signals)
        });
        Ok(Self { slots, services, shared })
    }

    /// Its id in the fleet.
    pub fn id(&self) -> WorkerId {
        self.shared.member.id()
    }

    /// Whether it lives: for readiness. It counts as dead when its last sign of life in the store is as old as what lets
    /// others take its jobs over.
    pub fn health(&self) -> WorkerHealth {
        self.shared.health.report()
    }

    /// The handle behind [`Worker::health`] and [`Worker::failed`], for those who outlive the worker.
    pub fn health_handle(&self) -> Health {
        self.shared.health.clone()
    }

    /// Resolves with the reason once the worker cannot go on: end the process then.
    pub async fn failed(&self) -> String {
        self.shared.health.failed().await
    }

    /// Claims nothing more, waits for the batches that run, hands the others back and leaves the fleet.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        self.slots.ended().await;
        self.shared.gone.cancel();
        self.services.ended().await;
        if let Err(error) = self.shared.store.retire_worker(self.shared.member.id()).await {
            tracing::warn!(error = chain(&error), "the worker could not sign off; its leases run out by themselves");
        }
    }
}
