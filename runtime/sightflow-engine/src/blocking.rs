//! Work that keeps a thread busy, away from the threads that run tasks.

use sightflow_types::error::{RunError, code};
use tokio::task::JoinError;

/// Runs pixel work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    let failed = |error| RunError::new(code::INTERNAL, format!("image work stopped: {error}"));
    joined(work).await.map_err(failed)
}

/// Runs work off the async threads; it fails only by a panic.
pub(crate) async fn joined<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match tokio::task::spawn_blocking(work).await {
        // Only a runtime that ends cancels it. That is no failure of the run, which another engine goes on with.
        Err(error) if error.is_cancelled() => std::future::pending().await,
        done => done,
    }
}
