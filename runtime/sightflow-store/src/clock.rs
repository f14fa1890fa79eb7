//! The clock that decides about leases, retries and deadlines.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sightflow_types::Timestamp;

/// Steps of the wall clock smaller than this are not worth a word.
const STEP_MS: i64 = 1_000;
/// How far a stored time may lie ahead of the wall clock and still be believed.
pub(crate) const RESTORE_MS: i64 = 60_000;

/// Where the time comes from. The store never lets it go backwards.
pub trait Clock: Send + Sync + 'static {
    /// What the wall clock says. It may step forwards and backwards.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment of this process; never steps.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that moves only when it is told to; for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicI64,
    elapsed: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub const fn new(start: Timestamp) -> Self {
        Self { wall: AtomicI64::new(start.millis()), elapsed: AtomicI64::new(0) }
    }

    /// Lets `ms` milliseconds pass, none or more.
    pub fn advance(&self, ms: i64) {
        let ms = ms.max(0);
        self.wall.fetch_add(ms, Ordering::SeqCst);
        self.elapsed.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock by `ms` milliseconds, forwards or backwards, while no time passes.
    pub fn step(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// The store's time: the later of the wall clock and of what has passed since the last look at it. It never goes back and
/// never stands still, whatever is done to the wall clock.
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    /// The time at `at`.
    base: i64,
    /// What the monotonic clock said then.
    at: Duration,
    /// How far the time was ahead of the wall clock at the last look, ms.
    ahead: i64,
}

impl Time {
    /// Goes on at the newest stored time, unless that lies too far ahead: then a wall clock was wrong when it was stored.
    pub(crate) fn new(clock: Arc<dyn Clock>, stored: i64) -> Self {
        let (wall, at) = (clock.now().millis(), clock.elapsed());
        let base = if stored > wall.saturating_add(RESTORE_MS) { wall } else { wall.max(stored) };
        Self { clock, state: Mutex::new(State { base, at, ahead: base - wall }) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no caller works with older readings than another one before it.
        let (wall, at) = (self.clock.now().millis(), self.clock.elapsed());
        let passed = i64::try_from(at.saturating_sub(state.at).as_millis()).unwrap_or(i64::MAX);
        let expected = state.base.saturating_add(passed);
        let step = state.ahead - (expected - wall);
        if step.abs() > STEP_MS {
            tracing::warn!(step_ms = step, "the wall clock was set; the store's time goes on without going back");
        }
        if wall > expected {
            (state.base, state.at) = (wall, at);
        }
        let now = wall.max(expected);
        state.ahead = now - wall;
        Timestamp::from_millis(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_795_425_164_000;
    const HOUR: i64 = 3_600_000;

    /// What happens to the clocks, and by how much the time is then ahead of the start.
    #[test]
    fn steps_neither_turn_time_back_nor_hold_it() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        let time = Time::new(clock.clone(), 0);
        let check = |step: i64, pass: i64, expected: i64| {
            clock.step(step);
            clock.advance(pass);
            assert_eq!(time.now().millis() - START, expected, "step {step}, pass {pass}");
        };
        check(0, 0, 0);
        check(0, 500, 500);
        check(HOUR, 0, HOUR + 500);
        check(-HOUR, 0, HOUR + 500);
        check(0, 5_000, HOUR + 5_500);
        check(-10 * HOUR, 250, HOUR + 5_750);
        check(11 * HOUR, 0, HOUR + 5_750);
        check(1, 0, HOUR + 5_751);
    }

    #[test]
    fn stored_times_are_believed_within_bounds() {
        for (stored, expected) in [
            (0, START),
            (START - HOUR, START),
            (START + RESTORE_MS, START + RESTORE_MS),
            (START + RESTORE_MS + 1, START),
            (START + 10 * 365 * 24 * HOUR, START),
        ] {
            let time = Time::new(Arc::new(ManualClock::new(Timestamp::from_millis(START))), stored);
            assert_eq!(time.now().millis(), expected, "{stored}");
        }
    }
}
