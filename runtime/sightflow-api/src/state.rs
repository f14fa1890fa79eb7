//! What the handlers work with.

use std::sync::Arc;

use serde_json::Value;
use sightflow_blobs::BlobStore;
use sightflow_engine::{BlockHost, Catalog, Compiled, Limits};
use sightflow_store::SharedStore;
use sightflow_types::TenantId;
use tokio::sync::watch;

use crate::error::ApiError;
use crate::models::Models;
use crate::outgoing::Outgoing;

/// Settings of the HTTP side.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Refuse requests whose `Host` is no loopback name or whose `Origin` is foreign. True unless clients authenticate.
    pub loopback_only: bool,
    /// Origins that may call a loopback server beside its own, for example `http://localhost:5173`.
    pub allowed_origins: Vec<String>,
    /// Runs are refused with `queue_full` while this many executions wait.
    pub max_waiting_executions: u64,
    /// Runs are refused with `queue_full` while the oldest waiting execution is older than this, in milliseconds.
    pub max_wait_ms: i64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { loopback_only: true, allowed_origins: Vec::new(), max_waiting_executions: 100_000, max_wait_ms: 120_000 }
    }
}

/// Everything that the routes need; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) store: SharedStore,
    pub(crate) blobs: BlobStore,
    pub(crate) catalog: Arc<Catalog>,
    host: Arc<dyn BlockHost>,
    models: Arc<Models>,
    pub(crate) outgoing: Outgoing,
    pub(crate) config: Arc<ApiConfig>,
    drain: Arc<watch::Sender<bool>>,
}

impl ApiState {
    /// Puts the parts together. The engine itself is not among them: what the API accepts, the engine finds in the store.
    pub fn new(
        store: SharedStore,
        blobs: BlobStore,
        catalog: Arc<Catalog>,
        host: Arc<dyn BlockHost>,
        outgoing: Outgoing,
        config: ApiConfig,
    ) -> Self {
        let models = Arc::new(Models::new(&store));
        Self {
            store,
            blobs,
            catalog,
            host,
            models,
            outgoing,
            config: Arc::new(config),
            drain: Arc::new(watch::Sender::new(false)),
        }
    }

    /// The server is about to stop: `/readyz` answers 503, new runs are refused, event streams and waits end.
    pub fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Whether [`ApiState::drain`] was called, and when it will be.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    /// Everything that a save checks, the blocks' own checks included.
    pub(crate) async fn validate(&self, tenant: TenantId, definition: &Value) -> Result<Compiled, ApiError> {
        let models = self.models.snapshot(&self.store, tenant).await?;
        Ok(sightflow_engine::validate(definition, &self.catalog, &models, &Limits::default(), &*self.host).await)
    }

    /// The plan of a definition that was saved before: the blocks are not asked again.
    pub(crate) async fn compile(&self, tenant: TenantId, definition: &Value) -> Result<Compiled, ApiError> {
        let models = self.models.snapshot(&self.store, tenant).await?;
        Ok(sightflow_engine::compile(definition, &self.catalog, &models, &Limits::default()))
    }
}
