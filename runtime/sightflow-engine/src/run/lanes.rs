//! Threads on which the frames of runs compute. Their number is bounded for the whole process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lanes of a process: so many frames compute at once, over all runs. Cheap to clone; clones are the same lanes.
#[derive(Debug, Clone)]
pub struct Lanes {
    free: Arc<Semaphore>,
    /// Most lanes of one run.
    of_run: usize,
}

impl Lanes {
    /// So many lanes, of which one run takes at most as many as there are processors.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { free: Arc::new(Semaphore::new(lanes.max(1))), of_run: cores.max(2) }
    }

    /// Most lanes of one run.
    pub(super) fn of_run(&self) -> usize {
        self.of_run
    }

    /// A lane, if one is free and nobody waits for it.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// A lane, once one is free.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Whether all lanes are taken: others may wait.
    pub(super) fn crowded(&self) -> bool {
        self.free.available_permits() == 0
    }
}

impl Default for Lanes {
    /// Four lanes a processor, 8 to 64: as many as the sandbox has slots, so that no call waits for one on its thread.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self::new(cores.saturating_mul(4).clamp(8, 64))
    }
}
