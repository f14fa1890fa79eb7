//! What an engine and an execution say to each other: news of its jobs, and that it was lost.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sightflow_store::ExecutionLease;
use sightflow_types::JobId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// One execution that this engine has.
pub(super) struct Handle {
    pub(super) lease: ExecutionLease,
    /// Fires when it was cancelled, taken over or ended by someone else: stop, write nothing.
    pub(super) lost: CancellationToken,
    ended: Mutex<Ended>,
    wake: Notify,
}

/// Jobs that have ended and were not looked at.
#[derive(Default)]
struct Ended {
    jobs: Vec<JobId>,
    /// News may have been lost: look at all.
    all: bool,
}

impl Handle {
    pub(super) fn new(lease: ExecutionLease) -> Self {
        Self { lease, lost: CancellationToken::new(), ended: Mutex::default(), wake: Notify::new() }
    }

    /// Resolves when jobs have ended that nobody has looked at.
    pub(super) async fn news(&self) {
        loop {
            let woken = self.wake.notified();
            if self.has_news() {
                return;
            }
            woken.await;
        }
    }

    pub(super) fn has_news(&self) -> bool {
        let ended = self.ended();
        ended.all || !ended.jobs.is_empty()
    }

    /// Of these jobs, those that may have ended.
    pub(super) fn take_news(&self, open: Vec<JobId>) -> Vec<JobId> {
        let Ended { jobs, all } = std::mem::take(&mut *self.ended());
        if all {
            return open;
        }
        let open: BTreeSet<JobId> = open.into_iter().collect();
        jobs.into_iter().filter(|job| open.contains(job)).collect()
    }

    /// These could not be looked at.
    pub(super) fn put_back(&self, jobs: Vec<JobId>) {
        self.ended().jobs.extend(jobs);
        self.wake.notify_one();
    }

    pub(super) fn job_ended(&self, job: JobId) {
        self.ended().jobs.push(job);
        self.wake.notify_one();
    }

    pub(super) fn look_again(&self) {
        self.ended().all = true;
        self.wake.notify_one();
    }

    fn ended(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
