//! Questions of an execution to the store, asked until it can answer: one that is away for a while costs no execution.

use std::time::Duration;

use sightflow_store::StoreError;
use sightflow_types::error::{RunError, chain, code};
use tracing::warn;

use super::handle::Handle;

/// Pause after the store could not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Asks until there is an answer; the end of the walk stops it. A lease that is lost ends the walk.
pub(super) async fn ask<T, F: Future<Output = Result<T, StoreError>>>(
    handle: &Handle,
    what: &str,
    question: impl Fn() -> F,
) -> Result<T, RunError> {
    loop {
        match question().await {
            Ok(answer) => return Ok(answer),
            Err(failure @ StoreError::Unavailable(_)) => {
                warn!(execution.id = %handle.lease.execution_id, what, error = chain(&failure), "waiting for the store");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(failure) => {
                if matches!(failure, StoreError::StaleLease) {
                    handle.lost.cancel();
                }
                return Err(RunError::new(code::INTERNAL, format!("{what} failed: {failure}")));
            }
        }
    }
}
