//! The image handle: cheap to copy, decoded when somebody looks.

use std::sync::Arc;

use bytes::Bytes;
use sightflow_types::{Digest, ImageRef, Rect};

use crate::cache::{CacheKey, PixelCache};
use crate::decode::{DecodeOptions, decode};
use crate::work::Work;
use crate::{Area, ImageError, PixelFormat, Pixels, Probe, SourceFormat, View};

/// An immutable image: encoded bytes that are decoded on first use, or pixels; and the part of it that is looked at.
///
/// A clone copies a few words. A crop copies nothing and, where the image is stored, keeps its reference.
#[derive(Debug, Clone)]
pub struct Image {
    source: Arc<Source>,
    /// The part of the upright source that this image is.
    rect: Rect,
    /// Set where the pixels are stored as a blob; describes the whole source.
    reference: Option<Arc<ImageRef>>,
}

#[derive(Debug)]
enum Source {
    Encoded(Encoded),
    Decoded(Arc<Pixels>),
}

struct Encoded {
    bytes: Bytes,
    digest: Digest,
    probe: Probe,
    options: DecodeOptions,
    cache: Arc<PixelCache>,
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({} {:?} {:?})", self.digest, self.probe, self.options)
    }
}

/// How the bytes of an [`Image`] are read; the default is what almost everybody wants.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Leave the picture as it is stored, whatever its EXIF orientation says.
    pub ignore_orientation: bool,
    /// Keep transparency: the image is RGBA where the file has alpha. Otherwise it is flattened on white.
    pub keep_alpha: bool,
    /// Where decoded pixels are kept; none: [`PixelCache::global`].
    pub cache: Option<Arc<PixelCache>>,
}

impl Image {
    /// An upright RGB image from encoded bytes, whose SHA-256 is `digest` and whose header [`crate::probe`] has read.
    /// Nothing is decoded yet.
    pub fn from_encoded(bytes: Bytes, digest: Digest, probe: Probe) -> Self {
        Self::from_encoded_with(bytes, digest, probe, ReadOptions::default())
    }

    /// As [`Image::from_encoded`], read in another way.
    pub fn from_encoded_with(bytes: Bytes, digest: Digest, probe: Probe, options: ReadOptions) -> Self {
        let (width, height) =
            if options.ignore_orientation { probe.stored_size() } else { (probe.width, probe.height) };
        let decode = DecodeOptions {
            // Not part of the key where it changes nothing, so that the pixels are shared.
            ignore_orientation: options.ignore_orientation && probe.orientation != 1,
            keep_alpha: options.keep_alpha && probe.has_alpha,
        };
        let reference = ImageRef {
            digest,
            width,
            height,
            format: Some(probe.format.as_str().to_owned()),
            view: None,
            ignore_orientation: options.ignore_orientation,
            url: None,
        };
        let cache = options.cache.unwrap_or_else(|| Arc::clone(PixelCache::global()));
        Self {
            source: Arc::new(Source::Encoded(Encoded { bytes, digest, probe, options: decode, cache })),
            rect: Rect { x: 0, y: 0, width, height },
            reference: Some(Arc::new(reference)),
        }
    }

    /// The image that `reference` means, from the bytes of its blob: reads the header, applies its view.
    ///
    /// # Errors
    /// Those of [`crate::probe`], and [`ImageError::OutOfBounds`] if the view reaches outside of the image.
    pub fn from_reference(bytes: Bytes, reference: &ImageRef) -> Result<Self, ImageError> {
        let probe = crate::probe(&bytes)?;
        let options = ReadOptions { ignore_orientation: reference.ignore_orientation, ..ReadOptions::default() };
        let image = Self::from_encoded_with(bytes, reference.digest, probe, options);
        match reference.view {
            Some(view) => image.crop(view),
            None => Ok(image),
        }
    }

    /// An image of pixels that exist already.
    pub fn from_pixels(pixels: impl Into<Arc<Pixels>>) -> Self {
        let pixels = pixels.into();
        let rect = Rect { x: 0, y: 0, width: pixels.width(), height: pixels.height() };
        Self { source: Arc::new(Source::Decoded(pixels)), rect, reference: None }
    }

    /// Width and height in pixels, upright.
    pub const fn size(&self) -> (u32, u32) {
        (self.rect.width, self.rect.height)
    }

    /// Channels that [`Image::pixels`] has; known without decoding.
    pub fn format(&self) -> PixelFormat {
        match &*self.source {
            Source::Encoded(encoded) if encoded.options.keep_alpha => PixelFormat::Rgba8,
            Source::Encoded(_) => PixelFormat::Rgb8,
            Source::Decoded(pixels) => pixels.format(),
        }
    }

    /// The part of this image that `area` covers, as a view; copies nothing, and keeps all of the source alive.
    ///
    /// # Errors
    /// [`ImageError::OutOfBounds`] if it reaches outside, [`ImageError::Invalid`] if it is empty.
    pub fn crop(&self, area: impl Into<Area>) -> Result<Self, ImageError> {
        let part = area.into().within(self.size())?;
        let rect = Rect { x: self.rect.x + part.x, y: self.rect.y + part.y, ..part };
        Ok(Self { rect, ..self.clone() })
    }

    /// The decoded pixels that this image looks at, shared; copies nothing once they are decoded.
    ///
    /// # Errors
    /// [`ImageError::Undecodable`] with the decoder's reason.
    pub fn view(&self) -> Result<View, ImageError> {
        self.view_in(&Work::default())
    }

    /// As [`Image::view`], within the bounds of `work`, which pays for a decode.
    ///
    /// # Errors
    /// As [`Image::view`], and those of `work`.
    pub fn view_in(&self, work: &Work) -> Result<View, ImageError> {
        let pixels = match &*self.source {
            Source::Decoded(pixels) => Arc::clone(pixels),
            Source::Encoded(encoded) => encoded.pixels(work)?,
        };
        Ok(View::new(pixels, self.rect))
    }

    /// The pixels as packed rows. Copies only if this image is a crop.
    ///
    /// # Errors
    /// Those of [`Image::view`].
    pub fn pixels(&self) -> Result<Arc<Pixels>, ImageError> {
        self.pixels_in(&Work::default())
    }

    /// As [`Image::pixels`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::pixels`], and those of `work`.
    pub fn pixels_in(&self, work: &Work) -> Result<Arc<Pixels>, ImageError> {
        self.view_in(work)?.to_pixels_in(work)
    }

    /// This image without what it does not show: a part of less than a quarter of pixels that are not stored anywhere is
    /// copied, so that it does not keep the rest alive. Everything else is itself.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn detached_in(&self, work: &Work) -> Result<Self, ImageError> {
        let Source::Decoded(pixels) = &*self.source else { return Ok(self.clone()) };
        let own = self.rect.width as usize * self.rect.height as usize * pixels.format().bytes();
        if self.reference.is_some() || own >= pixels.data().len() / 4 {
            return Ok(self.clone());
        }
        Ok(Self::from_pixels(Pixels::copied_in(work, &self.view_in(work)?)?))
    }

    /// The pixels by value, if nobody else has them; then this image is of no use any more.
    pub(crate) fn take_pixels(&mut self) -> Option<Pixels> {
        if !self.is_whole() {
            return None;
        }
        match Arc::get_mut(&mut self.source)? {
            Source::Decoded(pixels) => Arc::get_mut(pixels).map(Pixels::take),
            Source::Encoded(_) => None,
        }
    }

    /// How this image is found again: its blob, and the view if it is a crop. None for pixels that are not stored.
    ///
    /// A reference does not say whether alpha is kept: who reads it again gets RGB.
    pub fn reference(&self) -> Option<ImageRef> {
        let whole = self.reference.as_ref()?;
        let (width, height) = self.size();
        let view = if (width, height) == (whole.width, whole.height) {
            whole.view
        } else {
            let (x, y) = whole.view.map_or((0, 0), |view| (view.x, view.y));
            Some(Rect { x: x + self.rect.x, y: y + self.rect.y, width, height })
        };
        Some(ImageRef { width, height, view, ..(**whole).clone() })
    }

    /// The same image, now that `reference` is where its pixels are stored. An image that has a reference keeps it.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if the reference means an image of another size.
    pub fn with_reference(&self, reference: ImageRef) -> Result<Self, ImageError> {
        if (reference.width, reference.height) != self.size() {
            return Err(ImageError::Invalid(format!(
                "a reference to {}×{} pixels does not fit an image of {}×{}",
                reference.width, reference.height, self.rect.width, self.rect.height
            )));
        }
        if self.reference.is_some() {
            return Ok(self.clone());
        }
        // A crop is stored alone: from here on its source is itself.
        let whole = if self.is_whole() { self.clone() } else { Self::from_pixels(self.pixels()?) };
        Ok(Self { reference: Some(Arc::new(reference)), ..whole })
    }

    fn is_whole(&self) -> bool {
        match &*self.source {
            Source::Decoded(pixels) => (pixels.width(), pixels.height()) == self.size(),
            Source::Encoded(encoded) => {
                let size = (encoded.probe.width, encoded.probe.height);
                self.size() == if encoded.options.ignore_orientation { encoded.probe.stored_size() } else { size }
            }
        }
    }

    /// What the header of the source said; none for an image of pixels.
    pub fn probe(&self) -> Option<Probe> {
        match &*self.source {
            Source::Encoded(encoded) => Some(encoded.probe),
            Source::Decoded(_) => None,
        }
    }

    /// Encoding of the source, if it has one.
    pub fn source_format(&self) -> Option<SourceFormat> {
        self.probe().map(|probe| probe.format)
    }

    /// The encoded bytes behind this image, if it is all of them and not a crop.
    pub fn encoded(&self) -> Option<&Bytes> {
        match &*self.source {
            Source::Encoded(encoded) if self.is_whole() => Some(&encoded.bytes),
            _ => None,
        }
    }

    /// Whether both handles look at the same part of the same source. Compares no pixels: `false` says nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        self.rect == other.rect && self.format() == other.format() && {
            let blob = |image: &Self| match &*image.source {
                Source::Encoded(encoded) => Some((encoded.digest, encoded.options)),
                Source::Decoded(_) => None,
            };
            Arc::ptr_eq(&self.source, &other.source) || (blob(self).is_some() && blob(self) == blob(other))
        }
    }
}

impl Encoded {
    fn pixels(&self, work: &Work) -> Result<Arc<Pixels>, ImageError> {
        let key = CacheKey { digest: self.digest, options: self.options };
        self.cache.get_or_decode(work, key, || decode(work, &self.bytes, &self.probe, self.options))
    }
}
