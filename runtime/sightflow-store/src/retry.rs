//! What happens after a failed attempt: pure decisions, the same for every backend.

use crate::job::{FailureClass, MODEL_WAIT_MS};

/// Longest pause before a retry.
const MAX_PAUSE_MS: i64 = 30_000;
/// Upper bound of the first pause; doubles with each attempt.
const FIRST_PAUSE_MS: i64 = 250;

/// A failed attempt of one job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) class: FailureClass,
    /// Jobs in the batch that failed.
    pub(crate) batch_size: u32,
    /// This attempt's number, from 1.
    pub(crate) attempt: i64,
    pub(crate) max_attempts: i64,
    /// Class `model`: pause asked for.
    pub(crate) hold_ms: Option<i64>,
    /// How long the job has waited for its model so far.
    pub(crate) held_ms: i64,
    /// Any non-negative random number.
    pub(crate) random: i64,
}

/// What to do with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Pause before the next attempt; none: it fails for good.
    pub(crate) wait_ms: Option<i64>,
    /// The attempt does not count.
    pub(crate) free: bool,
    /// New bound of its batches.
    pub(crate) max_batch: Option<u32>,
}

pub(crate) fn decide(failed: Attempt) -> Verdict {
    let give_up = Verdict { wait_ms: None, free: false, max_batch: None };
    let attempts_left = failed.attempt < failed.max_attempts;
    match failed.class {
        FailureClass::Poison => give_up,
        FailureClass::Model => match failed.hold_ms {
            Some(hold) if failed.held_ms < MODEL_WAIT_MS => {
                Verdict { wait_ms: Some(hold.max(0)), free: true, max_batch: None }
            }
            _ => give_up,
        },
        FailureClass::Oom if failed.batch_size > 1 => {
            Verdict { wait_ms: Some(0), free: true, max_batch: Some(failed.batch_size / 2) }
        }
        FailureClass::Oom | FailureClass::Transient if attempts_left => {
            let bound = (FIRST_PAUSE_MS << (failed.attempt - 1).clamp(0, 10)).min(MAX_PAUSE_MS);
            Verdict { wait_ms: Some(failed.random.max(0) % bound), free: false, max_batch: None }
        }
        FailureClass::Oom | FailureClass::Transient => give_up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(class: FailureClass, batch_size: u32, attempt: i64) -> Attempt {
        Attempt { class, batch_size, attempt, max_attempts: 4, hold_ms: None, held_ms: 0, random: i64::MAX }
    }

    #[test]
    fn classes() {
        let (again, free) = (|wait_ms| Verdict { wait_ms: Some(wait_ms), free: false, max_batch: None }, true);
        let give_up = Verdict { wait_ms: None, free: false, max_batch: None };
        let held = |hold_ms, held_ms| Attempt { hold_ms, held_ms, ..attempt(FailureClass::Model, 1, 4) };
        for (failed, expected) in [
            (attempt(FailureClass::Poison, 1, 1), give_up),
            (attempt(FailureClass::Transient, 1, 4), give_up),
            (attempt(FailureClass::Transient, 1, 1), again(i64::MAX % 250)),
            (attempt(FailureClass::Oom, 1, 2), again(i64::MAX % 500)),
            (attempt(FailureClass::Oom, 1, 4), give_up),
            (attempt(FailureClass::Oom, 9, 4), Verdict { wait_ms: Some(0), free, max_batch: Some(4) }),
            (held(Some(5000), 0), Verdict { wait_ms: Some(5000), free, max_batch: None }),
            (held(Some(5000), MODEL_WAIT_MS), give_up),
            (held(None, 0), give_up),
        ] {
            assert_eq!(decide(failed), expected, "{failed:?}");
        }
    }

    #[test]
    fn pauses_stay_below_their_bound_and_the_cap() {
        for number in 1..40 {
            let bound = (250_i64 << (number - 1).min(10)).min(30_000);
            for random in [0, 1, bound - 1, bound, i64::MAX] {
                let wait = decide(Attempt { random, max_attempts: 100, ..attempt(FailureClass::Transient, 1, number) })
                    .wait_ms;
                assert!(
                    wait.is_some_and(|wait| (0..bound).contains(&wait)),
                    "attempt {number}, random {random}: {wait:?}"
                );
            }
        }
    }
}
