//! Taking executions: as many as there is room for, whenever some wait.

use std::sync::Arc;

use sightflow_store::StartedExecution;
use sightflow_types::error::chain;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use super::execute;
use super::shared::Shared;

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let room = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            room = shared.room() => room,
        };
        shared.config.faults.at("engine.intake");
        if shared.full() {
            drop(room);
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                () = tokio::time::sleep(shared.config.poll) => {}
            }
            continue;
        }
        // Not part of the select: a write happens also when nobody waits for it any more.
        let wanted = room.len();
        let full = match shared.parts.store.start_executions(shared.id(), page(wanted)).await {
            Ok(started) => begin(&shared, started, room) == wanted,
            Err(failure) => {
                warn!(error = chain(&failure), "cannot take executions");
                false
            }
        };
        if full {
            continue;
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = shared.hub.executions_ready() => {}
            () = tokio::time::sleep(shared.config.poll) => {}
        }
    }
}

/// Takes over executions of engines that are gone, while there is room.
pub(super) async fn take_over(shared: &Arc<Shared>) {
    loop {
        let room = shared.room_now();
        let wanted = room.len();
        if wanted == 0 || shared.full() {
            return;
        }
        match shared.parts.store.take_over(shared.id(), page(wanted)).await {
            Ok(taken) => {
                if begin(shared, taken, room) < wanted {
                    return;
                }
            }
            Err(failure) => return warn!(error = chain(&failure), "cannot take executions over"),
        }
    }
}

fn page(wanted: usize) -> u32 {
    u32::try_from(wanted).unwrap_or(u32::MAX)
}

/// Begins each; how many there were.
fn begin(shared: &Arc<Shared>, started: Vec<StartedExecution>, room: Vec<OwnedSemaphorePermit>) -> usize {
    let count = started.len();
    for (execution, slot) in started.into_iter().zip(room) {
        info!(execution.id = %execution.execution.id, execution.resume_count = execution.execution.resume_count, "execution taken");
        execute::begin(shared, execution, slot);
    }
    count
}
