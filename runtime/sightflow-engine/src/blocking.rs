//! Work that keeps a thread busy, away from the threads that run tasks.

use sightflow_types::error::{RunError, code};

/// Runs pixel work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RunError::new(code::INTERNAL, format!("image work stopped: {error}")))
}
