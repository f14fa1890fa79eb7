//! What every decoder of boxes makes.

use sightflow_types::detection::BoundingBox;

/// A box as a decoder finds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// Pixels of the input tensor.
    pub(super) bbox: BoundingBox,
    /// 0..=1.
    pub(super) score: f64,
    /// Index into the labels.
    pub(super) class: usize,
}
