//! Catching panics, and services that start again after one.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use sightflow_types::error::panic_text;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::Health;

/// The work panicked; the text is the panic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(pub String);

impl Panicked {
    /// From what `catch_unwind` or a join error gives.
    #[must_use]
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        Self(panic_text(payload))
    }
}

/// Runs a future and turns a panic into an error. What the future leaves half done must not be used afterwards.
///
/// # Errors
/// [`Panicked`].
pub async fn caught<F: Future>(work: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked::of(payload.as_ref()))
}

/// How often a service starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// Failures in a row after which it is given up.
    pub limit: u32,
    /// Pause after the first; doubles with each one.
    pub pause: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// One that ran this long has recovered: its failures are counted anew.
    pub recovered: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            limit: 10,
            pause: Duration::from_millis(100),
            longest: Duration::from_secs(10),
            recovered: Duration::from_secs(60),
        }
    }
}

/// Runs a service until `stop`: `make` gives its future, again after each panic and after each end that nobody asked for.
/// A service that fails [`Restarts::limit`] times in a row is given up and fails `health`.
///
/// `stop` ends the pauses; a running service must watch it by itself.
pub async fn keep<F: Future<Output = ()>>(
    name: &'static str,
    health: Health,
    stop: CancellationToken,
    restarts: Restarts,
    mut make: impl FnMut() -> F,
) {
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let reason = match caught(async { make().await }).await {
            Ok(()) if stop.is_cancelled() => return,
            Ok(()) => "ended by itself".to_owned(),
            Err(panicked) => panicked.to_string(),
        };
        if started.elapsed() >= restarts.recovered {
            failures = 0;
        }
        failures += 1;
        if failures >= restarts.limit {
            error!(service = name, reason, failures, "a service failed again and again and is given up");
            health.fail(format!("{name} {reason}"));
            return;
        }
        error!(service = name, reason, failures, "a service failed; it starts again");
        let pause = restarts.pause.saturating_mul(1 << (failures - 1).min(16)).min(restarts.longest);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Runs a service whose `n`-th life (from 0) is `life(n)`; how many lives it had, and how health stands.
    async fn lives<F: Future<Output = ()>>(
        stop: &CancellationToken,
        life: impl Fn(u32) -> F,
    ) -> (u32, Option<String>, Duration) {
        let (health, count, begun) = (Health::new(Duration::from_secs(1)), AtomicU32::new(0), Instant::now());
        let restarts = Restarts { limit: 4, ..Restarts::default() };
        keep("clock", health.clone(), stop.clone(), restarts, || life(count.fetch_add(1, Ordering::Relaxed))).await;
        (count.into_inner(), health.report().failed, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_keeps_failing_is_given_up() {
        let stop = CancellationToken::new();
        let (count, failed, took) = lives(&stop, |_| async { panic!("a bad row") }).await;
        assert_eq!((count, failed.as_deref()), (4, Some("clock panicked: a bad row")));
        assert_eq!(took, Duration::from_millis(100 + 200 + 400));
        let (count, failed, _) = lives(&stop, |_| async {}).await;
        assert_eq!((count, failed.as_deref()), (4, Some("clock ended by itself")));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_recovers_may_fail_again() {
        let stop = CancellationToken::new();
        let end = stop.clone();
        let (count, failed, _) = lives(&stop, |life| {
            let end = end.clone();
            async move {
                match life {
                    20 => end.cancelled().await,
                    19 => end.cancel(),
                    _ if life % 3 == 2 => tokio::time::sleep(Duration::from_secs(60)).await,
                    _ => {}
                }
                panic!("now and then");
            }
        })
        .await;
        // The stop ends the pause before the next life.
        assert_eq!((count, failed), (20, None));
    }

    #[tokio::test]
    async fn a_panic_before_the_first_await_is_caught_too() {
        let boom = |text: &'static str| -> std::future::Ready<()> { panic!("{text}") };
        let panicked = caught(async { boom("early").await }).await.unwrap_err();
        assert_eq!(panicked, Panicked("early".to_owned()));
    }
}
