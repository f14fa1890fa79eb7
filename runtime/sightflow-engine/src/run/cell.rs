//! A value on its way between nodes.

use std::sync::Arc;

use serde_json::Value;
use sightflow_images::Image;

use crate::images::{ImageTable, handle_value, holds_image};

/// A shared value.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) value: Arc<Value>,
    /// Whether an image is somewhere inside.
    pub(super) images: bool,
}

impl Cell {
    /// A value of the engine's own making without an image inside.
    pub(super) fn plain(value: Value) -> Self {
        debug_assert!(!holds_image(&value), "an image in a plain cell");
        Self { value: Arc::new(value), images: false }
    }

    /// Any value.
    pub(super) fn new(value: Value) -> Self {
        let images = holds_image(&value);
        Self { value: Arc::new(value), images }
    }

    pub(super) fn image(table: &ImageTable, image: Image) -> Self {
        Self { value: Arc::new(handle_value(table.add(image))), images: true }
    }
}
