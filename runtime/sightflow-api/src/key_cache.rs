//! Keys that were looked up a moment ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sightflow_store::{KeyHash, KeyOwner};
use sightflow_types::Timestamp;
use tokio::time::Instant;

/// A revocation holds after this, on every node.
const FRESH: Duration = Duration::from_secs(5);
/// Keys that are remembered; unknown ones never are, so that nobody can fill this with guesses.
const MOST: usize = 10_000;

/// Who owns which key, for [`FRESH`].
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<HashMap<KeyHash, (Instant, Arc<KeyOwner>)>>);

impl KeyCache {
    /// The owner, if it was looked up less than [`FRESH`] ago and the key has not expired.
    pub(crate) fn get(&self, hash: &KeyHash, now: Instant, time: Timestamp) -> Option<Arc<KeyOwner>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, owner) = known.get(hash)?;
        let fresh = now.saturating_duration_since(*since) < FRESH;
        let valid = owner.expires_at.is_none_or(|end| end > time);
        (fresh && valid).then(|| Arc::clone(owner))
    }

    /// Remembers an owner that was looked up at `since`.
    pub(crate) fn put(&self, hash: KeyHash, since: Instant, owner: &Arc<KeyOwner>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| since.saturating_duration_since(*at) < FRESH);
        }
        if known.len() < MOST {
            known.insert(hash, (since, Arc::clone(owner)));
        }
    }

    /// Forgets all: something about keys or tenants has changed here.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use sightflow_store::{KeySecret, TenantStatus};
    use sightflow_types::{KeyId, TenantId};

    use super::*;

    fn owner(expires_at: Option<i64>) -> Arc<KeyOwner> {
        Arc::new(KeyOwner {
            id: KeyId::new(),
            tenant_id: TenantId::new(),
            status: TenantStatus::Active,
            scopes: [].into(),
            expires_at: expires_at.map(Timestamp::from_millis),
            last_used_at: None,
            quotas: sightflow_store::QuotaChanges::new(),
        })
    }

    #[test]
    fn what_is_known_is_forgotten_in_time() {
        let (keys, hash, start) = (KeyCache::default(), KeySecret::generate().unwrap().hash(), Instant::now());
        keys.put(hash, start, &owner(Some(1000)));
        for (after_ms, time, found) in [(0, 0, true), (4_999, 999, true), (5_000, 999, false), (0, 1000, false)] {
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(keys.get(&hash, now, Timestamp::from_millis(time)).is_some(), found, "{after_ms} {time}");
        }
        keys.clear();
        assert!(keys.get(&hash, start, Timestamp::from_millis(0)).is_none());
    }

    #[test]
    fn no_more_are_kept_than_the_limit() {
        let (keys, start, owner) = (KeyCache::default(), Instant::now(), owner(None));
        let count = || keys.0.lock().unwrap().len();
        for _ in 0..MOST + 10 {
            keys.put(KeySecret::generate().unwrap().hash(), start, &owner);
        }
        assert_eq!(count(), MOST);
        keys.put(KeySecret::generate().unwrap().hash(), start + FRESH, &owner);
        assert_eq!(count(), 1, "what is no longer fresh makes room");
    }
}
