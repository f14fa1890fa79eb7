//! What a header says, without decoding a pixel.

use std::io::Cursor;

use image::ImageDecoder;

use crate::open::{self, Source};
use crate::source_format::SourceFormat;
use crate::{ImageError, check_size, tiff};

/// What the header of an encoded image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Encoding of the bytes.
    pub format: SourceFormat,
    /// Columns of the upright image, that is after `orientation` was applied.
    pub width: u32,
    /// Rows of the upright image.
    pub height: u32,
    /// EXIF orientation 1..=8; 1 where the file names none.
    pub orientation: u8,
    /// Whether pixels may be transparent.
    pub has_alpha: bool,
    /// Whether the file has more than one frame; only the first is decoded.
    pub animated: bool,
}

impl Probe {
    /// `image/png`, ….
    pub const fn media_type(&self) -> &'static str {
        self.format.media_type()
    }

    /// Width and height as the file stores them, before the orientation.
    pub const fn stored_size(&self) -> (u32, u32) {
        if self.orientation >= 5 { (self.height, self.width) } else { (self.width, self.height) }
    }

    /// What makes the stored picture upright: quarter turns clockwise, then whether it is mirrored left to right.
    pub(crate) const fn turns(&self) -> (u8, bool) {
        match self.orientation {
            2 => (0, true),
            3 => (2, false),
            4 => (2, true),
            5 => (1, true),
            6 => (1, false),
            7 => (3, true),
            8 => (3, false),
            _ => (0, false),
        }
    }
}

/// Reads the header of an encoded image; decodes no pixels.
///
/// # Errors
/// [`ImageError::Undecodable`] for unknown formats and broken or truncated headers, [`ImageError::TooLarge`] beyond
/// [`crate::MAX_PIXELS`] or [`crate::MAX_SIDE`], [`ImageError::Invalid`] for an image without pixels.
pub fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let Some(format) = SourceFormat::guess(bytes) else {
        return Err(ImageError::Undecodable(unknown(bytes)));
    };
    // The size stands at a fixed place in these headers: refuse before a decoder sees the file.
    if let Some((width, height)) = announced_size(format, bytes) {
        check_size(width, height)?;
    }
    open::guarded(format, || {
        let mut decoder = open::open(format, Source { bytes: Cursor::new(bytes), work: None })?;
        let (width, height) = decoder.dimensions();
        check_size(width, height)?;
        // A broken EXIF segment is no reason to refuse a picture that shows.
        let orientation = match format {
            SourceFormat::Tiff => tiff::orientation(bytes),
            _ => decoder.exif_metadata().ok().flatten().and_then(|exif| tiff::orientation(&exif)),
        };
        let orientation = orientation.unwrap_or(1);
        let has_alpha = decoder.color_type().has_alpha();
        let (width, height) = if orientation >= 5 { (height, width) } else { (width, height) };
        Ok(Probe { format, width, height, orientation, has_alpha, animated: is_animated(format, bytes) })
    })
}

/// The mark that some programs put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Names what the bytes look like, so that the reason helps.
fn unknown(bytes: &[u8]) -> String {
    let formats = "PNG, JPEG, WebP, GIF, BMP or TIFF";
    let brand = bytes.get(4..12).filter(|b| b.starts_with(b"ftyp")).map(|b| &b[4..]);
    let text = as_text(bytes).map(|text| text.trim_start().to_ascii_lowercase());
    match (brand, text.as_deref()) {
        _ if bytes.is_empty() => "the image is empty (0 bytes)".to_owned(),
        (Some(b"heic" | b"heix" | b"mif1" | b"hevc"), _) => {
            format!("HEIC is not supported; convert it to {formats}")
        }
        (Some(b"avif" | b"avis"), _) => format!("AVIF is not supported; convert it to {formats}"),
        _ if bytes.starts_with(b"%PDF") => {
            format!("a PDF document is no image; expected {formats}")
        }
        _ if bytes.strip_prefix(BYTE_ORDER_MARK).is_some_and(|rest| SourceFormat::guess(rest).is_some()) => {
            "a byte-order mark (EF BB BF) stands before the image: it was written as text; send its bytes as they are"
                .to_owned()
        }
        (_, Some(text)) if text.starts_with("version https://git-lfs") => {
            "a Git LFS pointer is no image; get the file itself with `git lfs pull`".to_owned()
        }
        (_, Some(text)) if text.contains("<svg") => format!("SVG is not supported; convert it to {formats}"),
        (_, Some(text)) if text.contains("<html") || text.contains("<!doctype html") => {
            format!("an HTML page is no image; expected {formats}")
        }
        (_, Some(text)) if text.starts_with("data:") => {
            "a data URI is no image; send the bytes that it holds, or the URI where one is allowed".to_owned()
        }
        (_, Some(text)) if text.starts_with(['{', '[']) => format!("a JSON text is no image; expected {formats}"),
        (_, Some(_)) => format!("a text is no image; expected {formats}"),
        _ => format!("unknown format; expected {formats}"),
    }
}

/// The beginning of the bytes, if it is text.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let head = bytes.get(..512).unwrap_or(bytes);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut may go through a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let readable = |c: char| !c.is_control() || c.is_ascii_whitespace();
    (!text.is_empty() && text.chars().all(readable)).then_some(text)
}

fn announced_size(format: SourceFormat, bytes: &[u8]) -> Option<(u32, u32)> {
    let take = |at: usize| bytes.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
    match format {
        SourceFormat::Png if bytes.get(12..16)? == b"IHDR" => {
            Some((u32::from_be_bytes(take(16)?), u32::from_be_bytes(take(20)?)))
        }
        SourceFormat::Gif => {
            let [w0, w1, h0, h1] = take(6)?;
            Some((u32::from(u16::from_le_bytes([w0, w1])), u32::from(u16::from_le_bytes([h0, h1]))))
        }
        SourceFormat::Bmp if u32::from_le_bytes(take(14)?) >= 40 => {
            let (width, height) = (i32::from_le_bytes(take(18)?), i32::from_le_bytes(take(22)?));
            Some((width.unsigned_abs(), height.unsigned_abs()))
        }
        _ => None,
    }
}

fn is_animated(format: SourceFormat, bytes: &[u8]) -> bool {
    match format {
        SourceFormat::Png => png_chunks(bytes).take_while(|kind| kind != b"IDAT").any(|kind| kind == b"acTL"),
        SourceFormat::Webp => {
            image::codecs::webp::WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|d| d.has_animation())
        }
        SourceFormat::Gif => gif_frames(bytes, 2) > 1,
        _ => false,
    }
}

/// The kinds of a PNG's chunks, in order; what they hold is not read.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const SIGNATURE: usize = 8;
    let mut at = SIGNATURE;
    std::iter::from_fn(move || {
        let head = bytes.get(at..at + 8)?;
        let (length, kind) = head.split_at(4);
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        // The kind and the length before, a checksum behind.
        at += length + 12;
        Some(kind)
    })
}

/// Counts the frames of a GIF up to `most` by walking its blocks; unpacks nothing.
fn gif_frames(bytes: &[u8], most: usize) -> usize {
    let table = |flags: u8| {
        if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 }
    };
    let Some(flags) = bytes.get(10) else { return 0 };
    let (mut at, mut frames) = (13 + table(*flags), 0);
    while frames < most {
        at += match bytes.get(at) {
            Some(0x21) => 2,
            Some(0x2c) => {
                frames += 1;
                let Some(flags) = bytes.get(at + 9) else {
                    return frames;
                };
                10 + table(*flags) + 1
            }
            _ => return frames,
        };
        // Sub-blocks: a length, that many bytes, until a length of 0.
        loop {
            let Some(length) = bytes.get(at) else {
                return frames;
            };
            at += 1 + usize::from(*length);
            if *length == 0 {
                break;
            }
        }
    }
    frames
}
