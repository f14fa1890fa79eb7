//! How many requests a key may send: a bucket of tokens for each, refilled evenly, that holds a minute's worth.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Rate, RateLimiter};
use sightflow_types::KeyId;

/// Keys that are remembered. Beyond that all begin anew, which gives each a minute's worth at most.
const MOST: usize = 10_000;

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The buckets of all keys, for one kind of request.
#[derive(Default)]
pub(crate) struct Rates {
    clock: DefaultClock,
    buckets: Mutex<HashMap<KeyId, (u32, Bucket)>>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Tokens of a minute.
    pub(crate) limit: u32,
    /// Tokens that are left.
    pub(crate) remaining: u32,
    /// When there is one again; zero while some are left.
    pub(crate) wait: Duration,
}

impl Rates {
    /// Takes a token of a key that may have so many a minute; whether there was one, and what is left.
    pub(crate) fn take(&self, key: KeyId, limit: u32) -> (bool, Left) {
        let empty = Left { limit, remaining: 0, wait: Duration::from_secs(60) };
        let Some(per_minute) = NonZeroU32::new(limit) else { return (false, empty) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            buckets.clear();
        }
        let new = || {
            let bucket = RateLimiter::direct_with_clock(Rate::per_minute(per_minute), self.clock.clone());
            (limit, bucket.with_middleware::<StateInformationMiddleware>())
        };
        let entry = buckets.entry(key).or_insert_with(new);
        if entry.0 != limit {
            *entry = new();
        }
        match entry.1.check() {
            Ok(state) => (true, Left { limit, remaining: state.remaining_burst_capacity(), wait: Duration::ZERO }),
            Err(not_yet) => (false, Left { wait: not_yet.wait_time_from(self.clock.now()), ..empty }),
        }
    }
}

impl Left {
    /// Whole seconds until there is a token again, at least one.
    pub(crate) fn seconds(&self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0).max(u64::from(self.wait.is_zero()))
    }

    /// Says it in the headers of an answer. `RateLimit-Reset`: seconds until the bucket is full, or, while it is empty, until
    /// there is a token again.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let missing = u64::from(self.limit - self.remaining.min(self.limit));
        let full = (missing * 60).div_ceil(u64::from(self.limit.max(1)));
        let reset = if self.wait.is_zero() { full } else { self.seconds() };
        for (name, value) in [
            ("ratelimit-limit", u64::from(self.limit)),
            ("ratelimit-remaining", u64::from(self.remaining)),
            ("ratelimit-reset", reset),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_s_worth_and_no_more() {
        let (rates, key) = (Rates::default(), KeyId::new());
        for left in (0..5).rev() {
            let (taken, state) = rates.take(key, 5);
            assert!(taken);
            assert_eq!((state.limit, state.remaining, state.wait), (5, left, Duration::ZERO));
        }
        let (taken, state) = rates.take(key, 5);
        assert!(!taken && state.remaining == 0);
        assert!((1..=12).contains(&state.seconds()), "{state:?}");
        let mut headers = HeaderMap::new();
        state.write(&mut headers);
        assert_eq!(headers["ratelimit-remaining"], "0");
        assert!(rates.take(KeyId::new(), 5).0, "another key has its own");
        assert!(rates.take(key, 6).0, "another limit begins anew");
        assert!(!rates.take(key, 0).0);
    }
}
