//! What an engine works with and how it behaves.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sightflow_blobs::BlobStore;
use sightflow_store::{Retention, Store};
use sightflow_supervisor::{Faults, Restarts};

use crate::host::BlockHost;
use crate::plans::Plans;
use crate::run::{Lanes, RunLimits};

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
    /// Makes plans; the process's one.
    pub plans: Arc<Plans>,
    /// Fetches `image_url` inputs.
    pub fetcher: Arc<dyn ImageFetcher>,
}

/// How an engine behaves.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Its name in the fleet.
    pub name: String,
    /// Executions that compute at once, those that only wait for jobs not counted; the others wait as rows. At least 1.
    pub max_running: usize,
    /// Executions that it has at once, those that only wait included.
    pub max_held: usize,
    /// How long an execution that only waits keeps its task and its pixels.
    pub grace: Duration,
    /// The threads on which blocks compute.
    pub lanes: Lanes,
    /// Bound of one attempt of an inference job, milliseconds.
    pub job_timeout_ms: u32,
    /// How much an execution may keep.
    pub run_limits: RunLimits,
    /// How long events wait for company before they are written.
    pub linger: Duration,
    /// Between signs of life, and looks at everything in case a wake-up was lost.
    pub heartbeat: Duration,
    /// Looks for waiting executions in case a wake-up was lost.
    pub poll: Duration,
    /// How long things are kept that nobody needs any more.
    pub retention: Retention,
    /// How often a service that panics starts again.
    pub restarts: Restarts,
    /// Hooks for tests.
    pub faults: Faults,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            name: "engine".to_owned(),
            max_running: 256,
            max_held: 20_000,
            grace: Duration::from_millis(500),
            lanes: Lanes::default(),
            job_timeout_ms: 60_000,
            run_limits: RunLimits::default(),
            linger: Duration::from_millis(15),
            heartbeat: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            retention: Retention::default(),
            restarts: Restarts::default(),
            faults: Faults::default(),
        }
    }
}
