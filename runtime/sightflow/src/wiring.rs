//! Puts the parts together: everything that one process runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use sightflow_api::outgoing::{self, Network, Outgoing};
use sightflow_api::{ApiConfig, ApiState};
use sightflow_blobs::BlobStore;
use sightflow_engine::{Catalog, Engine, EngineConfig, EngineParts, FetchError, ImageFetcher};
use sightflow_models::Device;
use sightflow_sandbox::{BlockRegistry, Sandbox, SandboxConfig};
use sightflow_store::{ModelFilter, SharedStore, SqliteOptions, SqliteStore};
use sightflow_types::TenantId;
use sightflow_worker::{Worker, WorkerConfig};

use crate::cli::RuntimeOptions;
use crate::host::SandboxHost;
use crate::models;

/// The sandbox with the first-party packages, and the catalogue that includes them.
pub struct Blocks {
    /// Runs and checks component blocks.
    pub host: Arc<SandboxHost>,
    /// Every block.
    pub catalog: Arc<Catalog>,
}

impl Blocks {
    /// Loads the first-party packages; compiled code is taken from `cache` where it is there.
    ///
    /// # Errors
    /// When the sandbox cannot be set up or a package does not load.
    pub fn load(cache: Option<&Path>) -> Result<Self> {
        let config = SandboxConfig { cache: cache.map(Path::to_owned), ..SandboxConfig::default() };
        let sandbox = Sandbox::new(&config).context("the sandbox cannot be set up")?;
        let registry = BlockRegistry::first_party(&sandbox)?;
        let host = Arc::new(SandboxHost::new(sandbox, &registry));
        let catalog = Arc::new(host.catalog()?);
        Ok(Self { host, catalog })
    }
}

/// A running process: store, engine, workers, and the API's state.
pub struct Runtime {
    /// What the HTTP service works with.
    pub api: ApiState,
    /// One line about what runs, for the person who started it.
    pub summary: String,
    store: SharedStore,
    engine: Engine,
    worker: Option<Worker>,
}

impl Runtime {
    /// Opens the store under `data` and starts everything.
    ///
    /// # Errors
    /// Names the part that did not start.
    pub async fn start(data: &Path, options: &RuntimeOptions) -> Result<Self> {
        let networks = options.allow_network.iter().map(|text| text.parse::<Network>());
        let networks: Vec<Network> = networks.collect::<Result<_, _>>().context("--allow-network")?;
        let probe = Device::probe(options.device)?;
        tracing::info!(device = %probe.device, "{}", probe.found);

        std::fs::create_dir_all(data).with_context(|| format!("cannot make the data directory {}", data.display()))?;
        let store: SharedStore =
            Arc::new(SqliteStore::open(data.join("sightflow.db"), SqliteOptions::default()).await?);
        let blobs = BlobStore::open_directory(data.join("blobs"))?;
        let cache = options.cache.clone().unwrap_or_else(|| data.join("cache"));
        let blocks = tokio::task::spawn_blocking(move || Blocks::load(Some(&cache))).await??;
        if let Some(directory) = &options.starter_models {
            models::register(directory, &store, &blobs).await?;
        }

        let fetcher = Outgoing::new(networks)?;
        let parts = EngineParts {
            store: store.clone(),
            blobs: blobs.clone(),
            host: blocks.host.clone(),
            catalog: blocks.catalog.clone(),
            fetcher: Arc::new(Fetcher(fetcher.clone())),
        };
        let engine = Engine::start(parts, EngineConfig::default()).await?;
        let mut worker_config = WorkerConfig::for_device(probe.device);
        worker_config.slots = options.workers.unwrap_or(worker_config.slots);
        let slots = worker_config.slots;
        let worker = match slots {
            0 => None,
            _ => Some(Worker::start(store.clone(), Arc::new(blobs.clone()), worker_config).await?),
        };
        let known = store.models(TenantId::BUILT_IN, ModelFilter::default()).await?;
        let known: Vec<_> = known.iter().map(|model| model.id.as_str()).collect();
        let summary = format!(
            "store {}, {} × {}, models: {}, blocks: {}",
            data.display(),
            slots,
            probe.device,
            if known.is_empty() { "none".to_owned() } else { known.join(" ") },
            blocks.catalog.entries().len(),
        );
        let api = ApiState::new(store.clone(), blobs, blocks.catalog, blocks.host, fetcher, ApiConfig::default());
        Ok(Self { api, summary, store, engine, worker })
    }

    /// Hands running executions back, finishes running batches, closes the store.
    pub async fn shutdown(self) {
        self.engine.shutdown().await;
        if let Some(worker) = self.worker {
            worker.shutdown().await;
        }
        self.store.close().await;
    }
}

/// The API's outgoing client as the engine wants it.
struct Fetcher(Outgoing);

#[async_trait]
impl ImageFetcher for Fetcher {
    async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        self.0.fetch(url).await.map_err(|error| match error {
            outgoing::FetchError::NotAllowed(message) => FetchError::NotAllowed(message),
            outgoing::FetchError::Failed(message) => FetchError::Failed(message),
        })
    }
}

/// Logs to stderr; `SIGHTFLOW_LOG` filters as `RUST_LOG` does elsewhere.
pub fn log(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SIGHTFLOW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
}
