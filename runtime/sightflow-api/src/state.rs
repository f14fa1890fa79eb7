//! What the handlers work with.

use std::sync::Arc;

use serde_json::Value;
use sightflow_blobs::BlobStore;
use sightflow_engine::{BlockHost, Catalog, Compiled, Packages, Plan, PlanError, Plans};
use sightflow_memory::MemoryPool;
use sightflow_store::{Followers, Quotas, SharedStore, StoreError};
use sightflow_types::{Digest, Problem, TenantId};
use tokio::sync::{Semaphore, watch};

use crate::error::{ApiError, Code};
use crate::key_cache::KeyCache;
use crate::outgoing::Outgoing;
use crate::rates::Rates;
use crate::ready::{HealthCheck, Recent, Unwell};

/// Settings of the HTTP side.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Every request needs a key, but for what answers the same to everybody. Else everybody is the built-in tenant.
    pub auth: bool,
    /// Refuse requests whose `Host` is no loopback name or whose `Origin` is foreign. True unless clients authenticate.
    pub loopback_only: bool,
    /// Origins that may call a loopback server beside its own, for example `http://localhost:5173`.
    pub allowed_origins: Vec<String>,
    /// Runs are refused with `queue_full` while this many executions wait.
    pub max_waiting_executions: u64,
    /// Runs are refused with `queue_full` while the oldest waiting execution is older than this, in milliseconds.
    pub max_wait_ms: i64,
    /// What tenants may have, unless the store says otherwise for one. Rates hold for keys only.
    pub quotas: Quotas,
    /// Refuse packages that no publisher signed whom their tenant trusts.
    pub require_signatures: bool,
    /// Where the bytes of bodies in flight are taken from.
    pub memory: MemoryPool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            auth: false,
            loopback_only: true,
            allowed_origins: Vec::new(),
            max_waiting_executions: 100_000,
            max_wait_ms: 120_000,
            quotas: Quotas::default(),
            require_signatures: false,
            memory: MemoryPool::process().clone(),
        }
    }
}

/// Everything that the routes need; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) store: SharedStore,
    pub(crate) blobs: BlobStore,
    /// Who waits for news of an execution.
    pub(crate) followers: Arc<Followers>,
    plans: Arc<Plans>,
    /// Block packages of tenants.
    pub(crate) packages: Arc<Packages>,
    /// What else must be well for `/readyz`.
    pub(crate) checks: Arc<[HealthCheck]>,
    pub(crate) blobs_ready: Arc<Recent>,
    /// Images that requests decode at the same time.
    pub(crate) decodes: Arc<Semaphore>,
    pub(crate) outgoing: Outgoing,
    pub(crate) key_cache: Arc<KeyCache>,
    /// Requests of keys.
    pub(crate) requests: Arc<Rates>,
    /// Runs that keys start.
    pub(crate) runs: Arc<Rates>,
    pub(crate) config: Arc<ApiConfig>,
    drain: Arc<watch::Sender<bool>>,
}

impl ApiState {
    /// Puts the parts together, within a runtime. The engine itself is not among them: what the API accepts, the engine finds
    /// in the store.
    pub fn new(
        store: SharedStore,
        blobs: BlobStore,
        plans: Arc<Plans>,
        packages: Arc<Packages>,
        outgoing: Outgoing,
        config: ApiConfig,
    ) -> Self {
        let followers = Arc::new(Followers::new(&*store));
        let listener = Arc::clone(&followers);
        let deaf = || Unwell::Failed("news of executions reach nobody".to_owned());
        let news = HealthCheck::new("news", move || listener.listens().then_some(()).ok_or_else(deaf));
        let decodes = std::thread::available_parallelism().map_or(2, |cores| cores.get().div_ceil(2).max(2));
        Self {
            store,
            blobs,
            followers,
            plans,
            packages,
            checks: Arc::from([news]),
            blobs_ready: Arc::default(),
            decodes: Arc::new(Semaphore::new(decodes)),
            outgoing,
            key_cache: Arc::default(),
            requests: Arc::default(),
            runs: Arc::default(),
            config: Arc::new(config),
            drain: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Adds what `/readyz` must find well, such as the engine's and the workers' signs of life.
    #[must_use]
    pub fn with_checks(mut self, checks: impl IntoIterator<Item = HealthCheck>) -> Self {
        self.checks = self.checks.iter().cloned().chain(checks).collect();
        self
    }

    /// Every request needs an API key from now on; then other addresses than loopback can be served, too.
    #[must_use]
    pub fn with_keys(mut self) -> Self {
        self.config = Arc::new(ApiConfig { auth: true, loopback_only: false, ..(*self.config).clone() });
        self
    }

    /// Packages must be signed from now on by a publisher whom their tenant trusts.
    #[must_use]
    pub fn with_signatures(mut self) -> Self {
        self.config = Arc::new(ApiConfig { require_signatures: true, ..(*self.config).clone() });
        self
    }

    /// The server is about to stop: `/readyz` answers 503, new runs are refused, event streams and waits end.
    pub fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Whether [`ApiState::drain`] was called, and when it will be.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    /// Who runs component blocks.
    pub(crate) fn host(&self) -> &Arc<dyn BlockHost> {
        self.plans.host()
    }

    /// The blocks that a tenant may name.
    pub(crate) fn blocks(&self, tenant: TenantId) -> Arc<Catalog> {
        self.plans.blocks(tenant)
    }

    /// Everything that a save checks, the blocks' own checks included.
    pub(crate) async fn validate(&self, tenant: TenantId, definition: &Value) -> Result<Compiled, ApiError> {
        let mut compiled = self.plans.check(tenant, definition).await.map_err(unplanned)?;
        let named = compiled.plan.as_ref().map(|plan| plan.stored_images()).unwrap_or_default();
        for (pointer, digest) in named {
            match self.store.blob(tenant, &digest).await {
                Ok(_) => {}
                Err(StoreError::NotFound(_)) => {
                    let message = format!("the image {digest} is not stored; upload it first");
                    compiled.errors.push(Problem::new("E-REFERENCE", pointer, message));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(compiled)
    }

    /// The plan of a stored definition, which has this digest: its blocks were asked when it was saved.
    pub(crate) async fn plan(
        &self,
        tenant: TenantId,
        digest: Digest,
        definition: impl Future<Output = Result<Value, StoreError>> + Send,
    ) -> Result<Arc<Plan>, ApiError> {
        self.plans.plan(tenant, digest, definition).await.map_err(unplanned)
    }

    /// The plan of a definition that came with a run: its blocks are asked, unless they were before.
    pub(crate) async fn checked_plan(&self, tenant: TenantId, definition: &Value) -> Result<Arc<Plan>, ApiError> {
        self.plans.checked_plan(tenant, definition).await.map_err(unplanned)
    }
}

fn unplanned(error: PlanError) -> ApiError {
    match error {
        PlanError::Store(error) => error.into(),
        PlanError::Invalid(problems) => ApiError::problems(Code::DefinitionInvalid, "the definition", problems),
        PlanError::Failed(error) => ApiError::internal(error),
    }
}
