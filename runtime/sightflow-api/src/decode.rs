//! Making pictures for an answer: few at a time, and within the process's budget of bytes.

use std::time::Duration;

use bytes::Bytes;
use sightflow_images::{ImageError, Work};
use sightflow_memory::OutOfBudget;

use crate::error::{ApiError, Code};
use crate::extract::body;
use crate::state::ApiState;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a picture of an encoded one, on a thread of its own when it is this request's turn; `503 unavailable` when that
/// takes too long, or when the process has no memory left for the pixels, and `422 image_invalid` when it never had as
/// much. `invalid` words the other errors. The encoded picture is charged as long as it is held.
pub(crate) async fn decode(
    state: &ApiState,
    bytes: Bytes,
    make: impl FnOnce(&Work, Bytes) -> Result<Bytes, ImageError> + Send + 'static,
    invalid: impl FnOnce(ImageError) -> ApiError,
) -> Result<Bytes, ApiError> {
    let turn = tokio::time::timeout(PATIENCE, state.decodes.clone().acquire_owned()).await;
    let busy = "the server decodes as many images as it can now; try again";
    let turn = turn
        .map_err(|_| ApiError { retry_after: Some(2), ..ApiError::new(Code::Unavailable, busy) })?
        .map_err(ApiError::internal)?;
    // The encoded bytes are held until the picture is made.
    let encoded = bytes.len() as u64;
    let work = Work::new(state.config.memory.clone()).as_holder();
    let made = tokio::task::spawn_blocking(move || {
        let made = make(&work, bytes);
        // A client that went away does not end the work; its turn lasts as long.
        drop(turn);
        made
    });
    made.await.map_err(ApiError::internal)?.map_err(|error| match error {
        ImageError::OutOfBudget(full) => crowded(OutOfBudget { wanted: full.wanted + encoded, ..full }),
        other => invalid(other),
    })
}

/// No memory for the pixels, now or ever.
fn crowded(full: OutOfBudget) -> ApiError {
    if full.never_fits() {
        let message = format!("to decode the image takes {}", body::beyond(&full));
        return ApiError { source: Some(full.into()), ..ApiError::new(Code::ImageInvalid, message) };
    }
    body::crowded(full)
}
