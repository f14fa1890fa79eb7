//! Decoding images for an answer: few at a time, and within the process's budget of bytes.

use std::time::Duration;

use sightflow_images::ImageError;

use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `work` on a thread of its own when it is this request's turn; `503 unavailable` when that takes too long, or when
/// the process has no memory left for the pixels. `invalid` words the other errors.
pub(crate) async fn decode<T: Send + 'static>(
    state: &ApiState,
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
    invalid: impl FnOnce(ImageError) -> ApiError,
) -> Result<T, ApiError> {
    let turn = tokio::time::timeout(PATIENCE, state.decodes.clone().acquire_owned()).await;
    let turn = turn
        .map_err(|_| ApiError { retry_after: Some(2), ..ApiError::new(Code::Unavailable, "too many images at once") })?
        .map_err(ApiError::internal)?;
    let made = tokio::task::spawn_blocking(move || {
        let made = work();
        // A client that went away does not end the work; its turn lasts as long.
        drop(turn);
        made
    });
    made.await.map_err(ApiError::internal)?.map_err(|error| match error {
        error @ ImageError::OutOfBudget(_) => ApiError { retry_after: Some(2), ..ApiError::unavailable(error) },
        other => invalid(other),
    })
}
