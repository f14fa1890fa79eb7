//! What an engine does for everybody, soon: retries that are due, jobs of lost workers, executions past their time.

use std::sync::Arc;
use std::time::Duration;

use sightflow_store::StoreError;
use sightflow_types::error::chain;
use tracing::warn;

use super::shared::Shared;

/// Between looks at what is due. A retry waits at most this much longer than it must.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between looks for lost workers and for executions past their deadline.
const RESCUE_EVERY: u32 = 10;
/// Rows that one statement handles.
const PAGE: u32 = 500;

pub(super) async fn run(shared: Arc<Shared>) {
    shared.config.faults.at("engine.housekeeping");
    for tick in 0_u32.. {
        told("retries", promote(&shared).await);
        if tick.is_multiple_of(RESCUE_EVERY) {
            told("rescue", rescue(&shared).await);
            told("time-outs", expire(&shared).await);
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// A step that fails is tried again with its next turn, and keeps no other step from its own.
fn told(step: &'static str, done: Result<(), StoreError>) {
    if let Err(failure) = done {
        warn!(step, error = chain(&failure), "housekeeping failed; it tries again");
    }
}

async fn promote(shared: &Shared) -> Result<(), StoreError> {
    let store = &shared.parts.store;
    if store.next_due().await?.is_some_and(|due| due <= store.now()) {
        store.promote_due(PAGE).await?;
    }
    Ok(())
}

async fn rescue(shared: &Shared) -> Result<(), StoreError> {
    for job in shared.parts.store.rescue().await? {
        warn!(job.id = %job.job_id, code = job.code, "job taken from a lost worker or past its deadline");
    }
    Ok(())
}

async fn expire(shared: &Shared) -> Result<(), StoreError> {
    for execution in shared.parts.store.expire_executions(PAGE).await? {
        warn!(execution.id = %execution, "execution ended: its time is over");
    }
    Ok(())
}
