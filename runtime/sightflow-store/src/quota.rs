//! How much a tenant may have.

use std::collections::BTreeMap;

use sightflow_types::closed_set;

closed_set!(
/// What is counted.
Quota, "quota", {
    /// Requests of each key in a minute.
    RequestsPerMinute = "requests_per_minute",
    /// Runs that each key starts in a minute.
    RunsPerMinute = "runs_per_minute",
    /// Executions that wait for an engine.
    QueuedExecutions = "queued_executions",
    /// Highest priority of a run, 1 to 10.
    MaxPriority = "max_priority",
    /// Longest time of a run, in seconds.
    MaxTimeoutSeconds = "max_timeout_seconds",
    /// Block packages that were not deleted.
    Packages = "packages",
    /// Bytes of all versions of block packages whose bytes are kept.
    PackageBytes = "package_bytes",
});

/// What differs from the defaults; `None` is no limit.
pub type QuotaChanges = BTreeMap<Quota, Option<u64>>;

/// How much there may be of each; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas(BTreeMap<Quota, Option<u64>>);

impl Default for Quotas {
    fn default() -> Self {
        let most = |quota: &Quota| match quota {
            Quota::RequestsPerMinute => 600,
            Quota::RunsPerMinute => 1200,
            Quota::QueuedExecutions => 20_000,
            Quota::MaxPriority => 10,
            Quota::MaxTimeoutSeconds => 3600,
            Quota::Packages => 100,
            Quota::PackageBytes => 1 << 30,
        };
        Self(Quota::ALL.iter().map(|quota| (*quota, Some(most(quota)))).collect())
    }
}

impl Quotas {
    /// How much there may be; `None` is no limit.
    pub fn of(&self, quota: Quota) -> Option<u64> {
        self.0.get(&quota).copied().flatten()
    }

    /// These with some changed.
    #[must_use]
    pub fn with(&self, changes: &QuotaChanges) -> Self {
        let mut all = self.0.clone();
        all.extend(changes);
        Self(all)
    }
}
