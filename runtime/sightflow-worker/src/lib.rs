#![doc = include_str!("../README.md")]

mod batch;
mod compute;
mod heartbeat;
mod member;
mod model_cache;
mod slot;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use sightflow_blobs::BlobStore;
use sightflow_models::Device;
use sightflow_store::{SharedStore, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
        }
    }
}

/// What every part of a worker shares.
struct Shared {
    store: SharedStore,
    blobs: Arc<BlobStore>,
    models: ModelCache,
    member: Member,
    config: WorkerConfig,
    /// Slots that wait for jobs: a slot takes a full batch only if no other could share the work.
    idle: AtomicUsize,
}

/// A running worker. Dropping it aborts its loops; [`Worker::shutdown`] lets them finish.
pub struct Worker {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
}

impl Worker {
    /// Registers as a member of the fleet and starts to claim.
    ///
    /// # Errors
    /// The store's, if the registration fails.
    pub async fn start(store: SharedStore, blobs: Arc<BlobStore>, config: WorkerConfig) -> Result<Self, StoreError> {
        let member = Member::register(&store, &config).await?;
        let models = ModelCache::new(config.model_budget);
        let shared = Arc::new(Shared { store, blobs, models, member, config, idle: AtomicUsize::new(0) });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for number in 0..shared.config.slots.max(1) {
            tasks.spawn(slot::run(Arc::clone(&shared), number, stopped.clone()));
        }
        tasks.spawn(heartbeat::run(Arc::clone(&shared), stopped));
        Ok(Self { tasks, stop, shared })
    }

    /// Claims nothing more, waits for the batches that run, and leaves the fleet.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "a worker task panicked");
            }
        }
        if let Err(error) = self.shared.store.retire_worker(self.shared.member.id()).await {
            tracing::warn!(error = %error, "the worker could not sign off; its leases run out by themselves");
        }
    }
}
