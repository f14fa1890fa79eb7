//! The component's imports.

use sightflow_types::Rect;

use crate::Color;
use crate::draw::{DrawOp, Ink, Point, Stroke};
use crate::guest::bindings::sightflow::block::images as wit;
use crate::guest::bindings::sightflow::block::log as wit_log;
use crate::image::{ImageError, PixelFormat, ResizeFilter};
use crate::log::Level;

pub(crate) use wit::{Canvas, Image};

type Result<T> = std::result::Result<T, ImageError>;

pub(crate) fn from_pixels(size: (u32, u32), format: PixelFormat, pixels: &[u8]) -> Result<Image> {
    Ok(wit::from_pixels(to_size(size), format.into(), pixels)?)
}

pub(crate) fn size(image: &Image) -> (u32, u32) {
    let size = image.size();
    (size.width, size.height)
}

pub(crate) fn format(image: &Image) -> PixelFormat {
    match image.format() {
        wit::PixelFormat::Gray8 => PixelFormat::Gray8,
        wit::PixelFormat::Rgb8 => PixelFormat::Rgb8,
        wit::PixelFormat::Rgba8 => PixelFormat::Rgba8,
    }
}

pub(crate) fn crop(image: &Image, area: Rect) -> Result<Image> {
    Ok(image.crop(to_rect(area))?)
}

pub(crate) fn resize(image: &Image, size: (u32, u32), filter: ResizeFilter) -> Result<Image> {
    let filter = match filter {
        ResizeFilter::Nearest => wit::ResizeFilter::Nearest,
        ResizeFilter::Bilinear => wit::ResizeFilter::Bilinear,
        ResizeFilter::Bicubic => wit::ResizeFilter::Bicubic,
        ResizeFilter::Lanczos3 => wit::ResizeFilter::Lanczos3,
        ResizeFilter::Area => wit::ResizeFilter::Area,
    };
    Ok(image.resize(to_size(size), filter)?)
}

pub(crate) fn rotate(image: &Image, quarter_turns_clockwise: u8, mirror: bool) -> Result<Image> {
    Ok(image.rotate(quarter_turns_clockwise, mirror)?)
}

pub(crate) fn convert(image: &Image, to: PixelFormat) -> Result<Image> {
    Ok(image.convert(to.into())?)
}

pub(crate) fn blur(image: &Image, sigma: f32) -> Result<Image> {
    Ok(image.blur(sigma)?)
}

pub(crate) fn histogram(image: &Image) -> Result<Vec<[u64; 256]>> {
    let tables = image.histogram()?;
    let whole = |table: wit::ChannelHistogram| {
        <[u64; 256]>::try_from(table.counts)
            .map_err(|_| ImageError::Invalid("the host's histogram has not 256 counts".to_owned()))
    };
    tables.into_iter().map(whole).collect()
}

pub(crate) fn read(image: &Image, area: Rect, format: PixelFormat) -> Result<Vec<u8>> {
    Ok(image.read(to_rect(area), format.into())?)
}

pub(crate) fn canvas_over(base: &Image) -> Result<Canvas> {
    Ok(Canvas::over(base)?)
}

pub(crate) fn canvas_blank(size: (u32, u32), fill: Color) -> Result<Canvas> {
    Ok(Canvas::blank(to_size(size), fill.r, fill.g, fill.b)?)
}

pub(crate) fn draw(canvas: &mut Canvas, operations: &[DrawOp]) -> Result<()> {
    let operations: Vec<_> = operations.iter().map(to_op).collect();
    Ok(canvas.draw(&operations)?)
}

pub(crate) fn write(canvas: &mut Canvas, area: Rect, format: PixelFormat, pixels: &[u8]) -> Result<()> {
    Ok(canvas.write(to_rect(area), format.into(), pixels)?)
}

pub(crate) fn finish(canvas: Canvas) -> Image {
    Canvas::finish(canvas)
}

pub(crate) fn text_size(content: &str, height: f32) -> (u32, u32) {
    let size = wit::text_size(content, height);
    (size.width, size.height)
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
            wit::ImageError::TooLarge(pixels) => Self::TooLarge(pixels),
            wit::ImageError::Budget(text) => Self::Budget(text),
            wit::ImageError::Undecodable(text) => Self::Undecodable(text),
            wit::ImageError::Invalid(text) => Self::Invalid(text),
        }
    }
}

impl From<PixelFormat> for wit::PixelFormat {
    fn from(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Gray8 => Self::Gray8,
            PixelFormat::Rgb8 => Self::Rgb8,
            PixelFormat::Rgba8 => Self::Rgba8,
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

fn to_pixel(point: Point) -> wit::Pixel {
    wit::Pixel { x: point.x, y: point.y }
}

fn to_ink(ink: Ink) -> wit::Ink {
    wit::Ink { r: ink.color.r, g: ink.color.g, b: ink.color.b, opacity: ink.opacity }
}

fn to_stroke(stroke: Stroke) -> wit::Stroke {
    wit::Stroke { ink: to_ink(stroke.ink), width: stroke.width }
}

fn to_op(operation: &DrawOp) -> wit::DrawOp<'_> {
    match operation {
        DrawOp::Rectangle { from, to, corner_radius, fill, stroke } => wit::DrawOp::Rectangle(wit::Rectangle {
            from: to_pixel(*from),
            to: to_pixel(*to),
            corner_radius: *corner_radius,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Path { points, closed, fill, stroke } => wit::DrawOp::Path(wit::Path {
            points: points.iter().copied().map(to_pixel).collect(),
            closed: *closed,
            fill: fill.map(to_ink),
            stroke: stroke.map(to_stroke),
        }),
        DrawOp::Ellipse { center, radius_x, radius_y, start_angle, end_angle, fill, stroke } => {
            wit::DrawOp::Ellipse(wit::Ellipse {
                center: to_pixel(*center),
                radius_x: *radius_x,
                radius_y: *radius_y,
                start_angle: *start_angle,
                end_angle: *end_angle,
                fill: fill.map(to_ink),
                stroke: stroke.map(to_stroke),
            })
        }
        DrawOp::Text { content, at, height, ink, background } => wit::DrawOp::Text(wit::Text {
            content: content.clone(),
            at: to_pixel(*at),
            height: *height,
            ink: to_ink(*ink),
            background: background.map(|(ink, padding)| wit::TextBackground { ink: to_ink(ink), padding }),
        }),
        DrawOp::Mask { counts, size, ink } => {
            wit::DrawOp::Mask(wit::Mask { counts: counts.clone(), size: to_size(*size), ink: to_ink(*ink) })
        }
        DrawOp::Image { source, at, opacity } => {
            wit::DrawOp::Image(wit::Pasted { source: source.host(), at: to_pixel(*at), opacity: *opacity })
        }
        DrawOp::Outside { areas, ink } => wit::DrawOp::Outside(wit::Outside {
            areas: areas.iter().copied().map(to_rect).collect(),
            ink: to_ink(*ink),
        }),
    }
}
