//! What has a name in the interface. An unknown name is told to the guest as `unsupported`.

use sightflow_images::{PixelFormat, ResizeFilter};

use super::bindings::sightflow::block::images::ImageError;

/// The value with this name.
pub(super) fn named<T: Copy>(
    what: &str,
    known: &[T],
    of: impl Fn(T) -> &'static str,
    name: &str,
) -> Result<T, ImageError> {
    known.iter().copied().find(|known| of(*known) == name).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|known| of(*known)).collect();
        let name: String = name.chars().take(40).collect();
        ImageError::Unsupported(format!("`{name}` is no {what}; there are {}", names.join(", ")))
    })
}

pub(super) fn pixel_format(name: &str) -> Result<PixelFormat, ImageError> {
    named("pixel format", &PixelFormat::ALL, PixelFormat::name, name)
}

pub(super) fn resize_filter(name: &str) -> Result<ResizeFilter, ImageError> {
    named("resize filter", &ResizeFilter::ALL, ResizeFilter::name, name)
}
