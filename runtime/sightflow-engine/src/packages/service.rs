//! The services that keep blocks in step with the store, and bring code before somebody waits for it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sightflow_store::{SILENCE_MS, Signal};
use sightflow_supervisor::{Health, Services};
use sightflow_types::error::chain;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Packages;

/// The running services of [`Packages`]. Dropping this stops them.
pub struct PackageService {
    health: Health,
    stop: CancellationToken,
    main: tokio::task::JoinHandle<()>,
}

struct Shared {
    packages: Arc<Packages>,
    health: Health,
    stop: CancellationToken,
}

impl PackageService {
    /// Starts to follow the store.
    pub fn start(packages: Arc<Packages>) -> Self {
        let (health, stop) = (Health::new(Duration::from_millis(SILENCE_MS.unsigned_abs())), CancellationToken::new());
        let restarts = packages.config.restarts;
        let shared = Arc::new(Shared { packages, health: health.clone(), stop: stop.clone() });
        let mut services = Services::new(shared, health.clone(), restarts, stop.clone());
        services.add("packages", follow);
        services.add("package code", warm);
        services.add("package quarantine", judge);
        let main = tokio::spawn(async move { services.ended().await });
        Self { health, stop, main }
    }

    /// Whether it follows: for readiness.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Stops and waits.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(failure) = (&mut self.main).await {
            warn!(error = chain(&failure), "the services of block packages ended badly");
        }
    }
}

impl Drop for PackageService {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Looks at the store after each signal, and now and then without one.
async fn follow(shared: Arc<Shared>) {
    let Shared { packages, health, stop } = &*shared;
    let mut signals = packages.store.subscribe();
    loop {
        match packages.catch_up().await {
            Ok(()) => health.beat(),
            Err(failure) => warn!(error = chain(&failure), "block packages cannot be looked up"),
        }
        let look = tokio::time::sleep(packages.config.poll);
        tokio::pin!(look);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = &mut look => break,
                signal = signals.recv() => match signal {
                    Ok(Signal::PackagesChanged) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    // The store is gone for good.
                    Err(RecvError::Closed) => return stop.cancelled().await,
                }
            }
        }
    }
}

/// Looks now and then at what keeps breaking down.
async fn judge(shared: Arc<Shared>) {
    let Shared { packages, stop, .. } = &*shared;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(packages.config.poll) => packages.take_out_breaking().await,
        }
    }
}

/// Brings the code of active packages, one after the other, as much as memory may hold.
async fn warm(shared: Arc<Shared>) {
    let Shared { packages, stop, .. } = &*shared;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = packages.warm.notified() => {}
        }
        let mut cold = std::mem::take(&mut *packages.cold.lock().unwrap_or_else(PoisonError::into_inner));
        let mut room = packages.code.bound();
        cold.retain(|(_, size)| {
            let fits = *size <= room;
            room -= if fits { *size } else { 0 };
            fits
        });
        for (key, size) in cold {
            if stop.is_cancelled() {
                return;
            }
            let code = Arc::clone(&packages.code);
            // What does not load is logged where it is tried, and known from then on.
            let brought = tokio::task::spawn_blocking(move || code.bring(&key, size).map(drop)).await;
            if let Err(failure) = brought {
                warn!(error = chain(&failure), "loading a block package panicked");
            }
        }
    }
}
