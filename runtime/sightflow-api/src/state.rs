//! What the handlers work with.

use std::sync::Arc;

use sightflow_blobs::BlobStore;
use sightflow_engine::Engine;
use sightflow_store::SharedStore;
use tokio::sync::watch;

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
    pub(crate) engine: Arc<Engine>,
    pub(crate) outgoing: Outgoing,
    pub(crate) config: Arc<ApiConfig>,
    drain: Arc<watch::Sender<bool>>,
}

impl ApiState {
    /// Puts the parts together.
    pub fn new(store: SharedStore, blobs: BlobStore, engine: Arc<Engine>, outgoing: Outgoing, config: ApiConfig) -> Self {
        Self { store, blobs, engine, outgoing, config: Arc::new(config), drain: Arc::new(watch::Sender::new(false)) }
    }

    /// The server is about to stop: `/readyz` answers 503, new runs are refused, event streams and waits end.
    pub fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Whether [`ApiState::drain`] was called, and when it will be.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }
}
