//! Threads on which the frames of runs compute. Their number is bounded for the whole process, and tenants take turns.

use sightflow_fair::{Asked, FairSlots, Slot};
use sightflow_types::TenantId;

/// The lanes of a process: so many frames compute at once, over all runs. Cheap to clone; clones are the same lanes.
#[derive(Debug, Clone)]
pub struct Lanes {
    free: FairSlots,
    /// Most lanes of one run.
    of_run: usize,
}

impl Lanes {
    /// So many lanes, of which one run takes at most as many as there are processors, and all runs of one tenant at most
    /// three quarters.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let lanes = lanes.max(1);
        // What waits is bounded by the runs, of which each waits once.
        Self { free: FairSlots::new(lanes, (lanes * 3).div_ceil(4), usize::MAX), of_run: cores.max(2) }
    }

    /// Most lanes of one run.
    pub(super) fn of_run(&self) -> usize {
        self.of_run
    }

    /// A lane, if one is free for the tenant and nobody waits for it.
    pub(super) fn try_take(&self, tenant: TenantId) -> Option<Slot> {
        self.free.try_take(tenant)
    }

    /// A lane, once it is the tenant's turn.
    pub(super) async fn take(&self, tenant: TenantId) -> Option<Slot> {
        match self.free.ask(tenant) {
            Ok(Asked::Slot(lane)) => Some(lane),
            Ok(Asked::Waiting(waiting)) => Some(waiting.await),
            // The queue has no bound.
            Err(_) => None,
        }
    }

    /// Whether all lanes are taken, or others wait.
    pub(super) fn crowded(&self) -> bool {
        self.free.crowded()
    }
}

impl Default for Lanes {
    /// Four lanes a processor, 8 to 64: as many as the sandbox has slots, so that no call waits for one on its thread.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self::new(cores.saturating_mul(4).clamp(8, 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_lanes_for_others() {
        let (lanes, one, other) = (Lanes::new(8), TenantId::new(), TenantId::new());
        let held: Vec<_> = std::iter::from_fn(|| lanes.try_take(one)).collect();
        assert_eq!(held.len(), 6);
        assert!(!lanes.crowded());
        let more: Vec<_> = std::iter::from_fn(|| lanes.try_take(other)).collect();
        assert_eq!(more.len(), 2);
        assert!(lanes.crowded());
    }
}
