//! A stand-in for the host in native builds. It shares the host's raster code, so that a unit test sees the same pixels.

#[cfg(feature = "http")]
mod http;
mod image_ops;

use sightflow_images as host;
use sightflow_types::Rect;

use crate::draw::{DrawOp, Ink, MaskOrder, Point, Stroke};
use crate::image::{ImageError, PixelFormat, QuarterTurns, ResizeFilter};
use crate::log::Level;

#[cfg(feature = "http")]
pub(crate) use self::http::*;
pub(crate) use self::image_ops::*;
pub(crate) use sightflow_images::{Canvas, Image};

type Result<T> = std::result::Result<T, ImageError>;

pub(crate) fn from_pixels((width, height): (u32, u32), format: PixelFormat, pixels: &[u8]) -> Result<Image> {
    Ok(Image::from_pixels(host::Pixels::new(width, height, to_format(format)?, pixels.to_vec())?))
}

pub(crate) fn size(image: &Image) -> (u32, u32) {
    image.size()
}

pub(crate) fn format(image: &Image) -> PixelFormat {
    match image.format() {
        host::PixelFormat::Gray8 => PixelFormat::Gray8,
        host::PixelFormat::Rgb8 => PixelFormat::Rgb8,
        host::PixelFormat::Rgba8 => PixelFormat::Rgba8,
        host::PixelFormat::Gray16 => PixelFormat::Gray16,
        host::PixelFormat::Float32 => PixelFormat::Float32,
    }
}

pub(crate) fn crop(image: &Image, area: Rect) -> Result<Image> {
    Ok(image.crop(area)?)
}

pub(crate) fn resize(image: &Image, (width, height): (u32, u32), filter: ResizeFilter) -> Result<Image> {
    Ok(image.resize(width, height, to_filter(filter))?)
}

pub(crate) fn rotate(image: &Image, clockwise: QuarterTurns, mirror: bool) -> Result<Image> {
    let turns = match clockwise {
        QuarterTurns::Zero => 0,
        QuarterTurns::One => 1,
        QuarterTurns::Two => 2,
        QuarterTurns::Three => 3,
    };
    Ok(image.rotate(turns, mirror)?)
}

pub(crate) fn convert(image: &Image, to: PixelFormat) -> Result<Image> {
    Ok(image.convert(to_format(to)?)?)
}

pub(crate) fn blur(image: &Image, sigma: f32) -> Result<Image> {
    Ok(image.blur(sigma)?)
}

pub(crate) fn histogram(image: &Image) -> Result<Vec<[u32; 256]>> {
    Ok(image.histogram()?)
}

pub(crate) fn read(image: &Image, area: Rect, format: PixelFormat) -> Result<Vec<u8>> {
    Ok(image.read(area, to_format(format)?)?)
}

pub(crate) fn canvas_over(base: &Image) -> Result<Canvas> {
    Ok(Canvas::over(base)?)
}

pub(crate) fn canvas_blank((width, height): (u32, u32), format: PixelFormat, ink: Ink) -> Result<Canvas> {
    Ok(Canvas::blank(width, height, to_format(format)?, to_ink(ink))?)
}

pub(crate) fn draw(canvas: &mut Canvas, operations: &[DrawOp]) -> Result<()> {
    let operations: Vec<_> = operations.iter().map(to_op).collect();
    Ok(canvas.draw(&operations)?)
}

pub(crate) fn write(canvas: &mut Canvas, area: Rect, format: PixelFormat, pixels: &[u8]) -> Result<()> {
    Ok(canvas.write(area, to_format(format)?, pixels)?)
}

pub(crate) fn finish(canvas: Canvas) -> Image {
    canvas.finish()
}

pub(crate) fn text_size(content: &str, height: f32) -> Result<(u32, u32)> {
    Ok(host::text_size(content, height)?)
}

/// A test shows what is written to stderr when it fails.
pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

impl From<host::ImageError> for ImageError {
    fn from(error: host::ImageError) -> Self {
        match error {
            host::ImageError::OutOfBounds(text) => Self::OutOfBounds(text),
            host::ImageError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            host::ImageError::Undecodable(text) => Self::Undecodable(text),
            host::ImageError::Invalid(text) => Self::Invalid(text),
            host::ImageError::Unsupported(text) => Self::Unsupported(text),
            host::ImageError::OutOfBudget(_) | host::ImageError::Allowance(_) | host::ImageError::Stopped => {
                Self::Budget(error.to_string())
            }
        }
    }
}

fn to_format(format: PixelFormat) -> Result<host::PixelFormat> {
    Ok(match format {
        PixelFormat::Gray8 => host::PixelFormat::Gray8,
        PixelFormat::Rgb8 => host::PixelFormat::Rgb8,
        PixelFormat::Rgba8 => host::PixelFormat::Rgba8,
        PixelFormat::Gray16 => host::PixelFormat::Gray16,
        PixelFormat::Float32 => host::PixelFormat::Float32,
        PixelFormat::Unknown => return Err(ImageError::Unsupported("an unknown pixel format".to_owned())),
    })
}

fn to_filter(filter: ResizeFilter) -> host::ResizeFilter {
    match filter {
        ResizeFilter::Nearest => host::ResizeFilter::Nearest,
        ResizeFilter::Bilinear => host::ResizeFilter::Bilinear,
        ResizeFilter::Bicubic => host::ResizeFilter::Bicubic,
        ResizeFilter::Lanczos3 => host::ResizeFilter::Lanczos3,
        ResizeFilter::Area => host::ResizeFilter::Area,
    }
}

fn to_point(point: Point) -> host::Point {
    host::Point { x: point.x, y: point.y }
}

fn to_ink(ink: Ink) -> host::Ink {
    host::Ink { r: ink.color.r, g: ink.color.g, b: ink.color.b, opacity: ink.opacity }
}

fn to_stroke(stroke: Stroke) -> host::Stroke {
    host::Stroke { ink: to_ink(stroke.ink), width: stroke.width }
}

fn to_op(operation: &DrawOp) -> host::DrawOp {
    match operation {
        DrawOp::Rectangle { start, end, corner_radius, fill, stroke } => host::DrawOp::Rectangle(host::Rectangle {
            from: to_point(*start),
            to: to_point(*end),
            corner_radius: *corner_radius,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Path { points, closed, fill, stroke } => host::DrawOp::Path(host::Path {
            points: points.iter().copied().map(to_point).collect(),
            closed: *closed,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Ellipse { center, radius_x, radius_y, start_angle, end_angle, fill, stroke } => {
            host::DrawOp::Ellipse(host::Ellipse {
                center: to_point(*center),
                radius_x: *radius_x,
                radius_y: *radius_y,
                start_angle: *start_angle,
                end_angle: *end_angle,
                fill: fill.map(to_ink),
                stroke: stroke.map(to_stroke),
            })
        }
        DrawOp::Text { content, at, height, ink, background } => host::DrawOp::Text(host::Text {
            content: content.clone(),
            at: to_point(*at),
            height: *height,
            ink: to_ink(*ink),
            background: background.map(|(ink, padding)| host::TextBackground { ink: to_ink(ink), padding }),
        }),
        DrawOp::Mask { area, order, counts, ink } => host::DrawOp::Mask(host::Mask {
            counts: counts.clone(),
            area: (*area).into(),
            order: match order {
                MaskOrder::RowMajor => host::MaskOrder::RowMajor,
                MaskOrder::ColumnMajor => host::MaskOrder::ColumnMajor,
            },
            ink: to_ink(*ink),
        }),
        DrawOp::Image { source, at, opacity } => {
            host::DrawOp::Image(host::Pasted { source: source.host().clone(), at: to_point(*at), opacity: *opacity })
        }
        DrawOp::Outside { areas, ink } => host::DrawOp::Outside(host::Outside {
            areas: areas.iter().copied().map(Into::into).collect(),
            ink: to_ink(*ink),
        }),
    }
}
