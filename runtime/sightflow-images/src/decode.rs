//! From encoded bytes to upright pixels.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use image::{DynamicImage, ImageDecoder};
use sightflow_types::Rect;

use crate::convert::{append_row, premultiplied_on_white, straight};
use crate::open::{MAX_BYTES, Source, guarded, limits, open, undecodable};
use crate::rotate::rotate_held;
use crate::work::Work;
use crate::{ImageError, PixelFormat, Pixels, Probe, SourceFormat, View, jpeg, tiff};

/// How encoded bytes become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct DecodeOptions {
    /// Leave the picture as it is stored, whatever its EXIF orientation says.
    pub(crate) ignore_orientation: bool,
    /// Deliver RGBA where the file has an alpha channel; otherwise it is flattened on white.
    pub(crate) keep_alpha: bool,
}

/// What unpacking one pixel costs, in steps of [`Work`].
const STEPS_PER_PIXEL: u64 = 16;

/// Nanoseconds for a pixel of a JPEG, about, in a release build; more for a WebP and for a JPEG of several scans.
const JPEG_PIXEL: u64 = 12;
const SLOW_PIXEL: u64 = 40;

/// Decodes the first frame to RGB (or RGBA, if asked for and present), upright. Everything that this allocates is taken
/// from the budget of `work` first. A JPEG or WebP is unpacked in one piece, and not begun where the
/// time would not suffice; the other formats look at the clock often.
///
/// # Errors
/// [`ImageError::Undecodable`] with the decoder's reason, [`ImageError::TooLarge`], and those of `work`.
pub(crate) fn decode(work: &Work, bytes: &[u8], probe: &Probe, options: DecodeOptions) -> Result<Pixels, ImageError> {
    let format = probe.format;
    work.check_time()?;
    let decoded = guarded(format, || {
        let own = decoder_bytes(format, bytes)?;
        let decoder = open(format, Source { bytes: Cursor::new(bytes), work: Some(work) })?;
        let (width, height) = decoder.dimensions();
        crate::check_size(width, height)?;
        let pixels = u64::from(width) * u64::from(height);
        work.spend(STEPS_PER_PIXEL * pixels)?;
        // In one piece.
        if matches!(format, SourceFormat::Jpeg | SourceFormat::Webp) {
            let each = if own > 1 { SLOW_PIXEL } else { JPEG_PIXEL };
            work.check_time_for(Duration::from_nanos(each * pixels))?;
        }
        let (quarter_turns, mirror) = if options.ignore_orientation { (0, false) } else { probe.turns() };
        let turns = quarter_turns > 0 || mirror;
        // What is unpacked, what it becomes, and that turned.
        let result = pixels * if options.keep_alpha { 4 } else { 3 };
        let alpha = if decoder.color_type().has_alpha() { 4 * pixels } else { 0 };
        let copies = if turns { 2 } else { 1 };
        let held = work.take(decoder.total_bytes() + own * pixels + bytes.len() as u64 + alpha + copies * result)?;
        let decoded = read(format, decoder)?;
        let premultiplied = format == SourceFormat::Tiff && tiff::is_premultiplied(bytes);
        let (format, data) = convert(work, decoded, options.keep_alpha, premultiplied)?;
        if !turns {
            return Ok(Pixels::from_held(width, height, format, data, held));
        }
        let lying = Pixels::new(width, height, format, data)?;
        let view = View::new(Arc::new(lying), Rect { x: 0, y: 0, width, height });
        rotate_held(work, &view, (quarter_turns, mirror), held)
    });
    // A reader that was stopped is a broken file for a decoder.
    if decoded.is_err() {
        work.check_time()?;
    }
    decoded
}

fn read(format: SourceFormat, mut decoder: impl ImageDecoder) -> Result<DynamicImage, ImageError> {
    decoder.set_limits(limits(MAX_BYTES)).map_err(|error| undecodable(format, &error))?;
    DynamicImage::from_decoder(decoder).map_err(|error| undecodable(format, &error))
}

/// The pixels in the formats that images have here.
fn convert(
    work: &Work,
    decoded: DynamicImage,
    keep_alpha: bool,
    premultiplied: bool,
) -> Result<(PixelFormat, Vec<u8>), ImageError> {
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let rows = |from: PixelFormat, to: PixelFormat, data: &[u8]| {
        let mut out = Vec::with_capacity(width * height * to.channels());
        for row in data.chunks_exact(width * from.channels()) {
            work.spend(2 * width as u64)?;
            append_row(row, from, to, &mut out);
        }
        Ok((to, out))
    };
    if !decoded.color().has_alpha() {
        return match decoded {
            DynamicImage::ImageLuma8(gray) => rows(PixelFormat::Gray8, PixelFormat::Rgb8, gray.as_raw()),
            other => Ok((PixelFormat::Rgb8, other.into_rgb8().into_raw())),
        };
    }
    let mut rgba = decoded.into_rgba8().into_raw();
    if !keep_alpha && premultiplied {
        work.spend(2 * (width * height) as u64)?;
        let mut flat = Vec::with_capacity(3 * width * height);
        flat.extend(rgba.as_chunks::<4>().0.iter().flat_map(|&pixel| premultiplied_on_white(pixel)));
        return Ok((PixelFormat::Rgb8, flat));
    }
    if !keep_alpha {
        return rows(PixelFormat::Rgba8, PixelFormat::Rgb8, &rgba);
    }
    if premultiplied {
        work.spend(4 * (width * height) as u64)?;
        rgba.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = straight(*pixel));
    }
    Ok((PixelFormat::Rgba8, rgba))
}

/// Bytes a pixel that a decoder needs for itself, beside what it delivers; at most.
fn decoder_bytes(format: SourceFormat, bytes: &[u8]) -> Result<u64, ImageError> {
    Ok(match format {
        SourceFormat::Jpeg => match jpeg::layers(bytes) {
            None => return Err(ImageError::Undecodable("jpeg: the file is cut off (no end marker)".to_owned())),
            Some(jpeg::Layers::One) => 1,
            // Coefficients of 16 bits for three or four components.
            Some(jpeg::Layers::Many) => 8,
        },
        SourceFormat::Webp => 8,
        SourceFormat::Gif => 5,
        SourceFormat::Tiff => 4,
        SourceFormat::Png | SourceFormat::Bmp => 1,
    })
}
