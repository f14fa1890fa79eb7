//! Small pictures of large ones.

use crate::work::Work;
use crate::{Area, Image, ImageError, ResizeFilter, check_size};

/// How a picture meets a frame of another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// All of it, within the frame; never enlarged.
    Contain,
    /// The frame is filled and what overhangs is cut off evenly; the result has exactly the size of the frame.
    Cover,
}

/// The image within (or filling) a frame of `width`×`height` pixels.
///
/// # Errors
/// Those of [`check_size`] for the frame and of [`Image::view`].
pub fn thumbnail(image: &Image, width: u32, height: u32, fit: Fit) -> Result<Image, ImageError> {
    thumbnail_in(&Work::default(), image, width, height, fit)
}

/// As [`thumbnail`], within the bounds of `work`.
///
/// # Errors
/// As [`thumbnail`], and those of `work`.
pub fn thumbnail_in(work: &Work, image: &Image, width: u32, height: u32, fit: Fit) -> Result<Image, ImageError> {
    check_size(width, height)?;
    let (w, h) = image.size();
    match fit {
        Fit::Contain => {
            let scale = (f64::from(width) / f64::from(w)).min(f64::from(height) / f64::from(h)).min(1.0);
            let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
            image.resize_in(work, side(w), side(h), ResizeFilter::Bilinear)
        }
        Fit::Cover => {
            // The largest part of the image that has the shape of the frame.
            let (wide, high) = (u64::from(w) * u64::from(height), u64::from(h) * u64::from(width));
            let (part_w, part_h) = if wide > high {
                (((high + u64::from(height) / 2) / u64::from(height)).clamp(1, u64::from(w)) as u32, h)
            } else {
                (w, ((wide + u64::from(width) / 2) / u64::from(width)).clamp(1, u64::from(h)) as u32)
            };
            let (x, y) = ((w - part_w) / 2, (h - part_h) / 2);
            let part = image.crop(Area { x: x as i32, y: y as i32, width: part_w, height: part_h })?;
            part.resize_in(work, width, height, ResizeFilter::Bilinear)
        }
    }
}
