//! From pixels to files.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::{Image, ImageError, PixelFormat, SourceFormat};

/// How an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodeFormat {
    /// Lossless; compressed fast rather than small.
    Png,
    /// Lossy; alpha is flattened on white.
    Jpeg {
        /// 1 (small) ..= 100 (faithful).
        quality: u8,
    },
    /// Lossless WebP.
    Webp,
}

impl EncodeFormat {
    /// The format that a reader will find.
    pub const fn source_format(self) -> SourceFormat {
        match self {
            Self::Png => SourceFormat::Png,
            Self::Jpeg { .. } => SourceFormat::Jpeg,
            Self::Webp => SourceFormat::Webp,
        }
    }

    /// `image/png`, `image/jpeg` or `image/webp`.
    pub const fn media_type(self) -> &'static str {
        self.source_format().media_type()
    }
}

/// Writes an image as a file.
///
/// # Errors
/// [`ImageError::Invalid`] for a JPEG quality outside of 1..=100 or a size that the format cannot hold, and those of
/// [`Image::view`].
pub fn encode(image: &Image, format: EncodeFormat) -> Result<Bytes, ImageError> {
    let image = match (format, image.format()) {
        (EncodeFormat::Jpeg { .. }, PixelFormat::Rgba8) => image.convert(PixelFormat::Rgb8)?,
        // The encoder knows no grey.
        (EncodeFormat::Webp, PixelFormat::Gray8) => image.convert(PixelFormat::Rgb8)?,
        _ => image.clone(),
    };
    let pixels = image.pixels()?;
    let color = match pixels.format() {
        PixelFormat::Gray8 => ExtendedColorType::L8,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
        PixelFormat::Rgba8 => ExtendedColorType::Rgba8,
    };
    let (data, width, height) = (pixels.data(), pixels.width(), pixels.height());
    let mut out = Cursor::new(Vec::new());
    let written = match format {
        EncodeFormat::Png => PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Up)
            .write_image(data, width, height, color),
        EncodeFormat::Jpeg { quality } if !(1..=100).contains(&quality) => {
            return Err(ImageError::Invalid(format!("JPEG quality is {quality}; it must be 1..100")));
        }
        EncodeFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut out, quality).write_image(data, width, height, color)
        }
        EncodeFormat::Webp => WebPEncoder::new_lossless(&mut out).write_image(data, width, height, color),
    };
    written.map_err(|error| ImageError::Invalid(format!("{}: {error}", format.source_format())))?;
    Ok(out.into_inner().into())
}
