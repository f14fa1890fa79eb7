//! The executions of this engine: those that compute, and those that only wait. Signals of the store reach them here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sightflow_store::ExecutionLease;
use sightflow_types::{ExecutionId, JobId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::handle::Handle;
use super::parked::Parked;

/// All executions of this engine.
#[derive(Default)]
pub(super) struct Hub {
    all: Mutex<Executions>,
    ready: Notify,
    /// The first alarm may have changed.
    alarms: Notify,
}

#[derive(Default)]
struct Executions {
    handles: HashMap<ExecutionId, Arc<Handle>>,
    /// Those without a task.
    parked: HashMap<ExecutionId, (Parked, Option<Instant>)>,
    /// When parked ones must be looked at.
    alarms: BTreeSet<(Instant, ExecutionId)>,
}

impl Hub {
    pub(super) fn enter(&self, lease: ExecutionLease) -> Arc<Handle> {
        let handle = Arc::new(Handle::new(lease));
        let former = self.lock().handles.insert(lease.execution_id, Arc::clone(&handle));
        if let Some(former) = former {
            // The same engine took it over from its own former self.
            former.lost.cancel();
            drop(self.unpark(lease.execution_id));
        }
        handle
    }

    pub(super) fn leave(&self, handle: &Handle) {
        let mut all = self.lock();
        if all.handles.get(&handle.lease.execution_id).is_some_and(|present| present.lease == handle.lease) {
            all.handles.remove(&handle.lease.execution_id);
        }
    }

    /// How many executions this engine has.
    pub(super) fn len(&self) -> usize {
        self.lock().handles.len()
    }

    /// Whether somebody here goes on with what is under this lease.
    pub(super) fn runs(&self, lease: ExecutionLease) -> bool {
        self.lock().handles.get(&lease.execution_id).is_some_and(|handle| handle.lease == lease)
    }

    /// Keeps an execution that only waits, at most until then. Answers it again if it has news meanwhile.
    pub(super) fn park(&self, handle: &Arc<Handle>, parked: Parked, until: Option<Instant>) -> Option<Parked> {
        let id = handle.lease.execution_id;
        {
            let mut all = self.lock();
            all.parked.insert(id, (parked, until));
            all.alarms.extend(until.map(|at| (at, id)));
        }
        self.alarms.notify_one();
        // Whoever brought news before it lay there found nothing to wake.
        if handle.has_news() || handle.lost.is_cancelled() { self.unpark(id) } else { None }
    }

    /// Takes an execution out that waits.
    pub(super) fn unpark(&self, id: ExecutionId) -> Option<Parked> {
        let mut all = self.lock();
        let (parked, until) = all.parked.remove(&id)?;
        if let Some(at) = until {
            all.alarms.remove(&(at, id));
        }
        Some(parked)
    }

    /// Takes all executions out that wait.
    pub(super) fn unpark_all(&self) -> Vec<Parked> {
        let mut all = self.lock();
        all.alarms.clear();
        std::mem::take(&mut all.parked).into_values().map(|(parked, _)| parked).collect()
    }

    /// Executions whose time has come.
    pub(super) fn due(&self, now: Instant) -> Vec<ExecutionId> {
        self.lock().alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Resolves when the first alarm rings, or may have changed.
    pub(super) async fn alarm(&self) {
        let first = self.lock().alarms.first().map(|(at, _)| *at);
        tokio::select! {
            () = self.alarms.notified() => {}
            () = async { match first {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            } } => {}
        }
    }

    /// Resolves when an execution may be waiting for an engine.
    pub(super) async fn executions_ready(&self) {
        self.ready.notified().await;
    }

    pub(super) fn execution_ready(&self) {
        self.ready.notify_one();
    }

    /// Tells an execution that a job of it has ended; whether there is one.
    pub(super) fn job_ended(&self, id: ExecutionId, job: JobId) -> bool {
        let found = self.lock().handles.get(&id).cloned();
        found.is_some_and(|handle| {
            handle.job_ended(job);
            true
        })
    }

    /// Stops an execution: it is somebody else's, or over.
    pub(super) fn lose(&self, id: ExecutionId) {
        if let Some(handle) = self.lock().handles.get(&id) {
            handle.lost.cancel();
        }
    }

    /// Wakes what has a task, in case its wake-up was lost; answers the jobs that the others wait for.
    pub(super) fn look_again(&self) -> Vec<JobId> {
        self.ready.notify_one();
        let all = self.lock();
        let working = all.handles.iter().filter(|(id, _)| !all.parked.contains_key(id));
        working.for_each(|(_, handle)| handle.look_again());
        all.parked.values().flat_map(|(parked, _)| parked.jobs()).collect()
    }

    /// The leases under which executions are here.
    pub(super) fn leases(&self) -> Vec<ExecutionLease> {
        self.lock().handles.values().map(|handle| handle.lease).collect()
    }

    /// Stops an execution, if it is still here under this lease.
    pub(super) fn lose_lease(&self, lease: ExecutionLease) {
        // A newer lease of the same execution, taken meanwhile, is not meant.
        if let Some(handle) = self.lock().handles.get(&lease.execution_id).filter(|handle| handle.lease == lease) {
            handle.lost.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Executions> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
