//! The executor of a server: claims executions from the store, runs them, records what happens.

mod execute;
mod housekeeping;
mod hub;
mod images;
mod jobs;
mod journal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use sightflow_blobs::BlobStore;
use sightflow_store::{
    Heartbeat, ModelFilter, ModelState, NewWorker, Retention, StartedExecution, Store, StoreError, WorkerRole,
};
use sightflow_types::{TenantId, WorkerId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::catalog::Catalog;
use crate::host::BlockHost;
use crate::models::{ModelCatalog, ModelEntry};
use crate::plan::Limits;

pub use images::StoredImages;

/// Fetches run images from URLs. Implemented where HTTP lives.
#[async_trait]
pub trait ImageFetcher: Send + Sync {
    /// The bytes behind a URL, within the server's limits.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn fetch(&self, url: &str) -> Result<Bytes, FetchError>;
}

/// Why a URL gave no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address may not be reached from here.
    #[error("{0}")]
    NotAllowed(String),
    /// It could not be fetched.
    #[error("{0}")]
    Failed(String),
}

/// What an engine works with.
#[derive(Clone)]
pub struct EngineParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Image bytes.
    pub blobs: BlobStore,
    /// Component blocks.
    pub host: Arc<dyn BlockHost>,
    /// Every block.
    pub catalog: Arc<Catalog>,
    /// Fetches `image_url` inputs.
    pub fetcher: Arc<dyn ImageFetcher>,
}

/// How an engine behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Its name in the fleet.
    pub name: String,
    /// Executions that it runs at once; the others wait as rows. At least 1.
    pub max_running: usize,
    /// Bound of one attempt of an inference job, milliseconds.
    pub job_timeout_ms: u32,
    /// Bounds of definitions.
    pub limits: Limits,
    /// How long events wait for company before they are written.
    pub linger: Duration,
    /// Signs of life, and looks at everything in case a wake-up was lost.
    pub heartbeat: Duration,
    /// Looks for waiting executions in case a wake-up was lost.
    pub poll: Duration,
    /// How long things are kept that nobody needs any more.
    pub retention: Retention,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            name: "engine".to_owned(),
            max_running: 256,
            job_timeout_ms: 60_000,
            limits: Limits::default(),
            linger: Duration::from_millis(5),
            heartbeat: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            retention: Retention::default(),
        }
    }
}

/// A running engine. [`Engine::shutdown`] stops it and waits; dropping it begins the same stop without waiting for it.
pub struct Engine {
    id: WorkerId,
    stop: CancellationToken,
    main: Option<tokio::task::JoinHandle<()>>,
}

impl Engine {
    /// Registers an engine and starts to take executions.
    ///
    /// # Errors
    /// When the store refuses the registration.
    pub async fn start(parts: EngineParts, config: EngineConfig) -> Result<Self, StoreError> {
        let id = WorkerId::new();
        let signals = parts.store.subscribe();
        register(&parts, &config, id).await?;
        let stop = CancellationToken::new();
        let hub = hub::Hub::new();
        let shared = Arc::new(execute::Shared::new(parts, config, Arc::clone(&hub)));
        let main = tokio::spawn(main_loop(Arc::clone(&shared), hub, signals, id, stop.clone()));
        Ok(Self { id, stop, main: Some(main) })
    }

    /// Its id in the fleet.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Stops taking executions, hands the running ones back, leaves the fleet.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(main) = self.main.take()
            && let Err(failure) = main.await
        {
            error!(error = %failure, "the engine's main loop ended badly");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn register(parts: &EngineParts, config: &EngineConfig, id: WorkerId) -> Result<(), StoreError> {
    let new = NewWorker {
        id,
        role: WorkerRole::Engine,
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    parts.store.register_worker(new).await.map(drop)
}

/// Every model that a tenant sees, as the planner wants it. A row whose spec cannot be read is left out, with a warning.
///
/// # Errors
/// Those of the store.
pub async fn load_models(store: &dyn Store, tenant: TenantId) -> Result<ModelCatalog, StoreError> {
    let rows = store.models(tenant, ModelFilter::default()).await?;
    let entries = rows.into_iter().filter_map(|row| match serde_json::from_value(row.spec) {
        Ok(spec) => Some(ModelEntry {
            id: row.id,
            source: row.source,
            digest: row.digest,
            available: row.state == ModelState::Available,
            spec,
        }),
        Err(failure) => {
            warn!(model.id = %row.id, error = %failure, "a model's spec cannot be read; it is left out");
            None
        }
    });
    Ok(ModelCatalog::new(entries))
}

async fn main_loop(
    shared: Arc<execute::Shared>,
    hub: Arc<hub::Hub>,
    signals: tokio::sync::broadcast::Receiver<sightflow_store::Signal>,
    mut id: WorkerId,
    stop: CancellationToken,
) {
    let listening = tokio::spawn(hub::listen(Arc::clone(&hub), Arc::clone(&shared), signals, stop.clone()));
    let housekeeping = tokio::spawn(housekeeping::run(Arc::clone(&shared), stop.clone()));
    let mut running: JoinSet<()> = JoinSet::new();
    let mut heartbeat = tokio::time::interval(shared.config.heartbeat);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let room = shared.config.max_running.max(1).saturating_sub(running.len());
        let mut full = false;
        if room > 0 {
            let limit = u32::try_from(room.min(64)).unwrap_or(64);
            match shared.parts.store.start_executions(id, limit).await {
                Ok(started) => {
                    full = started.len() == limit as usize;
                    begin(&shared, &stop, &mut running, started);
                }
                Err(failure) => warn!(error = %failure, "cannot take executions"),
            }
        }
        if full && !stop.is_cancelled() {
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = running.join_next(), if !running.is_empty() => {}
            _ = heartbeat.tick() => {
                id = beat(&shared, id).await;
                match shared.parts.store.take_over(id, 64).await {
                    Ok(taken) => begin(&shared, &stop, &mut running, taken),
                    Err(failure) => warn!(error = %failure, "cannot take executions over"),
                }
                hub.check_leases(&shared).await;
            }
            () = hub.executions_ready() => {}
            () = tokio::time::sleep(shared.config.poll) => {}
        }
    }
    // Every execution sees the token and hands itself back.
    while running.join_next().await.is_some() {}
    listening.abort();
    housekeeping.abort();
    if let Err(failure) = shared.parts.store.retire_worker(id).await {
        warn!(error = %failure, "cannot leave the fleet");
    }
}

fn begin(
    shared: &Arc<execute::Shared>,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
    started: Vec<StartedExecution>,
) {
    for execution in started {
        info!(execution.id = %execution.execution.id, execution.resume_count = execution.execution.resume_count, "execution taken");
        running.spawn(execute::execute(Arc::clone(shared), execution, stop.clone()));
    }
}

/// A sign of life; registers anew after having been declared gone. Its executions are then someone else's.
async fn beat(shared: &Arc<execute::Shared>, id: WorkerId) -> WorkerId {
    let beat = Heartbeat { worker_id: id, memory_free: None, models: None, holding: Vec::new() };
    match shared.parts.store.heartbeat(beat).await {
        Ok(answer) if answer.alive => id,
        Ok(_) => {
            let new = WorkerId::new();
            warn!(engine.id = %id, "declared gone; registering anew");
            match register(&shared.parts, &shared.config, new).await {
                Ok(()) => new,
                Err(failure) => {
                    warn!(error = %failure, "cannot register anew");
                    id
                }
            }
        }
        Err(failure) => {
            warn!(error = %failure, "no sign of life could be given");
            id
        }
    }
}
