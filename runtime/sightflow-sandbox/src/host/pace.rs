//! How long calls share the processors: a short one just runs, a long one takes turns.
//!
//! At most as many long calls compute at once as there are cores, and each gives way after a few milliseconds when
//! somebody waits. So a new call never competes with more threads than cores, whatever a tenant started.

use std::time::Duration;

use sightflow_types::TenantId;

use super::stop::Stop;
use crate::fair::{Asked, FairSlots, Slot};

/// Processor time after which a call is a long one. Most calls never come here, and cost nothing.
const SHORT: Duration = Duration::from_millis(4);
/// Processor time of one turn: long against the cost of a change, short against what a person notices.
const TURN: Duration = Duration::from_millis(8);

/// The pace of one call.
pub(crate) struct Pace {
    cores: FairSlots,
    tenant: TenantId,
    /// The turn that it has, and the processor time that it had used when that began.
    turn: Option<(Slot, Duration)>,
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
            Some((_, began)) if used.saturating_sub(*began) < TURN => return Ok(()),
            Some(_) if !self.cores.wanted() => return Ok(()),
            _ => {}
        }
        self.give_way();
        let slot = match self.cores.ask(self.tenant) {
            Ok(Asked::Slot(slot)) => slot,
            Ok(Asked::Waiting(waiting)) => waiting.here(check)?,
            // The queue of turns has no bound: the calls themselves are bounded.
            Err(_) => return Ok(()),
        };
        self.turn = Some((slot, used));
        Ok(())
    }

    /// Lets others compute: before waiting for something else.
    pub(crate) fn give_way(&mut self) {
        self.turn = None;
    }
}
