//! What the operations are told.

use crate::draw::{Ink, Point};

/// What becomes of a value v at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThresholdMethod {
    /// `high` above the level, else 0.
    Binary,
    /// 0 above the level, else `high`.
    BinaryInverted,
    /// The level above the level, else v.
    Truncate,
    /// v above the level, else 0.
    ToZero,
    /// 0 above the level, else v.
    ToZeroInverted,
}

impl ThresholdMethod {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::BinaryInverted => "binary-inverted",
            Self::Truncate => "truncate",
            Self::ToZero => "to-zero",
            Self::ToZeroInverted => "to-zero-inverted",
        }
    }
}

/// What the three channels of an `Rgb8` image mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColorSpace {
    /// Red, green, blue of sRGB.
    Rgb,
    /// Hue in halves of degrees (0..180), saturation, value.
    Hsv,
    /// CIE L*a*b*: L·255/100, a + 128, b + 128.
    Lab,
}

impl ColorSpace {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Hsv => "hsv",
            Self::Lab => "lab",
        }
    }
}

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

/// Columns and rows that are added on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named in the type's comment")]
pub struct Margins {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

/// Which way an image is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flip {
    /// Left becomes right.
    Horizontal,
    /// Top becomes bottom.
    Vertical,
    /// Both: half a turn.
    Both,
}

/// What is done with the pixels under a kernel. What lies outside of the image does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Morphology {
    /// The least value under the kernel.
    Erode,
    /// The greatest value under the kernel.
    Dilate,
    /// Eroded, then dilated: small bright spots go.
    Open,
    /// Dilated, then eroded: small dark spots go.
    Close,
    /// Dilated less eroded: the edges.
    Gradient,
    /// The image less opened: the small bright spots.
    TopHat,
    /// Closed less the image: the small dark spots.
    BlackHat,
}

impl Morphology {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erode => "erode",
            Self::Dilate => "dilate",
            Self::Open => "open",
            Self::Close => "close",
            Self::Gradient => "gradient",
            Self::TopHat => "top-hat",
            Self::BlackHat => "black-hat",
        }
    }
}

/// The form of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelShape {
    /// All of it.
    Rectangle,
    /// The largest ellipse within it.
    Ellipse,
    /// Its middle row and its middle column.
    Cross,
}

impl KernelShape {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rectangle => "rectangle",
            Self::Ellipse => "ellipse",
            Self::Cross => "cross",
        }
    }
}

/// Which borders are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retrieval {
    /// The outer borders of areas that lie within no other area's hole.
    External,
    /// Every outer border and every border of a hole.
    All,
}

impl Retrieval {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::All => "all",
        }
    }
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
