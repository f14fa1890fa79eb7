//! What only a look at the store can find: leases that are lost, leases without a task, executions of engines that are gone.

use std::collections::HashSet;
use std::sync::Arc;

use sightflow_store::{ExecutionLease, StoreError};
use sightflow_types::error::chain;
use tracing::{info, warn};

use super::intake::take_over;
use super::listen;
use super::shared::Shared;

/// Looks between those at all open jobs, in case a wake-up was lost.
const LOOK_AGAIN: u32 = 6;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = shared.ticks();
    let mut orphans = HashSet::new();
    for looks in 1_u32.. {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.config.faults.at("engine.watch");
        check_leases(&shared, &mut orphans).await;
        if looks.is_multiple_of(LOOK_AGAIN) {
            listen::look_again(&shared).await;
        }
        if !shared.stop.is_cancelled() {
            take_over(&shared).await;
        }
    }
}

/// Compares what the store says is leased here with the tasks that there are. A walk without a lease stops; a lease without
/// a walk (seen twice in a row: the first time it may be about to begin) is given back, so that somebody runs it.
async fn check_leases(shared: &Arc<Shared>, orphans: &mut HashSet<ExecutionLease>) {
    let held = listen::check_leases(shared).await;
    let idle: HashSet<ExecutionLease> = held.into_iter().filter(|lease| !shared.hub.runs(*lease)).collect();
    for lease in idle.intersection(orphans) {
        match shared.parts.store.hand_back(*lease).await {
            Ok(()) => {
                warn!(execution.id = %lease.execution_id, "execution handed back: it was leased here without a task");
            }
            Err(StoreError::StaleLease) => info!(execution.id = %lease.execution_id, "a lease without a task ended"),
            Err(failure) => {
                warn!(execution.id = %lease.execution_id, error = chain(&failure), "cannot hand back; it is tried again");
            }
        }
    }
    *orphans = idle;
}
