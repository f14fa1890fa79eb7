//! What `/readyz` looks at, cheap enough to be asked every second.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sightflow_blobs::{BlobError, BlobStore};
use sightflow_types::error::chain;
use tokio::time::Instant;

/// How long a blob store that could be written counts as writable.
const WRITABLE: Duration = Duration::from_secs(30);
/// How long one that could not counts as that.
const NOT_WRITABLE: Duration = Duration::from_secs(1);

/// What is wrong with a part of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwell {
    /// It cannot go on. The reason is for the log; no answer says it.
    Failed(String),
    /// It has given no sign of life for this long.
    Silent(Duration),
}

/// A part of the process that must be well for the server to take work. Answers at once; asked for each probe.
#[derive(Clone)]
pub struct HealthCheck {
    pub(crate) name: &'static str,
    look: Arc<dyn Fn() -> Result<(), Unwell> + Send + Sync>,
}

impl HealthCheck {
    /// A check under a name of its own in the answer, such as `engine`.
    pub fn new(name: &'static str, look: impl Fn() -> Result<(), Unwell> + Send + Sync + 'static) -> Self {
        Self { name, look: Arc::new(look) }
    }

    /// How the part is, in the words of the answer.
    pub(crate) fn word(&self) -> String {
        match (self.look)() {
            Ok(()) => "ok".to_owned(),
            Err(Unwell::Failed(reason)) => {
                tracing::warn!(part = self.name, reason, "a part of the server cannot go on");
                "failed".to_owned()
            }
            Err(Unwell::Silent(age)) => format!("no sign of life for {} s", age.as_secs()),
        }
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HealthCheck").field(&self.name).finish()
    }
}

/// The newest look at the blob store: a look writes a file, a probe must not.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Option<(Instant, bool)>>);

impl Recent {
    /// Whether blobs can be written now, or could be a short time ago.
    pub(crate) async fn writable(&self, blobs: &BlobStore) -> bool {
        self.or_look(|| blobs.check_writable()).await
    }

    async fn or_look(&self, look: impl AsyncFnOnce() -> Result<(), BlobError>) -> bool {
        let newest = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, well)) = newest
            && at.elapsed() < if well { WRITABLE } else { NOT_WRITABLE }
        {
            return well;
        }
        let found = look().await;
        if let Err(error) = &found {
            tracing::warn!(error = chain(error), "the blob store is not ready");
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.is_ok()));
        found.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_lasts_for_a_while() {
        let recent = Recent::default();
        for (after, well, looks, expected) in [
            (0, true, true, true),
            (29, false, false, true),
            (2, false, true, false),
            (0, true, false, false),
            (1, true, true, true),
        ] {
            tokio::time::advance(Duration::from_secs(after)).await;
            let mut looked = false;
            let answer = recent.or_look(async || {
                looked = true;
                if well { Ok(()) } else { Err(BlobError::Unreliable) }
            });
            assert_eq!(answer.await, expected, "{after} {well}");
            assert_eq!(looked, looks, "{after} {well}");
        }
    }
}
