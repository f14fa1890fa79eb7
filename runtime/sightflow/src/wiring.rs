//! Puts the parts together: everything that one process runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sightflow_api::outgoing::{Network, Outgoing};
use sightflow_api::{ApiConfig, ApiState, HealthCheck, Unwell};
use sightflow_blobs::BlobStore;
use sightflow_engine::secrets::SecretsKey;
use sightflow_engine::{
    BlockSource, Catalog, DefinitionLimits, Engine, EngineConfig, EngineParts, Granting, PackageService, Packages,
    PackagesConfig, Plans,
};
use sightflow_memory::MemoryPool;
use sightflow_models::{Device, SimdLevel};
use sightflow_sandbox::{ChildCompiler, CompileLimits, Compiler, Sandbox, SandboxConfig};
use sightflow_store::{ModelFilter, Retention, SharedStore, SqliteOptions, SqliteStore};
use sightflow_supervisor::Health;
use sightflow_types::TenantId;
use sightflow_worker::{Worker, WorkerConfig};

use crate::budget;
use crate::cli::RuntimeOptions;
use crate::effects::Effects;
use crate::host::{self, SandboxHost, SandboxLoader};
use crate::models;

/// The sandbox, and the blocks that it can run.
pub struct Blocks {
    /// Runs and checks component blocks.
    pub host: Arc<SandboxHost>,
    /// Every block, for API and engine alike.
    pub source: Arc<BlockSource>,
    /// Loads packages of tenants.
    pub loader: Arc<SandboxLoader>,
}

impl Blocks {
    /// Loads the first-party packages; compiled code is taken from `cache` where it is there. Blocks that reach out do so
    /// through `effects`, or not at all.
    ///
    /// # Errors
    /// When the sandbox cannot be set up or a package does not load.
    pub fn load(cache: Option<&Path>, effects: Option<Effects>) -> Result<Self> {
        let sandbox = sandbox(cache)?;
        let packages = sightflow_first_party::load(&sandbox)?;
        let source = Arc::new(BlockSource::new(packages.into_iter().map(host::published))?);
        let loader = Arc::new(SandboxLoader::new(sandbox.clone()));
        Ok(Self { host: Arc::new(SandboxHost::new(sandbox, effects)), source, loader })
    }

    /// Every block that comes with the server.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.source.of(TenantId::BUILT_IN)
    }
}

/// The sandbox; compiled code is taken from `cache` where it is there. Packages of tenants are compiled in processes of their
/// own, by this program.
pub(crate) fn sandbox(cache: Option<&Path>) -> Result<Sandbox> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let compiler = ChildCompiler { program, args: vec!["compile-component".into()], limits: CompileLimits::default() };
    let compiler = Compiler::Child(compiler);
    let config = SandboxConfig { cache: cache.map(Path::to_owned), compiler, ..SandboxConfig::default() };
    Sandbox::new(&config).context("the sandbox cannot be set up")
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
    following: PackageService,
}

impl Runtime {
    /// Opens the store under `data` and starts everything.
    ///
    /// # Errors
    /// Names the part that did not start.
    pub async fn start(data: &Path, options: &RuntimeOptions) -> Result<Self> {
        let networks = options.allow_network.iter().map(|text| text.parse::<Network>());
        let networks: Vec<Network> = networks.collect::<Result<_, _>>().context("--allow-network")?;
        if let Some(level) = options.simd {
            SimdLevel::lower_to(level).context("--simd")?;
        }
        let cache = options.cache.clone().unwrap_or_else(|| data.join("cache"));
        let probe = Device::probe(options.device, &cache.join("gpu"))?;
        tracing::info!(device = %probe.device, "{}", probe.found);

        let memory = budget::configure(options.memory)?;
        private_directory(data).with_context(|| format!("cannot make the data directory {}", data.display()))?;
        let store: SharedStore =
            Arc::new(SqliteStore::open(data.join("sightflow.db"), SqliteOptions::default()).await?);
        let blobs = BlobStore::open_directory(data.join("blobs"))?;
        let fetcher = Outgoing::new(networks, MemoryPool::process().clone())?;
        let key = SecretsKey::in_file(&data.join("secrets.key")).context("the key of secrets, secrets.key")?;
        let granting = Granting::new(store.clone(), Arc::new(key), options.block_hosts.clone());
        let effects = Effects::new(granting.clone(), fetcher.clone());
        let blocks = tokio::task::spawn_blocking(move || Blocks::load(Some(&cache), Some(effects))).await??;
        if let Some(directory) = &options.starter_models {
            models::register(directory, &store, &blobs, probe.device).await?;
        }

        let packages = Arc::new(Packages::new(
            store.clone(),
            blobs.clone(),
            blocks.source.clone(),
            blocks.loader.clone(),
            granting,
            PackagesConfig::default(),
        ));
        // Nobody is served before the blocks are there that were published before.
        packages.catch_up().await?;
        let following = PackageService::start(Arc::clone(&packages));
        let plans = Plans::new(store.clone(), blocks.source.clone(), blocks.host.clone() as _, limits());
        let plans = Arc::new(plans.with_packages(Arc::clone(&packages)));
        let parts = EngineParts {
            store: store.clone(),
            blobs: blobs.clone(),
            host: blocks.host.clone(),
            plans: plans.clone(),
            fetcher: Arc::new(fetcher.clone()),
        };
        let executions = (options.keep_days > 0).then(|| Duration::from_secs(u64::from(options.keep_days) * 86_400));
        let retention = Retention { executions, ..Retention::default() };
        let engine_config = EngineConfig { retention, ..EngineConfig::default() };
        let engine = Engine::start(parts, engine_config).await?;
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
            "store {}, memory {} MiB, {} × {} {}, models: {}, blocks: {}",
            data.display(),
            memory >> 20,
            slots,
            probe.device,
            SimdLevel::current(),
            if known.is_empty() { "none".to_owned() } else { known.join(" ") },
            blocks.catalog().entries().len(),
        );
        let mut checks = vec![alive("engine", engine.health_handle()), alive("packages", following.health())];
        checks.extend(worker.as_ref().map(|worker| alive("worker", worker.health_handle())));
        let api = ApiState::new(store.clone(), blobs, plans, packages, fetcher, ApiConfig::default());
        let api = api.with_checks(checks);
        Ok(Self { api, summary, store, engine, worker, following })
    }

    /// Whether there is any API key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_keys(&self) -> Result<bool> {
        Ok(self.store.count_api_keys().await? > 0)
    }

    /// Resolves with the reason when a part cannot go on: the process is of no use any more and should end.
    pub async fn failed(&self) -> String {
        let worker = async {
            match &self.worker {
                Some(worker) => worker.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.store.failed() => format!("the store cannot go on: {reason}"),
            reason = self.engine.failed() => format!("the engine cannot go on: {reason}"),
            reason = worker => format!("the worker cannot go on: {reason}"),
        }
    }

    /// Hands running executions back, finishes running batches, closes the store.
    pub async fn shutdown(self) {
        self.engine.shutdown().await;
        self.following.shutdown().await;
        if let Some(worker) = self.worker {
            worker.shutdown().await;
        }
        self.store.close().await;
    }
}

/// How large a definition may be: for the API, the engine and `workflow validate` alike.
pub(crate) fn limits() -> DefinitionLimits {
    DefinitionLimits::default()
}

/// Readiness wants recent signs of life.
fn alive(name: &'static str, health: Health) -> HealthCheck {
    HealthCheck::new(name, move || {
        let report = health.report();
        match report.failed {
            Some(reason) => Err(Unwell::Failed(reason)),
            None if !report.alive => Err(Unwell::Silent(report.heartbeat_age)),
            None => Ok(()),
        }
    })
}

/// Makes the directory if it is missing. What lies in it are other people's pictures: only its owner may look.
pub(crate) fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}
