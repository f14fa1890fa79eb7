//! Wake-ups: from the store's signals to the executions that this engine runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sightflow_store::{ExecutionLease, Signal};
use sightflow_types::ExecutionId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::execute::Shared;

/// One running execution.
pub(super) struct Handle {
    pub(super) lease: ExecutionLease,
    /// Fires when it was cancelled, taken over or ended by someone else: stop, write nothing.
    pub(super) lost: CancellationToken,
    /// Counts news; waiting job runners look at the store when it moves.
    pub(super) news: watch::Sender<u64>,
}

/// All running executions of this engine.
pub(super) struct Hub {
    handles: Mutex<HashMap<ExecutionId, Arc<Handle>>>,
    ready: Notify,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { handles: Mutex::new(HashMap::new()), ready: Notify::new() })
    }

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

    /// Resolves when an execution may be waiting for an engine.
    pub(super) async fn executions_ready(&self) {
        self.ready.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExecutionId, Arc<Handle>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, ids: &[ExecutionId], act: impl Fn(&Handle)) {
        let handles = self.lock();
        ids.iter().filter_map(|id| handles.get(id)).for_each(|handle| act(handle));
    }

    /// Looks at everything: for lost wake-ups.
    pub(super) async fn check_leases(&self, shared: &Shared) {
        let handles: Vec<Arc<Handle>> = self.lock().values().cloned().collect();
        if handles.is_empty() {
            return;
        }
        match shared.parts.store.lost_leases(handles.iter().map(|handle| handle.lease).collect()).await {
            Ok(lost) => self.each(&lost, |handle| handle.lost.cancel()),
            Err(failure) => warn!(error = %failure, "cannot check leases"),
        }
        handles.iter().for_each(|handle| handle.news.send_modify(|count| *count += 1));
    }
}

pub(super) async fn listen(hub: Arc<Hub>, shared: Arc<Shared>, mut signals: Receiver<Signal>, stop: CancellationToken) {
    loop {
        let signal = tokio::select! {
            () = stop.cancelled() => return,
            signal = signals.recv() => signal,
        };
        match signal {
            Ok(Signal::ExecutionNews(ids)) => hub.each(&ids, |handle| handle.news.send_modify(|count| *count += 1)),
            Ok(Signal::Cancelled(ids)) => hub.each(&ids, |handle| handle.lost.cancel()),
            Ok(Signal::ExecutionsReady) => hub.ready.notify_one(),
            Ok(Signal::ModelsChanged) => shared.forget_plans(),
            Ok(Signal::JobsReady(_)) => {}
            Err(RecvError::Lagged(_)) => {
                shared.forget_plans();
                hub.ready.notify_one();
                hub.check_leases(&shared).await;
            }
            Err(RecvError::Closed) => return,
        }
    }
}
