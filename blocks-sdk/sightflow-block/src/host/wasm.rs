//! The component's imports.

#[cfg(feature = "http")]
mod http;
mod image_ops;

use sightflow_types::Rect;

use crate::draw::{DrawOp, Ink, MaskOrder, Point, Stroke};
use crate::guest::bindings::sightflow::block::images as wit;
use crate::guest::bindings::sightflow::block::log as wit_log;
use crate::image::{ImageError, PixelFormat, QuarterTurns, ResizeFilter};
use crate::log::Level;

#[cfg(feature = "http")]
pub(crate) use self::http::*;
pub(crate) use self::image_ops::*;
pub(crate) use wit::{Canvas, Image};

type Result<T> = std::result::Result<T, ImageError>;

pub(crate) fn from_pixels(size: (u32, u32), format: PixelFormat, pixels: &[u8]) -> Result<Image> {
    Ok(Image::from_pixels(to_size(size), format.as_str(), pixels)?)
}

pub(crate) fn size(image: &Image) -> (u32, u32) {
    let size = image.size();
    (size.width, size.height)
}

pub(crate) fn format(image: &Image) -> PixelFormat {
    PixelFormat::named(&image.format())
}

pub(crate) fn crop(image: &Image, area: Rect) -> Result<Image> {
    Ok(image.crop(to_rect(area))?)
}

pub(crate) fn resize(image: &Image, size: (u32, u32), filter: ResizeFilter) -> Result<Image> {
    Ok(image.resize(to_size(size), filter.as_str())?)
}

pub(crate) fn rotate(image: &Image, clockwise: QuarterTurns, mirror: bool) -> Result<Image> {
    let turns = match clockwise {
        QuarterTurns::Zero => wit::QuarterTurns::Zero,
        QuarterTurns::One => wit::QuarterTurns::One,
        QuarterTurns::Two => wit::QuarterTurns::Two,
        QuarterTurns::Three => wit::QuarterTurns::Three,
    };
    Ok(image.rotate(turns, mirror)?)
}

pub(crate) fn convert(image: &Image, to: PixelFormat) -> Result<Image> {
    Ok(image.convert(to.as_str())?)
}

pub(crate) fn blur(image: &Image, sigma: f32) -> Result<Image> {
    Ok(image.blur(sigma)?)
}

pub(crate) fn histogram(image: &Image) -> Result<Vec<[u32; 256]>> {
    let tables = image.histogram()?;
    let whole = |counts: Vec<u32>| {
        <[u32; 256]>::try_from(counts)
            .map_err(|_| ImageError::Invalid("the host's histogram has not 256 counts".to_owned()))
    };
    tables.into_iter().map(whole).collect()
}

pub(crate) fn read(image: &Image, area: Rect, format: PixelFormat) -> Result<Vec<u8>> {
    Ok(image.read(to_rect(area), format.as_str())?)
}

pub(crate) fn canvas_over(base: &Image) -> Result<Canvas> {
    Ok(Canvas::over(base)?)
}

pub(crate) fn canvas_blank(size: (u32, u32), format: PixelFormat, ink: Ink) -> Result<Canvas> {
    Ok(Canvas::blank(to_size(size), format.as_str(), to_ink(ink))?)
}

pub(crate) fn draw(canvas: &mut Canvas, operations: &[DrawOp]) -> Result<()> {
    let drawing = wit::Drawing::new();
    operations.iter().try_for_each(|operation| add(&drawing, operation))?;
    Ok(canvas.draw(&drawing)?)
}

pub(crate) fn write(canvas: &mut Canvas, area: Rect, format: PixelFormat, pixels: &[u8]) -> Result<()> {
    Ok(canvas.write(to_rect(area), format.as_str(), pixels)?)
}

pub(crate) fn finish(canvas: Canvas) -> Image {
    Canvas::finish(canvas)
}

pub(crate) fn text_size(content: &str, height: f32) -> Result<(u32, u32)> {
    let size = wit::text_size(content, height)?;
    Ok((size.width, size.height))
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => wit_log::Level::Debug,
        Level::Info => wit_log::Level::Info,
        Level::Warn => wit_log::Level::Warn,
        Level::Error => wit_log::Level::Error,
    };
    wit_log::log(level, message);
}

impl From<wit::ImageError> for ImageError {
    fn from(error: wit::ImageError) -> Self {
        match error {
            wit::ImageError::OutOfBounds(text) => Self::OutOfBounds(text),
            wit::ImageError::TooLarge(text) => Self::TooLarge(text),
            wit::ImageError::Budget(text) => Self::Budget(text),
            wit::ImageError::Undecodable(text) => Self::Undecodable(text),
            wit::ImageError::Invalid(text) => Self::Invalid(text),
            wit::ImageError::Unsupported(text) => Self::Unsupported(text),
            wit::ImageError::Other(text) => Self::Other(text),
        }
    }
}

fn to_size((width, height): (u32, u32)) -> wit::Size {
    wit::Size { width, height }
}

/// Coordinates above `i32::MAX`, which no image has, stay out of bounds.
fn to_rect(area: Rect) -> wit::Rect {
    let coordinate = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
    wit::Rect { x: coordinate(area.x), y: coordinate(area.y), width: area.width, height: area.height }
}

fn to_point(point: Point) -> wit::Point {
    wit::Point { x: point.x, y: point.y }
}

fn to_ink(ink: Ink) -> wit::Ink {
    wit::Ink { r: ink.color.r, g: ink.color.g, b: ink.color.b, opacity: ink.opacity }
}

fn to_stroke(stroke: Stroke) -> wit::Stroke {
    wit::Stroke { ink: to_ink(stroke.ink), width: stroke.width }
}

fn add(drawing: &wit::Drawing, operation: &DrawOp) -> Result<()> {
    Ok(match operation {
        DrawOp::Rectangle { start, end, corner_radius, fill, stroke } => drawing.rectangle(wit::Rectangle {
            start: to_point(*start),
            end: to_point(*end),
            corner_radius: *corner_radius,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Path { points, closed, fill, stroke } => drawing.path(&wit::Path {
            points: points.iter().copied().map(to_point).collect(),
            closed: *closed,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Ellipse { center, radius_x, radius_y, start_angle, end_angle, fill, stroke } => {
            drawing.ellipse(wit::Ellipse {
                center: to_point(*center),
                radius_x: *radius_x,
                radius_y: *radius_y,
                start_angle: *start_angle,
                end_angle: *end_angle,
                fill: fill.map(to_ink),
                stroke: stroke.map(to_stroke),
            })
        }
        DrawOp::Text { content, at, height, ink, background } => drawing.text(&wit::Text {
            content: content.clone(),
            at: to_point(*at),
            height: *height,
            ink: to_ink(*ink),
            background: background.map(|(ink, padding)| wit::TextBackground { ink: to_ink(ink), padding }),
        }),
        DrawOp::Mask { area, order, counts, ink } => drawing.mask(&wit::Mask {
            area: to_rect(*area),
            order: match order {
                MaskOrder::RowMajor => wit::MaskOrder::RowMajor,
                MaskOrder::ColumnMajor => wit::MaskOrder::ColumnMajor,
            },
            counts: counts.clone(),
            ink: to_ink(*ink),
        }),
        DrawOp::Image { source, at, opacity } => drawing.paste(source.host(), to_point(*at), *opacity),
        DrawOp::Outside { areas, ink } => {
            let areas: Vec<_> = areas.iter().copied().map(to_rect).collect();
            drawing.outside(&areas, to_ink(*ink))
        }
    }?)
}
