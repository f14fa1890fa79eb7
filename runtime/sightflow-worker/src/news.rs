//! What the store tells, for all slots together: jobs that wait, executions that were cancelled.

use std::sync::Arc;
use std::time::Duration;

use sightflow_store::Signal;
use sightflow_types::error::chain;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::Shared;

/// Looking without a hint: hints can be lost between processes. One small query, and only while a slot is idle.
const LOOK: Duration = Duration::from_secs(1);

/// Hears signals until the worker is gone. Whatever came before it listened may have been missed.
pub(crate) async fn listen(shared: Arc<Shared>, mut signals: Receiver<Signal>) {
    shared.jobs_ready();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let signal = tokio::select! {
            biased;
            () = shared.gone.cancelled() => return,
            signal = signals.recv() => signal,
            _ = looks.tick() => {
                look(&shared).await;
                continue;
            }
        };
        shared.config.faults.at("worker.news");
        match signal {
            Ok(Signal::JobsReady(_)) | Err(RecvError::Lagged(_)) => shared.jobs_ready(),
            // What a lag hides, the next heartbeat tells.
            Ok(Signal::Cancelled(executions)) => {
                shared.member.cancel(&executions);
                shared.config.faults.at("worker.cancelled");
            }
            Ok(_) => {}
            // The store is gone for good.
            Err(RecvError::Closed) => return,
        }
    }
}

async fn look(shared: &Shared) {
    if shared.idle() == 0 {
        return;
    }
    match shared.store.job_heads().await {
        Ok(heads) if heads.is_empty() => {}
        Ok(_) => shared.jobs_ready(),
        Err(error) => tracing::warn!(error = chain(&error), "cannot look for jobs"),
    }
}
