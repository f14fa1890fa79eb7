//! How long calls share the processors: a short one just runs, a long one takes turns.
//!
//! At most as many long calls compute at once as there are cores, and each gives way after a few milliseconds when
//! somebody waits. So a new call never competes with more threads than cores, whatever a tenant started.

use std::time::{Duration, Instant};

use sightflow_types::TenantId;

use super::stop::Stop;
use sightflow_fair::{Asked, FairSlots, Slot};

/// Processor time after which a call is a long one. Most calls never come here, and cost nothing.
const SHORT: Duration = Duration::from_millis(4);
/// Processor time of one turn: long against the cost of a change, short against what a person notices.
const TURN: Duration = Duration::from_millis(8);

/// Time after which who holds a turn is expected to have computed for half of it; otherwise it waits for something.
const IDLE: Duration = Duration::from_millis(20);

/// The pace of one call.
pub(crate) struct Pace {
    cores: FairSlots,
    tenant: TenantId,
    turn: Option<Turn>,
}

struct Turn {
    _core: Slot,
    /// When it began.
    at: Instant,
    /// What the call had used by then.
    used: Duration,
}

impl Pace {
    /// A call of this tenant.
    pub(crate) fn new(cores: FairSlots, tenant: TenantId) -> Self {
        Self { cores, tenant, turn: None }
    }

    /// Waits where others have to go first. `used` is the call's processor time; `check` ends the wait.
    pub(crate) fn tick(&mut self, used: Duration, check: impl FnMut() -> Result<(), Stop>) -> Result<(), Stop> {
        match &self.turn {
            None if used < SHORT => return Ok(()),
            Some(turn) if used.saturating_sub(turn.used) < TURN || !self.cores.wanted() => return Ok(()),
            _ => {}
        }
        self.give_way();
        let core = match self.cores.ask(self.tenant) {
            Ok(Asked::Slot(core)) => core,
            Ok(Asked::Waiting(waiting)) => waiting.here(check)?,
            // The queue of turns has no bound: the calls themselves are bounded.
            Err(_) => return Ok(()),
        };
        self.turn = Some(Turn { _core: core, at: Instant::now(), used });
        Ok(())
    }

    /// Gives the turn back of a call that holds one and does not compute: it may wait for what another call holds.
    pub(crate) fn look(&mut self, used: Duration) {
        let idle = |turn: &Turn| {
            let held = turn.at.elapsed();
            held >= IDLE && used.saturating_sub(turn.used) < held / 2
        };
        if self.turn.as_ref().is_some_and(idle) {
            self.give_way();
        }
    }

    /// Lets others compute: before waiting for something else.
    pub(crate) fn give_way(&mut self) {
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::BUILT_IN;

    fn free(cores: &FairSlots) -> bool {
        matches!(cores.ask(TENANT), Ok(Asked::Slot(_)))
    }

    #[test]
    fn a_short_call_needs_no_turn_and_a_long_one_gives_way() {
        let cores = FairSlots::new(1, 1, 10);
        let mut pace = Pace::new(cores.clone(), TENANT);
        let go_on = || Ok(());
        pace.tick(SHORT - Duration::from_micros(1), go_on).expect("no wait");
        assert!(free(&cores), "a short call holds nothing");
        pace.tick(SHORT, go_on).expect("a turn");
        assert!(!free(&cores));
        pace.tick(SHORT + TURN * 3, go_on).expect("nobody waits");
        let Ok(Asked::Waiting(other)) = cores.ask(TENANT) else { panic!("it has to wait") };
        pace.tick(SHORT + TURN / 2, go_on).expect("its turn is not over");
        let waits = std::thread::spawn(move || {
            let core = other.here(|| Ok::<(), ()>(())).expect("its turn");
            std::thread::sleep(Duration::from_millis(30));
            drop(core);
        });
        let started = Instant::now();
        pace.tick(SHORT + TURN, go_on).expect("a turn again");
        assert!(started.elapsed() >= Duration::from_millis(20), "the other went first");
        waits.join().expect("no panic");
        let Ok(Asked::Waiting(left)) = cores.ask(TENANT) else { panic!("it has to wait") };
        drop(left);
        assert_eq!(pace.tick(SHORT + TURN * 3, || Ok(())), Ok(()), "who left the queue is no reason to wait");
    }

    #[test]
    fn who_waits_for_something_else_holds_no_turn() {
        let cores = FairSlots::new(1, 1, 10);
        let mut pace = Pace::new(cores.clone(), TENANT);
        pace.tick(SHORT, || Ok(())).expect("a turn");
        std::thread::sleep(IDLE);
        pace.look(SHORT + IDLE);
        assert!(!free(&cores), "it computes");
        pace.look(SHORT + Duration::from_millis(1));
        assert!(free(&cores), "it waits");
    }

    #[test]
    fn a_call_that_is_taken_back_stops_waiting() {
        let cores = FairSlots::new(1, 1, 10);
        let Ok(Asked::Slot(_held)) = cores.ask(TENANT) else { panic!("a free one") };
        let mut pace = Pace::new(cores, TENANT);
        assert_eq!(pace.tick(SHORT, || Err(Stop::Cancelled)), Err(Stop::Cancelled));
    }
}
