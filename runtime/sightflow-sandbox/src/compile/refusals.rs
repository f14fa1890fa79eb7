//! Components that the compiler refused lately: asking again costs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sightflow_types::{Digest, Problem};

use crate::LoadError;

/// How long a refusal is remembered. Not for ever: a limit may have been met because the machine was busy.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Refusals that are remembered; beyond, the oldest is forgotten.
const MOST: usize = 512;

#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Digest, (Instant, Vec<Problem>)>>);

impl Refusals {
    /// The refusal of this component, if it is remembered; says for how much longer.
    pub(super) fn check(&self, digest: Digest, now: Instant) -> Result<(), LoadError> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((time, problems)) = refusals.get(&digest) else { return Ok(()) };
        let left = REMEMBERED.saturating_sub(now.saturating_duration_since(*time));
        if left.is_zero() {
            return Ok(());
        }
        let again = |problem: &Problem| {
            let words = format!("{} (the same bytes are not tried again for {} s)", problem.message, left.as_secs());
            Problem { message: words, ..problem.clone() }
        };
        Err(LoadError::Refused(problems.iter().map(again).collect()))
    }

    pub(super) fn remember(&self, digest: Digest, problems: &[Problem], now: Instant) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= MOST {
            let oldest = refusals.iter().min_by_key(|(_, (time, _))| *time).map(|(digest, _)| *digest);
            oldest.map(|digest| refusals.remove(&digest));
        }
        refusals.insert(digest, (now, problems.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_a_while() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let digest = |byte| Digest::from_bytes([byte; 32]);
        let problem = Problem::new("E-COMPILE", "", "too much");
        refusals.remember(digest(1), &[problem], now);
        let Err(LoadError::Refused(problems)) = refusals.check(digest(1), now + Duration::from_secs(100)) else {
            panic!("it is remembered");
        };
        assert_eq!(problems[0].message, "too much (the same bytes are not tried again for 500 s)");
        assert_eq!(refusals.check(digest(1), now + REMEMBERED), Ok(()));
        assert_eq!(refusals.check(digest(2), now), Ok(()));
        for index in 0..MOST as u64 {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&index.to_le_bytes());
            refusals.remember(Digest::from_bytes(bytes), &[], now + Duration::from_secs(1));
        }
        assert_eq!(refusals.0.lock().expect("a lock").len(), MOST);
        assert_eq!(refusals.check(digest(1), now), Ok(()), "the oldest is forgotten");
    }
}
