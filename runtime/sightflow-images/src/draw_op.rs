//! Drawing operations, one to one those of the block interface (`wit/v0_1/block.wit`).

use crate::{Area, Image, ImageError, PixelFormat};

/// A colour and how much of it: `out = round(opacity·colour + (1 − opacity)·pixel)` per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the red, green and blue of a colour")]
pub struct Ink {
    pub r: u8,
    pub g: u8,
    pub b: u8,
    /// 0 (nothing) ..= 1 (covers).
    pub opacity: f32,
}

impl Ink {
    /// A colour that covers.
    pub const fn opaque(r: u8, g: u8, b: u8) -> Self {
        Self { r, g, b, opacity: 1.0 }
    }

    /// The colour in the channels of a format, opaque.
    pub(crate) fn color(self, format: PixelFormat) -> [u8; 4] {
        match format {
            // Nothing is drawn on the other grey formats.
            PixelFormat::Gray8 | PixelFormat::Gray16 | PixelFormat::Float32 => {
                [crate::convert::luma(self.r, self.g, self.b), 0, 0, 0]
            }
            PixelFormat::Rgb8 | PixelFormat::Rgba8 => [self.r, self.g, self.b, 255],
        }
    }

    /// A pixel of this colour, whose first bytes count; with alpha, the opacity is its alpha.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for an opacity outside of 0..=1 or, without alpha, other than 1; and for formats without
    /// 8 bits a channel.
    pub(crate) fn pixel(self, format: PixelFormat) -> Result<[u8; 4], ImageError> {
        format.require_8_bits("a colour")?;
        let has_alpha = format == PixelFormat::Rgba8;
        if !(0.0..=1.0).contains(&self.opacity) || (!has_alpha && self.opacity < 1.0) {
            return Err(ImageError::Invalid(format!(
                "opacity is {}; a pixel of {} has {}",
                self.opacity,
                format.name(),
                if has_alpha { "0..1" } else { "1" }
            )));
        }
        let [first, second, third, _] = self.color(format);
        Ok([first, second, third, (self.opacity * 255.0 + 0.5) as u8])
    }
}

/// A line of `width` w paints 2⌊w/2⌋+1 pixels centred on it. Never anti-aliased.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub ink: Ink,
    /// Width in pixels; even widths paint one more.
    pub width: u32,
}

/// One pixel; any coordinate is allowed, what lies outside of the surface is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "column and row")]
pub struct Point {
    pub x: i32,
    pub y: i32,
}

/// A rectangle between two corners in any order; both corners are painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Rectangle {
    /// One corner.
    pub from: Point,
    /// The opposite corner.
    pub to: Point,
    /// Radius of the corners in pixels, at most half the shorter side; 0: square.
    pub corner_radius: u32,
    /// Inside, with the edge.
    pub fill: Option<Ink>,
    /// Edge, over the fill.
    pub stroke: Option<Stroke>,
}

/// A line through points; one point is a dot.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Corners in order, at most 65,536.
    pub points: Vec<Point>,
    /// Whether the last point is joined to the first.
    pub closed: bool,
    /// Inside by the even-odd rule, with the edge; as if closed.
    pub fill: Option<Ink>,
    /// The line, over the fill.
    pub stroke: Option<Stroke>,
}

/// An ellipse with axes along the image's, or an arc of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Ellipse {
    /// Centre.
    pub center: Point,
    /// Half width in pixels: columns `center.x ± radius_x` are painted.
    pub radius_x: u32,
    /// Half height in pixels.
    pub radius_y: u32,
    /// Degrees, clockwise as seen, from the positive x axis.
    pub start_angle: f32,
    /// Degrees; 360 or more beyond the start is the whole ellipse. Below the start: the arc runs on through 360.
    pub end_angle: f32,
    /// Inside; of an arc: the sector.
    pub fill: Option<Ink>,
    /// The line, over the fill; an arc's straight sides have none.
    pub stroke: Option<Stroke>,
}

/// Behind the text, `padding` pixels larger on each side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextBackground {
    /// Its colour.
    pub ink: Ink,
    /// Pixels on each side.
    pub padding: u32,
}

/// One line of text, grey anti-aliased.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What to write, at most 4096 bytes; control characters are spaces, unknown characters □.
    pub content: String,
    /// Top left corner of the text's own box, without padding.
    pub at: Point,
    /// Height of that box in pixels, 1..=4096.
    pub height: f32,
    /// Colour.
    pub ink: Ink,
    /// A box behind it.
    pub background: Option<TextBackground>,
}

/// In which order a mask counts its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskOrder {
    /// Row by row, from left to right.
    RowMajor,
    /// Column by column, from top to bottom, as COCO does.
    ColumnMajor,
}

/// A mask over a part of the surface.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// Run lengths, background first; they add up to the pixels of `area`.
    pub counts: Vec<u32>,
    /// What the mask covers; it is clipped where it reaches outside of the surface.
    pub area: Area,
    /// How the runs go through the area.
    pub order: MaskOrder,
    /// Colour of what is not background.
    pub ink: Ink,
}

/// Another image, laid over the surface.
#[derive(Debug, Clone)]
pub struct Pasted {
    /// What to paste; its alpha counts.
    pub source: Image,
    /// Where its top left pixel goes.
    pub at: Point,
    /// 0 (nothing) ..= 1 (covers).
    pub opacity: f32,
}

/// Paints every pixel that no area covers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// What stays as it is; at most 65,536 areas.
    pub areas: Vec<Area>,
    /// Colour of the rest.
    pub ink: Ink,
}

/// One layer or two (fill, then stroke; background, then text) of a drawing.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant is explained at the type that it holds")]
pub enum DrawOp {
    Rectangle(Rectangle),
    Path(Path),
    Ellipse(Ellipse),
    Text(Text),
    Mask(Mask),
    Image(Pasted),
    Outside(Outside),
}
