//! What operations on images are told: options that host and blocks mean the same by.

use crate::closed_set;

closed_set!(
/// What becomes of a value v at a level.
ThresholdMethod, "threshold method", {
    /// `high` above the level, else 0.
    Binary = "binary",
    /// 0 above the level, else `high`.
    BinaryInverted = "binary-inverted",
    /// The level above the level, else v.
    Truncate = "truncate",
    /// v above the level, else 0.
    ToZero = "to-zero",
    /// 0 above the level, else v.
    ToZeroInverted = "to-zero-inverted",
});

closed_set!(
/// What the three channels of an rgb8 image mean.
ColorSpace, "colour space", {
    /// Red, green, blue of sRGB.
    Rgb = "rgb",
    /// Hue in halves of degrees (0..180), saturation, value.
    Hsv = "hsv",
    /// CIE L*a*b* (D65): L·255/100, a + 128, b + 128.
    Lab = "lab",
});

closed_set!(
/// What is done with the pixels under a kernel. What lies outside of the image does not count.
Morphology, "morphological operation", {
    /// The least value under the kernel.
    Erode = "erode",
    /// The greatest value under the kernel.
    Dilate = "dilate",
    /// Eroded, then dilated: small bright spots go.
    Open = "open",
    /// Dilated, then eroded: small dark spots go.
    Close = "close",
    /// Dilated less eroded: the edges.
    Gradient = "gradient",
    /// The image less opened: the small bright spots.
    TopHat = "top-hat",
    /// Closed less the image: the small dark spots.
    BlackHat = "black-hat",
});

closed_set!(
/// The form of a kernel.
KernelShape, "kernel shape", {
    /// All of it.
    Rectangle = "rectangle",
    /// The largest ellipse within it.
    Ellipse = "ellipse",
    /// Its middle row and its middle column.
    Cross = "cross",
});

closed_set!(
/// Which borders of areas are looked for.
Retrieval, "retrieval", {
    /// The outer borders of areas that lie within no other area's hole.
    External = "external",
    /// Every outer border and every border of a hole.
    All = "all",
});

closed_set!(
/// Which way an image is mirrored.
Flip, "flip", {
    /// Left becomes right.
    Horizontal = "horizontal",
    /// Top becomes bottom.
    Vertical = "vertical",
    /// Both: half a turn.
    Both = "both",
});

/// Columns and rows that are added on each side, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named in the type's comment")]
pub struct Margins {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}
