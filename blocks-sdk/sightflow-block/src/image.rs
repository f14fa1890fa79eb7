//! Images: handles of pixels that stay in the host.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use sightflow_types::{IMAGE_KEY, Rect};

use crate::{BlockError, host};

/// An immutable image. A clone is another name of the same image and copies no pixels.
///
/// In JSON an image is `{"$image": n}`. An image may stand anywhere inside the inputs and outputs of a block, and what
/// passes through a block as a [`crate::Value`] keeps its meaning.
#[derive(Clone)]
pub struct Image(Rc<Inner>);

struct Inner {
    host: host::Image,
    /// Place in the table of this call, once it has one.
    slot: Cell<Option<usize>>,
}

/// Channels, their order and how each is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One channel.
    Gray8,
    /// Red, green, blue.
    Rgb8,
    /// Red, green, blue, alpha (straight).
    Rgba8,
    /// One channel of 16 bits, little-endian.
    Gray16,
    /// One channel, an IEEE 754 number of 32 bits, little-endian; black is 0, white is 1, any number may occur.
    Float32,
    /// One that this version of the crate does not know.
    Unknown,
}

impl PixelFormat {
    /// Every format of this version.
    pub const ALL: [Self; 5] = [Self::Gray8, Self::Rgb8, Self::Rgba8, Self::Gray16, Self::Float32];

    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gray8 => "gray8",
            Self::Rgb8 => "rgb8",
            Self::Rgba8 => "rgba8",
            Self::Gray16 => "gray16",
            Self::Float32 => "float32",
            Self::Unknown => "unknown",
        }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|format| format.as_str() == name).unwrap_or(Self::Unknown)
    }

    /// Bytes a pixel; 0 where that is not known.
    pub const fn pixel_bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16 => 2,
            Self::Rgb8 => 3,
            Self::Rgba8 | Self::Float32 => 4,
            Self::Unknown => 0,
        }
    }
}

/// How pixels are mixed when an image changes its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResizeFilter {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
    /// Windowed sinc of three lobes.
    Lanczos3,
    /// Mean of what is covered.
    Area,
}

impl ResizeFilter {
    /// Its name in the block interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos3 => "lanczos3",
            Self::Area => "area",
        }
    }
}

/// How far an image is turned, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "so many quarters of a turn")]
pub enum QuarterTurns {
    Zero,
    One,
    Two,
    Three,
}

/// Why the host refused an image operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A rectangle or point lies outside the image.
    #[error("outside the image: {0}")]
    OutOfBounds(String),
    /// The result would be larger than an image may be.
    #[error("{0}")]
    TooLarge(String),
    /// The call used up its allowance of handles or pixels.
    #[error("the call's allowance is used up: {0}")]
    Budget(String),
    /// The source cannot be decoded.
    #[error("the image cannot be decoded: {0}")]
    Undecodable(String),
    /// An argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The host does not know a format, filter or method, or has it not for this image.
    #[error("{0}")]
    Unsupported(String),
    /// A reason of a later host.
    #[error("{0}")]
    Other(String),
}

impl From<ImageError> for BlockError {
    fn from(error: ImageError) -> Self {
        match &error {
            ImageError::Undecodable(_) => Self::bad_input("undecodable_image", error.to_string()),
            ImageError::TooLarge(_) => Self::bad_input("image_too_large", error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}

impl Image {
    pub(crate) fn from_host(host: host::Image) -> Self {
        Self(Rc::new(Inner { host, slot: Cell::new(None) }))
    }

    pub(crate) fn host(&self) -> &host::Image {
        &self.0.host
    }

    /// An image from packed rows.
    ///
    /// # Errors
    /// Invalid if `pixels` has another length than width · height · bytes a pixel; too large; out of allowance.
    pub fn from_pixels((width, height): (u32, u32), format: PixelFormat, pixels: &[u8]) -> Result<Self, ImageError> {
        host::from_pixels((width, height), format, pixels).map(Self::from_host)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u32, u32) {
        host::size(&self.0.host)
    }

    /// The format of its pixels.
    pub fn format(&self) -> PixelFormat {
        host::format(&self.0.host)
    }

    /// A view of a part; copies nothing.
    ///
    /// # Errors
    /// Out of bounds if the area reaches outside.
    pub fn crop(&self, area: Rect) -> Result<Self, ImageError> {
        host::crop(&self.0.host, area).map(Self::from_host)
    }

    /// The image in another size.
    ///
    /// # Errors
    /// Too large, or a side of 0.
    pub fn resize(&self, size: (u32, u32), filter: ResizeFilter) -> Result<Self, ImageError> {
        host::resize(&self.0.host, size, filter).map(Self::from_host)
    }

    /// Turned clockwise, then, if asked, mirrored left to right.
    ///
    /// # Errors
    /// Those of decoding and of the allowance.
    pub fn rotate(&self, clockwise: QuarterTurns, mirror: bool) -> Result<Self, ImageError> {
        host::rotate(&self.0.host, clockwise, mirror).map(Self::from_host)
    }

    /// The image in another format.
    ///
    /// # Errors
    /// Those of decoding and of the allowance.
    pub fn convert(&self, to: PixelFormat) -> Result<Self, ImageError> {
        host::convert(&self.0.host, to).map(Self::from_host)
    }

    /// Gaussian blur, border reflect-101; `sigma` in pixels.
    ///
    /// # Errors
    /// Invalid if `sigma` is negative or not finite.
    pub fn blur(&self, sigma: f32) -> Result<Self, ImageError> {
        host::blur(&self.0.host, sigma).map(Self::from_host)
    }

    /// For each channel how often each value occurs.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn histogram(&self) -> Result<Vec<[u32; 256]>, ImageError> {
        host::histogram(&self.0.host)
    }

    /// Packed rows of a part. The only call that brings pixels into the block.
    ///
    /// # Errors
    /// Out of bounds if the area reaches outside.
    pub fn read(&self, area: Rect, format: PixelFormat) -> Result<Vec<u8>, ImageError> {
        host::read(&self.0.host, area, format)
    }

    /// Whether both are names of one image.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size();
        write!(f, "Image({width}×{height})")
    }
}

thread_local! {
    /// The images of the call in progress; `{"$image": n}` is the n-th. Inputs come first and stay, so that a value which
    /// only passes through needs no rewriting.
    static TABLE: RefCell<Vec<Image>> = const { RefCell::new(Vec::new()) };
}

/// Starts a call with its input images.
pub(crate) fn begin_call(images: impl Iterator<Item = host::Image>) {
    TABLE.with_borrow_mut(|table| {
        table.clear();
        for (index, host) in images.enumerate() {
            table.push(Image(Rc::new(Inner { host, slot: Cell::new(Some(index)) })));
        }
    });
}

/// Ends a call: the images that its result refers to.
pub(crate) fn end_call() -> Vec<Image> {
    TABLE.take()
}

impl Image {
    /// The host's image. If the block kept a clone beyond its call, another handle of it.
    #[cfg(target_family = "wasm")]
    pub(crate) fn into_host(self) -> Result<host::Image, ImageError> {
        Rc::try_unwrap(self.0).map(|inner| inner.host).or_else(|kept| {
            let (width, height) = host::size(&kept.host);
            host::crop(&kept.host, Rect { x: 0, y: 0, width, height })
        })
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let slot = self.0.slot.get().unwrap_or_else(|| {
            let slot = TABLE.with_borrow_mut(|table| {
                table.push(self.clone());
                table.len() - 1
            });
            self.0.slot.set(Some(slot));
            slot
        });
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(IMAGE_KEY, &slot)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ImageVisitor)
    }
}

struct ImageVisitor;

impl<'de> Visitor<'de> for ImageVisitor {
    type Value = Image;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Image, A::Error> {
        let mut slot = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == IMAGE_KEY {
                slot = Some(map.next_value::<usize>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        slot.and_then(|slot| TABLE.with_borrow(|table| table.get(slot).cloned()))
            .ok_or_else(|| de::Error::custom("expected an image"))
    }
}
