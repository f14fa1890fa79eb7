//! What the operations are told.

pub use sightflow_types::image_ops::{ColorSpace, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod};

use crate::draw::{Ink, Point};

/// What lies outside of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Border {
    /// One colour; in `Rgba8` the ink's opacity is its alpha.
    Constant(Ink),
    /// The outermost pixel, again and again.
    Replicate,
    /// The image mirrored at its outermost pixel, which is not repeated: `dcb|abcd|cba`.
    Reflect101,
}

/// One border: pixels of the area itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contour {
    /// The ends of its straight runs, in order: counter-clockwise as seen around an area, clockwise around a hole.
    pub points: Vec<Point>,
    /// Whether a hole is within; otherwise the area is.
    pub hole: bool,
}

/// How an image is written as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileFormat {
    /// Lossless.
    Png,
    /// Lossy; alpha is flattened on white.
    Jpeg {
        /// 1 (small) ..= 100 (faithful).
        quality: u8,
    },
    /// Lossless WebP.
    Webp,
}
