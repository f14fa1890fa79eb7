//! Signs of life, and what only a look at the store can find: leases that are lost, leases without a task, executions of
//! engines that are gone.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use sightflow_store::{ExecutionLease, Heartbeat, NewWorker, StoreError, WorkerRole};
use sightflow_types::WorkerId;
use sightflow_types::error::chain;
use tracing::{info, warn};

use super::intake::take_over;
use super::shared::Shared;
use super::{EngineConfig, EngineParts};

/// Beats between looks of every waiting walk at its jobs, in case a wake-up was lost.
const LOOK_AGAIN: u32 = 6;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.config.heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut orphans = HashSet::new();
    for beats in 1_u32.. {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.config.faults.at("engine.pulse");
        beat(&shared).await;
        check_leases(&shared, &mut orphans).await;
        if beats.is_multiple_of(LOOK_AGAIN) {
            shared.hub.look_again();
        }
        if !shared.stop.is_cancelled() {
            take_over(&shared).await;
        }
    }
}

/// Joins the fleet under a new id.
pub(super) async fn register(parts: &EngineParts, config: &EngineConfig) -> Result<WorkerId, StoreError> {
    let new = NewWorker {
        id: WorkerId::new(),
        role: WorkerRole::Engine,
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    parts.store.register_worker(new).await.map(|worker| worker.id)
}

/// A sign of life; registers anew after having been declared gone. Its executions are then someone else's.
async fn beat(shared: &Shared) {
    let beat = Heartbeat { worker_id: shared.id(), memory_free: None, models: None, holding: Vec::new() };
    match shared.parts.store.heartbeat(beat).await {
        Ok(answer) if answer.alive => shared.health.beat(),
        Ok(_) => {
            warn!(engine.id = %shared.id(), "declared gone; registering anew");
            match register(&shared.parts, &shared.config).await {
                Ok(new) => {
                    shared.renew(new);
                    shared.health.beat();
                }
                Err(failure) => warn!(error = chain(&failure), "cannot register anew"),
            }
        }
        Err(failure) => warn!(error = chain(&failure), "no sign of life could be given"),
    }
}

/// Compares what the store says is leased here with the tasks that there are. A walk without a lease stops; a lease without
/// a walk (seen twice in a row: the first time it may be about to begin) is given back, so that somebody runs it.
async fn check_leases(shared: &Shared, orphans: &mut HashSet<ExecutionLease>) {
    shared.hub.check_leases(shared.parts.store.as_ref()).await;
    let held = match shared.parts.store.leases_of(shared.id()).await {
        Ok(held) => held,
        Err(failure) => return warn!(error = chain(&failure), "cannot look for leases without a task"),
    };
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
