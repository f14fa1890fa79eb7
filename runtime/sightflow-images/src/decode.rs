//! From encoded bytes to upright pixels.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::convert::flatten_on_white;
use crate::{ImageError, MAX_PIXELS, MAX_SIDE, PixelFormat, Pixels, Probe, SourceFormat};

/// How encoded bytes become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct DecodeOptions {
    /// Leave the picture as it is stored, whatever its EXIF orientation says.
    pub(crate) ignore_orientation: bool,
    /// Deliver RGBA where the file has an alpha channel; otherwise it is flattened on white.
    pub(crate) keep_alpha: bool,
}

/// Decodes the first frame to RGB (or RGBA, if asked for and present), upright.
///
/// # Errors
/// [`ImageError::Undecodable`] with the decoder's reason, and [`ImageError::TooLarge`].
pub(crate) fn decode(bytes: &[u8], probe: &Probe, options: DecodeOptions) -> Result<Pixels, ImageError> {
    guarded(probe.format, || {
        if probe.format == SourceFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(ImageError::Undecodable("jpeg: the file is cut off (no end marker)".to_owned()));
        }
        let mut decoder = open(probe.format, bytes)?;
        let (width, height) = decoder.dimensions();
        crate::check_size(width, height)?;
        decoder.set_limits(limits()).map_err(|error| undecodable(probe.format, &error))?;
        let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(probe.format, &error))?;
        let transform = probe.transform();
        if !options.ignore_orientation && transform != Orientation::NoTransforms {
            decoded.apply_orientation(transform);
        }
        let (width, height) = (decoded.width(), decoded.height());
        let (format, data) = if decoded.color().has_alpha() {
            let rgba = decoded.into_rgba8().into_raw();
            if options.keep_alpha { (PixelFormat::Rgba8, rgba) } else { (PixelFormat::Rgb8, flatten_on_white(&rgba)) }
        } else {
            (PixelFormat::Rgb8, decoded.into_rgb8().into_raw())
        };
        Pixels::new(width, height, format, data)
    })
}

/// A decoder that has read the header.
pub(crate) fn open(format: SourceFormat, bytes: &[u8]) -> Result<impl ImageDecoder + '_, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.codec());
    reader.limits(limits());
    reader.into_decoder().map_err(|error| undecodable(format, &error))
}

/// Runs a decoder; one that panics on a malformed file gives an error like any other.
pub(crate) fn guarded<T>(
    format: SourceFormat,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ImageError::Undecodable(format!("{format}: the file is malformed"))))
}

/// The widest pixel is 16 bytes (RGBA as f32); twice that leaves a decoder room for its own buffers.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 16);
    limits
}

/// Decoders fill what is missing at the end of a JPEG with grey; a cut-off upload is an error instead.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) => end > scan,
        _ => false,
    }
}

fn undecodable(format: SourceFormat, error: &image::ImageError) -> ImageError {
    match error {
        image::ImageError::Limits(limit) => ImageError::TooLarge { pixels: 0, reason: format!("{format}: {limit}") },
        other => ImageError::Undecodable(format!("{format}: {other}")),
    }
}
