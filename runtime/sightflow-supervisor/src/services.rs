//! The services of one part of the process.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Health, Restarts, keep};

/// Services that share something, one stop and one health: each is a task of its own that starts again when it panics.
/// Dropping this aborts them.
pub struct Services<S> {
    shared: Arc<S>,
    health: Health,
    restarts: Restarts,
    /// What every service must watch: nothing here ends one that runs.
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl<S: Send + Sync + 'static> Services<S> {
    /// No services yet. One that is given up fails `health`.
    pub fn new(shared: Arc<S>, health: Health, restarts: Restarts, stop: CancellationToken) -> Self {
        Self { shared, health, restarts, stop, tasks: JoinSet::new() }
    }

    /// Starts a service: `make` gives its future, again each time that it starts again.
    pub fn add<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        mut make: impl FnMut(Arc<S>) -> F + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        let (health, stop) = (self.health.clone(), self.stop.clone());
        self.tasks.spawn(keep(name, health, stop, self.restarts, move || make(Arc::clone(&shared))));
    }

    /// Resolves when all have ended: they were stopped or given up.
    pub async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
