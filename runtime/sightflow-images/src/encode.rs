//! From pixels to files.

use std::io::Write;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::work::{Held, Work};
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

/// Steps a pixel.
const STEPS: u64 = 8;

/// As [`encode_in`], with a [`Work`] of its own.
///
/// # Errors
/// Those of [`encode_in`].
pub fn encode(image: &Image, format: EncodeFormat) -> Result<Bytes, ImageError> {
    encode_in(&Work::default(), image, format)
}

/// As [`encode_file_in`], to be shared.
///
/// # Errors
/// Those of [`encode_file_in`].
pub fn encode_in(work: &Work, image: &Image, format: EncodeFormat) -> Result<Bytes, ImageError> {
    Ok(Bytes::from_owner(encode_file_in(work, image, format)?))
}

/// Writes an image as a file. Its bytes are taken from the budget of `work` while they are made, and as long as they live.
///
/// # Errors
/// [`ImageError::Invalid`] for a JPEG quality outside of 1..=100 or a size that the file cannot hold,
/// [`ImageError::Unsupported`] for pixels that it cannot hold, those of [`Image::view`] and those of `work`.
pub fn encode_file_in(work: &Work, image: &Image, format: EncodeFormat) -> Result<EncodedFile, ImageError> {
    match (format, image.format()) {
        (_, PixelFormat::Float32) | (EncodeFormat::Jpeg { .. } | EncodeFormat::Webp, PixelFormat::Gray16) => {
            return Err(ImageError::Unsupported(format!(
                "{} cannot hold {}; convert the image first",
                format.source_format(),
                image.format().name()
            )));
        }
        _ => {}
    }
    let image = match (format, image.format()) {
        (EncodeFormat::Jpeg { .. }, PixelFormat::Rgba8) => image.convert_in(work, PixelFormat::Rgb8)?,
        // The encoder knows no grey.
        (EncodeFormat::Webp, PixelFormat::Gray8) => image.convert_in(work, PixelFormat::Rgb8)?,
        _ => image.clone(),
    };
    let pixels = image.pixels_in(work)?;
    let color = match pixels.format() {
        PixelFormat::Gray8 => ExtendedColorType::L8,
        PixelFormat::Gray16 => ExtendedColorType::L16,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
        PixelFormat::Rgba8 => ExtendedColorType::Rgba8,
        PixelFormat::Float32 => return Err(ImageError::Unsupported("no file format holds float32".to_owned())),
    };
    let (data, width, height) = (pixels.data(), pixels.width(), pixels.height());
    // PNG and WebP are packed in memory of the encoder's own first.
    let own = if matches!(format, EncodeFormat::Jpeg { .. }) { 0 } else { 2 * data.len() as u64 };
    let _own = work.take(own)?;
    work.spend(STEPS * u64::from(width) * u64::from(height))?;
    let mut out = Growing { work, bytes: Vec::new(), held: None, refused: None };
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
    if let Some(refused) = out.refused {
        return Err(refused);
    }
    written.map_err(|error| ImageError::Invalid(format!("{}: {error}", format.source_format())))?;
    let Growing { mut bytes, mut held, .. } = out;
    {
        // Where it cannot shrink in its place, it is copied.
        let _copy = work.take(bytes.len() as u64)?;
        bytes.shrink_to_fit();
    }
    if let Some(held) = &mut held {
        held.shrink_to(bytes.len() as u64);
    }
    Ok(EncodedFile { bytes, held })
}

/// A file that grows, each part taken from the budget before it is allocated.
struct Growing<'a> {
    work: &'a Work,
    bytes: Vec<u8>,
    held: Option<Held>,
    refused: Option<ImageError>,
}

/// The first part of a file; it doubles from there.
const FIRST: usize = 64 << 10;

impl Write for Growing<'_> {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        if let Err(refused) = self.work.spend(part.len() as u64) {
            self.refused = Some(refused);
            return Err(std::io::Error::other("no time for the file"));
        }
        let needed = self.bytes.len() + part.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.max(2 * self.bytes.capacity()).max(FIRST);
            // The old part lives until it is copied.
            match self.work.take(capacity as u64) {
                Ok(held) => {
                    self.bytes.reserve_exact(capacity - self.bytes.len());
                    self.held = Some(held);
                }
                Err(refused) => {
                    self.refused = Some(refused);
                    return Err(std::io::Error::other("no memory for the file"));
                }
            }
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes of a file, with what they hold of the budget.
#[derive(Debug)]
pub struct EncodedFile {
    bytes: Vec<u8>,
    held: Option<Held>,
}

impl EncodedFile {
    /// The bytes; their place in the budget goes to whoever drops it.
    pub fn into_parts(self) -> (Vec<u8>, impl Send + 'static) {
        (self.bytes, self.held)
    }
}

impl AsRef<[u8]> for EncodedFile {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
