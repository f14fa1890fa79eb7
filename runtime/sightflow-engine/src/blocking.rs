//! Work that keeps a thread busy, away from the threads that run tasks.

use sightflow_types::error::{RunError, code};

/// Runs pixel work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        // Only a runtime that ends cancels it. That is no failure of the run, which another engine goes on with.
        Err(error) if error.is_cancelled() => std::future::pending().await,
        Err(error) => Err(RunError::new(code::INTERNAL, format!("image work stopped: {error}"))),
    }
}
