//! Drawing: a list of operations, rasterised by the host in one call.

use sightflow_types::Rect;

use crate::image::{Image, ImageError, PixelFormat};
use crate::{Color, host};

/// A copy-on-write surface.
#[derive(Debug)]
pub struct Canvas(host::Canvas);

impl Canvas {
    /// A surface that starts as `base`, with `base`'s pixel format.
    ///
    /// # Errors
    /// Those of decoding and of the allowance.
    pub fn over(base: &Image) -> Result<Self, ImageError> {
        host::canvas_over(base.host()).map(Self)
    }

    /// A surface of one colour: `Gray8`, `Rgb8`, or `Rgba8`, where the ink's opacity is its alpha.
    ///
    /// # Errors
    /// Too large, a side of 0, another format, or an opacity in a format without alpha.
    pub fn blank(size: (u32, u32), format: PixelFormat, ink: Ink) -> Result<Self, ImageError> {
        host::canvas_blank(size, format, ink).map(Self)
    }

    /// Rasterises the operations in order. What lies outside the surface is clipped.
    ///
    /// # Errors
    /// Invalid for a mask of another size or a text height outside 1..=4096.
    pub fn draw(&mut self, operations: &[DrawOp]) -> Result<(), ImageError> {
        host::draw(&mut self.0, operations)
    }

    /// Replaces the pixels of `area` with packed rows.
    ///
    /// # Errors
    /// Out of bounds if the area reaches outside, invalid if `pixels` has another length.
    pub fn write(&mut self, area: Rect, format: PixelFormat, pixels: &[u8]) -> Result<(), ImageError> {
        host::write(&mut self.0, area, format, pixels)
    }

    /// Freezes the surface.
    pub fn finish(self) -> Image {
        Image::from_host(host::finish(self.0))
    }
}

/// The box that one line of text fills when drawn with this height: columns and rows.
///
/// # Errors
/// Invalid for a height outside 1..=4096.
pub fn text_size(content: &str, height: f32) -> Result<(u32, u32), ImageError> {
    host::text_size(content, height)
}

/// A colour and how much of it: `out = round(opacity·colour + (1 − opacity)·pixel)` per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// The colour.
    pub color: Color,
    /// 0 (nothing) ..= 1 (covers).
    pub opacity: f32,
}

impl Ink {
    /// A colour that covers.
    pub const fn opaque(color: Color) -> Self {
        Self { color, opacity: 1.0 }
    }
}

/// A line of `width` w paints 2⌊w/2⌋+1 pixels centred on it. Never anti-aliased.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub ink: Ink,
    /// Width in pixels.
    pub width: u32,
}

/// One pixel; what lies outside of the surface is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    /// Column.
    pub x: i32,
    /// Row.
    pub y: i32,
}

/// In which order a mask's runs go over its area. COCO's masks are column-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the two customary ones")]
pub enum MaskOrder {
    RowMajor,
    ColumnMajor,
}

/// One drawing operation. Where there are a fill and a stroke, the fill comes first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DrawOp {
    /// A rectangle between two corner pixels, both painted.
    Rectangle {
        /// One corner.
        start: Point,
        /// The opposite corner.
        end: Point,
        /// Radius of the corners in pixels; 0: square.
        corner_radius: u32,
        /// Inside.
        fill: Option<Ink>,
        /// Edge.
        stroke: Option<Stroke>,
    },
    /// A line through points.
    Path {
        /// Corners in order.
        points: Vec<Point>,
        /// Whether the last point is joined to the first.
        closed: bool,
        /// Inside, as if closed.
        fill: Option<Ink>,
        /// The line.
        stroke: Option<Stroke>,
    },
    /// An ellipse with axes along the image's, or an arc of one.
    Ellipse {
        /// Centre.
        center: Point,
        /// Half width in pixels.
        radius_x: u32,
        /// Half height in pixels.
        radius_y: u32,
        /// Degrees, clockwise as seen, from the positive x axis.
        start_angle: f32,
        /// Degrees; 0 and 360 draw the whole ellipse.
        end_angle: f32,
        /// Inside.
        fill: Option<Ink>,
        /// The line.
        stroke: Option<Stroke>,
    },
    /// One line of text, grey anti-aliased.
    Text {
        /// What to write; unknown characters are drawn as □.
        content: String,
        /// Top left corner of the text's own box, without padding.
        at: Point,
        /// Height of that box in pixels.
        height: f32,
        /// Colour.
        ink: Ink,
        /// A box behind it: its colour and how many pixels it is larger on each side.
        background: Option<(Ink, u32)>,
    },
    /// A mask.
    Mask {
        /// The pixels that it speaks of.
        area: Rect,
        /// The order in which it does.
        order: MaskOrder,
        /// Run lengths, background first; they add up to the area's pixels.
        counts: Vec<u32>,
        /// Colour of what is not background.
        ink: Ink,
    },
    /// Another image.
    Image {
        /// What to paste.
        source: Image,
        /// Where its top left pixel goes.
        at: Point,
        /// 0 (nothing) ..= 1 (covers).
        opacity: f32,
    },
    /// Every pixel that no area covers.
    Outside {
        /// What stays as it is.
        areas: Vec<Rect>,
        /// Colour of the rest.
        ink: Ink,
    },
}
