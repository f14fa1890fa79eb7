//! What has a name in the interface: formats and filters. An unknown name is told to the guest as `unsupported`.

use sightflow_images::{PixelFormat, ResizeFilter};

use super::bindings::sightflow::block::images::ImageError;

const PIXEL_FORMATS: [(&str, PixelFormat); 3] =
    [("gray8", PixelFormat::Gray8), ("rgb8", PixelFormat::Rgb8), ("rgba8", PixelFormat::Rgba8)];

const RESIZE_FILTERS: [(&str, ResizeFilter); 5] = [
    ("nearest", ResizeFilter::Nearest),
    ("bilinear", ResizeFilter::Bilinear),
    ("bicubic", ResizeFilter::Bicubic),
    ("lanczos3", ResizeFilter::Lanczos3),
    ("area", ResizeFilter::Area),
];

/// The value with this name.
fn named<T: Copy>(what: &str, known: &[(&str, T)], name: &str) -> Result<T, ImageError> {
    known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let name: String = name.chars().take(40).collect();
        ImageError::Unsupported(format!("`{name}` is no {what}; there are {}", names.join(", ")))
    })
}

pub(super) fn pixel_format(name: &str) -> Result<PixelFormat, ImageError> {
    named("pixel format", &PIXEL_FORMATS, name)
}

pub(super) fn of_pixel_format(format: PixelFormat) -> &'static str {
    PIXEL_FORMATS.iter().find(|(_, known)| *known == format).map_or("", |(name, _)| name)
}

pub(super) fn resize_filter(name: &str) -> Result<ResizeFilter, ImageError> {
    named("resize filter", &RESIZE_FILTERS, name)
}
