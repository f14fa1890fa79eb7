//! Making pictures for an answer: few at a time, and within the process's budget of bytes.

use std::time::Duration;

use bytes::Bytes;
use sightflow_images::ImageError;

use crate::error::{ApiError, Code};
use crate::extract::body::{Charge, Held};
use crate::state::ApiState;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `work` on a thread of its own when it is this request's turn; `503 unavailable` when that takes too long, or when
/// the process has no memory left for the pixels. `invalid` words the other errors. The encoded picture is charged as long
/// as it is held.
pub(crate) async fn decode(
    state: &ApiState,
    work: impl FnOnce() -> Result<Bytes, ImageError> + Send + 'static,
    invalid: impl FnOnce(ImageError) -> ApiError,
) -> Result<Bytes, ApiError> {
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
    let bytes = made.await.map_err(ApiError::internal)?.map_err(|error| match error {
        error @ ImageError::OutOfBudget(_) => ApiError { retry_after: Some(2), ..ApiError::unavailable(error) },
        other => invalid(other),
    })?;
    let charge = Charge::take(&state.config.memory, bytes.len() as u64).await?;
    Ok(Held { bytes, charge }.into_bytes())
}
