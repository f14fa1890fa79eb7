//! Whether a part of the process is alive, for readiness and for the process's end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The state of one part of the process. Cheap to clone; clones are the same state.
#[derive(Debug, Clone)]
pub struct Health {
    state: watch::Sender<State>,
    patience: Duration,
}

#[derive(Debug)]
struct State {
    beat: Instant,
    failed: Option<String>,
}

/// What is known about a part of the process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// It has not failed, and its last sign of life is recent.
    pub alive: bool,
    /// Time since its last sign of life.
    pub heartbeat_age: Duration,
    /// Why it cannot go on, where it cannot.
    pub failed: Option<String>,
}

impl Health {
    /// A part that starts now and counts as alive while its signs of life are less than `patience` apart.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { state: watch::Sender::new(State { beat: Instant::now(), failed: None }), patience }
    }

    /// A sign of life.
    pub fn beat(&self) {
        self.state.send_modify(|state| state.beat = Instant::now());
    }

    /// It cannot go on. The first reason stays.
    pub fn fail(&self, reason: impl Into<String>) {
        self.state.send_if_modified(|state| match state.failed {
            Some(_) => false,
            None => {
                state.failed = Some(reason.into());
                true
            }
        });
    }

    /// How it is now.
    #[must_use]
    pub fn report(&self) -> HealthReport {
        let state = self.state.borrow();
        let heartbeat_age = state.beat.elapsed();
        HealthReport {
            alive: state.failed.is_none() && heartbeat_age < self.patience,
            heartbeat_age,
            failed: state.failed.clone(),
        }
    }

    /// Resolves with the reason once it cannot go on; never otherwise.
    pub async fn failed(&self) -> String {
        let mut seen = self.state.subscribe();
        let reason = seen.wait_for(|state| state.failed.is_some()).await.map(|state| state.failed.clone());
        match reason {
            Ok(reason) => reason.unwrap_or_default(),
            // The sender lives in `self`, so this does not happen.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn alive_while_it_beats() {
        let health = Health::new(Duration::from_secs(15));
        for (wait, beats, alive) in [(14, false, true), (2, false, false), (0, true, true), (15, false, false)] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            if beats {
                health.beat();
            }
            assert_eq!(health.report().alive, alive, "after {wait} s more");
        }
        assert_eq!(health.report().heartbeat_age, Duration::from_secs(15));
    }

    #[tokio::test]
    async fn the_first_failure_stays_and_wakes_who_waits() {
        let health = Health::new(Duration::from_secs(15));
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.failed().await }
        });
        health.fail("the listener panicked");
        health.fail("another");
        assert_eq!(waiting.await.unwrap(), "the listener panicked");
        let report = health.report();
        assert_eq!((report.alive, report.failed.as_deref()), (false, Some("the listener panicked")));
    }
}
