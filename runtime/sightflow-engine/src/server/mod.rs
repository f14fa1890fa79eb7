//! The executor of a server: claims executions from the store, runs them, records what happens.
//!
//! Services, each restarted when it panics: `intake` takes executions, `heartbeat` gives signs of life, `watch` finds what
//! was lost, `listen` hears the store's signals and the alarms of executions that wait, `housekeeping` and `retention` work
//! for everybody. None waits for another. An execution that computes is a task that ends defined; one that only waits is
//! parked: it has neither a task nor a slot.

mod asking;
mod config;
mod effects;
mod execute;
mod handle;
mod heartbeat;
mod housekeeping;
mod hub;
mod images;
mod intake;
mod jobs;
mod journal;
mod listen;
mod parked;
mod pins;
mod retention;
mod shared;
mod watch;

use std::sync::Arc;

use sightflow_store::{SILENCE_MS, Signal, StoreError};
use sightflow_supervisor::{Health, HealthReport, Services, caught};
use sightflow_types::WorkerId;
use sightflow_types::error::chain;
use tokio::sync::broadcast::Receiver;
use tracing::{error, warn};

pub use config::{EngineConfig, EngineParts, FetchError, ImageFetcher};
pub use images::StoredImages;

use shared::Shared;

/// What is known about an engine's life at one moment.
pub type EngineHealth = HealthReport;

/// A running engine. [`Engine::shutdown`] stops it and waits; dropping it begins the same stop without waiting for it.
pub struct Engine {
    shared: Arc<Shared>,
    main: Option<tokio::task::JoinHandle<()>>,
}

impl Engine {
    /// Registers an engine and starts to take executions.
    ///
    /// # Errors
    /// When the store refuses the registration.
    pub async fn start(parts: EngineParts, config: EngineConfig) -> Result<Self, StoreError> {
        // Nothing that is told after the registration is missed.
        let signals = parts.store.subscribe();
        let id = heartbeat::register(&parts, &config).await?;
        let patience = std::time::Duration::from_millis(SILENCE_MS.unsigned_abs());
        let shared = Arc::new(Shared::new(parts, config, id, Health::new(patience)));
        let main = tokio::spawn(serve(Arc::clone(&shared), signals));
        Ok(Self { shared, main: Some(main) })
    }

    /// Its id in the fleet.
    pub fn id(&self) -> WorkerId {
        self.shared.id()
    }

    /// Whether it lives: for readiness. It counts as dead when its last sign of life in the store is as old as what lets
    /// others take its executions over.
    pub fn health(&self) -> EngineHealth {
        self.shared.health.report()
    }

    /// The handle behind [`Engine::health`] and [`Engine::failed`], for those who outlive the engine.
    pub fn health_handle(&self) -> Health {
        self.shared.health.clone()
    }

    /// Resolves with the reason once the engine cannot go on: end the process then.
    pub async fn failed(&self) -> String {
        self.shared.health.failed().await
    }

    /// Stops taking executions, hands the running ones back, leaves the fleet.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(main) = self.main.take()
            && let Err(failure) = main.await
        {
            error!(error = chain(&failure), "the engine's main task ended badly");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Runs the services until the stop, then waits for the executions, which see the same token and hand themselves back. Those
/// that are parked are handed back.
async fn serve(shared: Arc<Shared>, signals: Receiver<Signal>) {
    let (health, stop) = (shared.health.clone(), shared.stop.clone());
    let mut services = Services::new(Arc::clone(&shared), health, shared.config.restarts, stop);
    services.add("intake", intake::run);
    services.add("heartbeat", heartbeat::run);
    services.add("watch", watch::run);
    let mut signals = Some(signals);
    services.add("listener", move |shared| {
        let signals = signals.take().unwrap_or_else(|| shared.parts.store.subscribe());
        listen::signals(shared, signals)
    });
    services.add("alarms", listen::alarms);
    services.add("housekeeping", housekeeping::run);
    services.add("retention", retention::run);
    services.ended().await;
    // All were given up, or this is the stop.
    shared.stop.cancelled().await;
    shared.tasks_ended().await;
    execute::leave_parked(&shared).await;
    match caught(shared.parts.store.retire_worker(shared.id())).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => warn!(error = chain(&failure), "cannot leave the fleet"),
        Err(panicked) => warn!(error = chain(&panicked), "cannot leave the fleet"),
    }
}
