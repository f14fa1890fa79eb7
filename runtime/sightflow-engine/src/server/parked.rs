//! Executions that only wait: for jobs, or for a time. They have no task, no slot, and no pixels.

use std::sync::Arc;
use std::time::Duration;

use sightflow_types::{JobId, TenantId};
use tokio::time::Instant;

use super::handle::Handle;
use super::journal::Journal;
use crate::catalog::Catalog;
use crate::run::Run;

/// An execution under way.
pub(super) struct Active {
    pub(super) handle: Arc<Handle>,
    pub(super) tenant: TenantId,
    /// The blocks that it began with.
    pub(super) blocks: Arc<Catalog>,
    pub(super) run: Run,
    pub(super) journal: Arc<Journal>,
}

/// What is left of an execution while it waits.
pub(super) enum Parked {
    /// Its frames and small values: it goes on where it stopped.
    Warm(Box<Active>),
    /// Nothing, since its values are large: it is walked again, with the blocks that it began with, and finished jobs answer
    /// from their rows.
    Cold(Box<Cold>),
}

/// An execution of which nothing was kept.
pub(super) struct Cold {
    pub(super) handle: Arc<Handle>,
    pub(super) tenant: TenantId,
    /// The blocks that it began with.
    pub(super) blocks: Arc<Catalog>,
    /// What it waits for.
    jobs: Vec<JobId>,
}

/// Bytes of values with which an execution is kept warm.
const WARM: u64 = 64 << 10;

impl Parked {
    pub(super) fn handle(&self) -> &Arc<Handle> {
        match self {
            Self::Warm(active) => &active.handle,
            Self::Cold(cold) => &cold.handle,
        }
    }

    /// The jobs that it waits for.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        match self {
            Self::Warm(active) => active.run.open_jobs(),
            Self::Cold(cold) => cold.jobs.clone(),
        }
    }
}

/// So long before its time is over an execution is warm: its end tells what resolved.
const LAST: Duration = Duration::from_secs(5);

impl Active {
    /// What it needs while it waits, and when it must be looked at; at the latest `until`.
    pub(super) fn park(self, until: Option<Instant>) -> (Parked, Option<Instant>) {
        self.run.shed();
        if self.run.kept_bytes() <= WARM || self.run.measures_time() {
            return (Parked::Warm(Box::new(self)), until);
        }
        // Nothing else is timed, so this is the run's deadline.
        match until.map(|deadline| deadline.checked_sub(LAST).filter(|last| *last > Instant::now())) {
            Some(None) => (Parked::Warm(Box::new(self)), until),
            last => {
                let jobs = self.run.open_jobs();
                let cold = Cold { handle: self.handle, tenant: self.tenant, blocks: self.blocks, jobs };
                (Parked::Cold(Box::new(cold)), last.flatten())
            }
        }
    }
}
