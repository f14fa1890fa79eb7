//! Wake-ups: hints that something changed, sent after the commit that changed it.

use std::collections::BTreeSet;

use sightflow_types::{ExecutionId, JobId};

/// One kind of news. A hint, never the truth: read the store to learn what happened.
///
/// One group commit sends each kind at most once. A receiver that gets `RecvError::Lagged` has missed hints and must
/// look at everything it cares about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// These models have jobs that became claimable.
    JobsReady(Vec<String>),
    /// An execution is waiting for an engine.
    ExecutionsReady,
    /// These executions have new events: for engines that wait for jobs, and for event streams.
    ExecutionNews(Vec<ExecutionId>),
    /// These jobs ended: for engines that wait for their results ([`Store::ended_jobs`](crate::Store::ended_jobs)).
    JobsEnded(Vec<EndedJob>),
    /// These executions were cancelled: stop their work.
    Cancelled(Vec<ExecutionId>),
    /// The model registry changed.
    ModelsChanged,
    /// Block packages changed: see [`Store::package_changes`](crate::Store::package_changes).
    PackagesChanged,
}

/// A job that ended, and whose it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndedJob {
    /// Its execution.
    pub execution_id: ExecutionId,
    /// The job.
    pub job_id: JobId,
}

/// What one transaction wants to tell; merged over a group commit.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    jobs: BTreeSet<String>,
    executions_ready: bool,
    news: BTreeSet<ExecutionId>,
    ended: BTreeSet<EndedJob>,
    cancelled: BTreeSet<ExecutionId>,
    models: bool,
    packages: bool,
}

impl Signals {
    pub(crate) fn jobs_ready(&mut self, model: impl Into<String>) {
        self.jobs.insert(model.into());
    }

    pub(crate) fn execution_ready(&mut self) {
        self.executions_ready = true;
    }

    pub(crate) fn news(&mut self, execution: ExecutionId) {
        self.news.insert(execution);
    }

    pub(crate) fn job_ended(&mut self, job: EndedJob) {
        self.ended.insert(job);
    }

    pub(crate) fn cancelled(&mut self, execution: ExecutionId) {
        self.cancelled.insert(execution);
    }

    pub(crate) fn models_changed(&mut self) {
        self.models = true;
    }

    pub(crate) fn packages_changed(&mut self) {
        self.packages = true;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.executions_ready |= other.executions_ready;
        self.news.extend(other.news);
        self.ended.extend(other.ended);
        self.cancelled.extend(other.cancelled);
        self.models |= other.models;
        self.packages |= other.packages;
    }

    pub(crate) fn into_signals(self) -> Vec<Signal> {
        let mut signals = Vec::new();
        if !self.cancelled.is_empty() {
            signals.push(Signal::Cancelled(self.cancelled.into_iter().collect()));
        }
        if !self.news.is_empty() {
            signals.push(Signal::ExecutionNews(self.news.into_iter().collect()));
        }
        if !self.ended.is_empty() {
            signals.push(Signal::JobsEnded(self.ended.into_iter().collect()));
        }
        if self.executions_ready {
            signals.push(Signal::ExecutionsReady);
        }
        if !self.jobs.is_empty() {
            signals.push(Signal::JobsReady(self.jobs.into_iter().collect()));
        }
        if self.models {
            signals.push(Signal::ModelsChanged);
        }
        if self.packages {
            signals.push(Signal::PackagesChanged);
        }
        signals
    }
}
