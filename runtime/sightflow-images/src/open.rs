//! Decoders that have read a file's header, within limits.

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{ImageDecoder, ImageReader, Limits};

use crate::source_format::SourceFormat;
use crate::work::Work;
use crate::{ImageError, MAX_PIXELS, MAX_SIDE, tiff};

/// A decoder that has read the header.
pub(crate) fn open(format: SourceFormat, source: Source<'_>) -> Result<impl ImageDecoder + '_, ImageError> {
    let bytes = *source.bytes.get_ref();
    let mut reader = ImageReader::with_format(source, format.codec());
    // A PNG's decoder unpacks the colour profile when it reads the header, up to this, although nobody asks for it.
    let most = if format == SourceFormat::Png { MAX_PNG_HEADER } else { MAX_BYTES };
    reader.limits(limits(most));
    reader.into_decoder().map_err(|error| match tiff::refusal(bytes).filter(|_| format == SourceFormat::Tiff) {
        Some(reason) => ImageError::Undecodable(reason),
        None => undecodable(format, &error),
    })
}

/// Runs a decoder; one that panics on a malformed file gives an error like any other.
pub(crate) fn guarded<T>(
    format: SourceFormat,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ImageError::Undecodable(format!("{format}: the file is malformed"))))
}

/// Bytes for a PNG's chunks and rows: profiles take some kilobytes, the longest row 1 MiB.
const MAX_PNG_HEADER: u64 = 4 << 20;

/// The widest pixel is 16 bytes: RGBA as f32.
pub(crate) const MAX_BYTES: u64 = MAX_PIXELS * 16;

pub(crate) fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(bytes);
    limits
}

pub(crate) fn undecodable(format: SourceFormat, error: &image::ImageError) -> ImageError {
    match error {
        image::ImageError::Limits(limit) => ImageError::TooLarge { pixels: 0, reason: format!("{format}: {limit}") },
        other => ImageError::Undecodable(format!("{format}: {other}")),
    }
}

/// The file, given out in small parts; between them somebody looks at the clock.
pub(crate) struct Source<'a> {
    pub(crate) bytes: Cursor<&'a [u8]>,
    pub(crate) work: Option<&'a Work>,
}

/// Even a file of zeros becomes no more than a few megabytes of pixels from one part.
const PART: usize = 4 << 10;

impl Source<'_> {
    fn look(&self) -> std::io::Result<()> {
        self.work.map_or(Ok(()), Work::check_time).map_err(std::io::Error::other)
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.look()?;
        self.bytes.read(buffer)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.look()?;
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(PART)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.bytes.seek(to)
    }
}
