//! Wake-ups: from the store's signals to the executions that this engine runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sightflow_store::{ExecutionLease, Signal, Store};
use sightflow_types::ExecutionId;
use sightflow_types::error::chain;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::shared::Shared;

/// One running execution.
pub(super) struct Handle {
    pub(super) lease: ExecutionLease,
    /// Fires when it was cancelled, taken over or ended by someone else: stop, write nothing.
    pub(super) lost: CancellationToken,
    /// Counts news of its jobs; waiting job runners look at the store when it moves.
    pub(super) news: watch::Sender<u64>,
}

impl Handle {
    fn look_again(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// All running executions of this engine.
#[derive(Default)]
pub(super) struct Hub {
    handles: Mutex<HashMap<ExecutionId, Arc<Handle>>>,
    ready: Notify,
}

impl Hub {
    pub(super) fn enter(&self, lease: ExecutionLease) -> Arc<Handle> {
        let handle = Arc::new(Handle { lease, lost: CancellationToken::new(), news: watch::Sender::new(0) });
        let former = self.lock().insert(lease.execution_id, Arc::clone(&handle));
        if let Some(former) = former {
            // The same engine took it over from its own former self.
            former.lost.cancel();
        }
        handle
    }

    pub(super) fn leave(&self, handle: &Handle) {
        let mut handles = self.lock();
        if handles.get(&handle.lease.execution_id).is_some_and(|present| present.lease == handle.lease) {
            handles.remove(&handle.lease.execution_id);
        }
    }

    /// Whether a task runs under this lease.
    pub(super) fn runs(&self, lease: ExecutionLease) -> bool {
        self.lock().get(&lease.execution_id).is_some_and(|handle| handle.lease == lease)
    }

    /// Resolves when an execution may be waiting for an engine.
    pub(super) async fn executions_ready(&self) {
        self.ready.notified().await;
    }

    /// Wakes everything that waits, in case its wake-up was lost.
    pub(super) fn look_again(&self) {
        self.ready.notify_one();
        self.lock().values().for_each(|handle| handle.look_again());
    }

    /// Stops the executions whose leases are lost.
    pub(super) async fn check_leases(&self, store: &dyn Store) {
        let leases: Vec<ExecutionLease> = self.lock().values().map(|handle| handle.lease).collect();
        if leases.is_empty() {
            return;
        }
        match store.lost_leases(leases.clone()).await {
            Ok(lost) => {
                let handles = self.lock();
                // A newer lease of the same execution, taken meanwhile, is not the one that was asked about.
                let asked = leases.iter().filter(|lease| lost.contains(&lease.execution_id));
                asked
                    .filter_map(|lease| handles.get(&lease.execution_id).filter(|handle| handle.lease == *lease))
                    .for_each(|handle| handle.lost.cancel());
            }
            Err(failure) => warn!(error = chain(&failure), "cannot check leases"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionId, Arc<Handle>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, ids: &[ExecutionId], act: impl Fn(&Handle)) {
        let handles = self.lock();
        ids.iter().filter_map(|id| handles.get(id)).for_each(|handle| act(handle));
    }
}

/// Hears the store's signals until the stop. Whatever came before it listened may have been missed.
pub(super) async fn listen(shared: Arc<Shared>, mut signals: Receiver<Signal>) {
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
                let ids: Vec<ExecutionId> = jobs.iter().map(|job| job.execution_id).collect();
                hub.each(&ids, Handle::look_again);
            }
            Ok(Signal::Cancelled(ids)) => hub.each(&ids, |handle| handle.lost.cancel()),
            Ok(Signal::ExecutionsReady) => hub.ready.notify_one(),
            Ok(Signal::JobsReady(_) | Signal::ExecutionNews(_) | Signal::ModelsChanged) => {}
            Err(RecvError::Lagged(_)) => missed(&shared).await,
            // The store is gone for good.
            Err(RecvError::Closed) => return,
        }
    }
}

async fn missed(shared: &Shared) {
    shared.hub.look_again();
    shared.hub.check_leases(shared.parts.store.as_ref()).await;
}
