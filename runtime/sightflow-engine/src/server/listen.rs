//! Hears the store's signals, and the alarms of executions that wait: whoever has news goes on.

use std::collections::HashSet;
use std::sync::Arc;

use sightflow_store::{ExecutionLease, Signal};
use sightflow_types::error::chain;
use sightflow_types::{ExecutionId, JobId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::warn;

use super::execute::wake;
use super::shared::Shared;

/// Jobs that one look asks for.
const LOOK: usize = 500;

/// Hears the store's signals until the stop. Whatever came before it listened may have been missed.
pub(super) async fn signals(shared: Arc<Shared>, mut signals: Receiver<Signal>) {
    let hub = &shared.hub;
    missed(&shared).await;
    loop {
        let signal = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            signal = signals.recv() => signal,
        };
        shared.config.faults.at("engine.listen");
        match signal {
            Ok(Signal::JobsEnded(jobs)) => {
                for job in jobs {
                    job_ended(&shared, job.execution_id, job.job_id);
                }
            }
            Ok(Signal::Cancelled(ids)) => ids.into_iter().for_each(|id| lose(&shared, id)),
            Ok(Signal::ExecutionsReady) => hub.execution_ready(),
            Ok(Signal::JobsReady(_) | Signal::ExecutionNews(_) | Signal::ModelsChanged | Signal::PackagesChanged) => {}
            Err(RecvError::Lagged(_)) => missed(&shared).await,
            // The store is gone for good.
            Err(RecvError::Closed) => return,
        }
    }
}

/// Wakes the executions whose time has come, until the stop.
pub(super) async fn alarms(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = shared.hub.alarm() => {}
        }
        shared.hub.due(Instant::now()).into_iter().for_each(|id| wake(&shared, id));
    }
}

async fn missed(shared: &Arc<Shared>) {
    look_again(shared).await;
    check_leases(shared).await;
}

/// Looks for jobs that have ended, in case a wake-up was lost. Those of parked executions are asked for together: what still
/// waits stays parked.
pub(super) async fn look_again(shared: &Arc<Shared>) {
    for jobs in shared.hub.look_again().chunks(LOOK) {
        match shared.parts.store.ended_jobs(jobs.to_vec()).await {
            Ok(ended) => ended.into_iter().for_each(|job| job_ended(shared, job.execution_id, job.id)),
            Err(failure) => warn!(error = chain(&failure), "cannot look for jobs that have ended"),
        }
    }
}

fn job_ended(shared: &Arc<Shared>, id: ExecutionId, job: JobId) {
    if shared.hub.job_ended(id, job) {
        wake(shared, id);
    }
}

/// Stops the executions whose leases are lost; answers the leases that this engine has, as the store sees it.
pub(super) async fn check_leases(shared: &Arc<Shared>) -> Vec<ExecutionLease> {
    let known = shared.hub.leases();
    let held = match shared.parts.store.leases_of(shared.id()).await {
        Ok(held) => held,
        Err(failure) => {
            warn!(error = chain(&failure), "cannot check leases");
            return Vec::new();
        }
    };
    let standing: HashSet<ExecutionLease> = held.iter().copied().collect();
    for lease in known.into_iter().filter(|lease| !standing.contains(lease)) {
        shared.hub.lose_lease(lease);
        wake(shared, lease.execution_id);
    }
    held
}

fn lose(shared: &Arc<Shared>, id: ExecutionId) {
    shared.hub.lose(id);
    wake(shared, id);
}
