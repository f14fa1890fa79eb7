//! Reading the boxes of a list of detections.

use std::borrow::Cow;

use sightflow_types::detection::{DetectionInput, FoundBox};

use crate::BlockError;

/// Reads every box of a list, scaled to an image of `size`, in list order; see [`DetectionInput::locate`].
///
/// # Errors
/// Bad input that names `port` and the index of the first item whose box cannot be read.
pub fn boxes(
    items: &[DetectionInput],
    port: impl Into<Cow<'static, str>>,
    size: (u32, u32),
) -> Result<Vec<FoundBox>, BlockError> {
    items
        .iter()
        .enumerate()
        .map(|(index, item)| item.locate(index, size).map_err(|error| (index, error)))
        .collect::<Result<_, _>>()
        .map_err(|(index, error)| BlockError::bad_input(error.code(), error.to_string()).port(port).index(index))
}
