//! When a package is left alone for a while because its calls keep breaking down.
//!
//! A trap costs little, but one that uses up its processor time costs seconds, and a workflow may call it a thousand
//! times. After a few breakdowns in a row, calls of that version are refused for a while that doubles each time; the
//! first that succeeds afterwards ends it. Kept for each tenant apart: nobody can break a package for others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sightflow_types::{Digest, TenantId};

/// When a package is refused, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinePolicy {
    /// Breakdowns in a row, within `window`, after which calls are refused.
    pub breakdowns: u32,
    /// Older breakdowns are forgotten.
    pub window: Duration,
    /// How long calls are refused at first; twice as long each further time.
    pub shortest: Duration,
    /// How long at most.
    pub longest: Duration,
}

impl Default for QuarantinePolicy {
    /// Five breakdowns within a minute; half a minute to ten minutes.
    fn default() -> Self {
        Self {
            breakdowns: 5,
            window: Duration::from_secs(60),
            shortest: Duration::from_secs(30),
            longest: Duration::from_secs(600),
        }
    }
}

/// A package whose calls are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Whose calls.
    pub tenant: TenantId,
    /// Of which version.
    pub digest: Digest,
    /// How often in a row its calls were refused, this time included.
    pub times: u32,
    /// For how much longer.
    pub remaining: Duration,
    /// Why the last call broke down.
    pub reason: String,
}

/// The packages that broke down lately.
pub(crate) struct Quarantine {
    policy: QuarantinePolicy,
    records: Mutex<HashMap<(TenantId, Digest), Record>>,
}

struct Record {
    /// Times of breakdowns since the last success, the oldest first; no more than the policy counts.
    breakdowns: Vec<Instant>,
    /// How often in a row it was refused.
    times: u32,
    refused_until: Option<Instant>,
    reason: String,
}

/// Records that are kept; where there are more, the one that broke down longest ago is forgotten.
const MOST: usize = 4_096;

impl Quarantine {
    /// Nobody broke down yet.
    pub(crate) fn new(policy: QuarantinePolicy) -> Self {
        Self { policy, records: Mutex::new(HashMap::new()) }
    }

    /// Whether a call may begin; if not, how long its package is still refused.
    pub(crate) fn admit(&self, tenant: TenantId, digest: Digest, now: Instant) -> Result<(), Duration> {
        let records = self.lock();
        let until = records.get(&(tenant, digest)).and_then(|record| record.refused_until);
        match until.map(|until| until.saturating_duration_since(now)) {
            Some(remaining) if !remaining.is_zero() => Err(remaining),
            _ => Ok(()),
        }
    }

    /// A call did what it should.
    pub(crate) fn succeeded(&self, tenant: TenantId, digest: Digest) {
        self.lock().remove(&(tenant, digest));
    }

    /// A call broke down.
    pub(crate) fn broke_down(&self, tenant: TenantId, digest: Digest, reason: String, now: Instant) {
        let mut records = self.lock();
        if records.len() >= MOST && !records.contains_key(&(tenant, digest)) {
            let last = |record: &Record| record.breakdowns.last().copied();
            let oldest = records.iter().min_by_key(|(_, record)| last(record)).map(|(key, _)| *key);
            oldest.map(|key| records.remove(&key));
        }
        let record = records.entry((tenant, digest)).or_insert_with(|| Record {
            breakdowns: Vec::new(),
            times: 0,
            refused_until: None,
            reason: String::new(),
        });
        record.reason = reason;
        // Calls that were under way when it was refused do not count again.
        if record.refused_until.is_some_and(|until| until > now) {
            return;
        }
        record.breakdowns.retain(|time| now.saturating_duration_since(*time) <= self.policy.window);
        record.breakdowns.push(now);
        // Who was refused before and breaks down at once needs no second series.
        let enough = if record.times > 0 { 1 } else { self.policy.breakdowns.max(1) as usize };
        if record.breakdowns.len() >= enough {
            let time = self.policy.shortest.saturating_mul(1 << record.times.min(16)).min(self.policy.longest);
            record.times += 1;
            record.refused_until = Some(now + time);
            record.breakdowns.clear();
            record.breakdowns.push(now);
        }
    }

    /// Those that are refused now.
    pub(crate) fn list(&self, now: Instant) -> Vec<Quarantined> {
        let records = self.lock();
        let refused = records.iter().filter_map(|(&(tenant, digest), record)| {
            let remaining = record.refused_until?.saturating_duration_since(now);
            let reason = record.reason.clone();
            (!remaining.is_zero()).then_some(Quarantined { tenant, digest, times: record.times, remaining, reason })
        });
        let mut refused: Vec<_> = refused.collect();
        refused.sort_by_key(|package| (package.tenant, package.digest));
        refused
    }

    /// Ends a refusal, as somebody decided who looked at it.
    pub(crate) fn release(&self, tenant: TenantId, digest: Digest) -> bool {
        self.lock().remove(&(tenant, digest)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, Digest), Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::BUILT_IN;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    #[test]
    fn a_package_that_keeps_breaking_down_is_refused_for_longer_and_longer() {
        let quarantine = Quarantine::new(QuarantinePolicy::default());
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let remaining = |seconds| quarantine.admit(TENANT, digest(1), at(seconds)).err().map(|time| time.as_secs());
        let breaks = |seconds| quarantine.broke_down(TENANT, digest(1), "unreachable".to_owned(), at(seconds));
        (0..4).for_each(breaks);
        assert_eq!(remaining(4), None, "four are not enough");
        // The first is forgotten by now.
        breaks(61);
        assert_eq!(remaining(61), None);
        breaks(62);
        breaks(62);
        assert_eq!(remaining(62), Some(30));
        assert_eq!(quarantine.admit(TENANT, digest(2), at(62)), Ok(()), "another package is not concerned");
        breaks(63);
        let list = quarantine.list(at(63));
        assert_eq!((list.len(), list[0].digest, list[0].remaining.as_secs()), (1, digest(1), 29));
        assert_eq!((list[0].reason.as_str(), list[0].times), ("unreachable", 1));
        assert_eq!(remaining(92), None, "one more chance");
        for (time, refused) in [(92, 60), (152, 120), (272, 240), (512, 480), (992, 600), (1592, 600)] {
            assert_eq!(remaining(time), None, "{time}");
            breaks(time);
            assert_eq!(remaining(time), Some(refused), "{time}");
        }
        quarantine.succeeded(TENANT, digest(1));
        assert_eq!(remaining(1592), None);
        breaks(1593);
        assert_eq!(remaining(1593), None, "all is forgotten");
        (0..4).for_each(|_| breaks(1594));
        assert!(quarantine.release(TENANT, digest(1)));
        assert_eq!((remaining(1594), quarantine.list(at(1594))), (None, Vec::new()));
    }

    #[test]
    fn the_records_are_bounded() {
        let quarantine = Quarantine::new(QuarantinePolicy::default());
        let now = Instant::now();
        for number in 0..MOST as u64 + 10 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            let time = now + Duration::from_millis(number);
            quarantine.broke_down(TENANT, Digest::from_bytes(bytes), String::new(), time);
        }
        assert_eq!(quarantine.lock().len(), MOST);
        assert!(!quarantine.lock().contains_key(&(TENANT, digest(0))), "the oldest is gone");
    }
}
