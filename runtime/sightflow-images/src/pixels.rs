//! Decoded pixels, their formats, and rectangles of them.

use std::sync::Arc;

use sightflow_types::Rect;

use crate::work::{Held, Work};
use crate::{ImageError, check_size};

/// Channels, their order and how each is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One channel, `round(.299R + .587G + .114B)` of a colour.
    Gray8,
    /// Red, green, blue.
    Rgb8,
    /// Red, green, blue and straight (not premultiplied) alpha.
    Rgba8,
    /// One channel of 16 bits, little-endian.
    Gray16,
    /// One channel, an IEEE 754 number of 32 bits, little-endian; black is 0, white is 1, any number may occur.
    Float32,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Gray8, Self::Rgb8, Self::Rgba8, Self::Gray16, Self::Float32];

    /// What users call it: `gray8`, `rgb8`, `rgba8`, `gray16` or `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gray8 => "gray8",
            Self::Rgb8 => "rgb8",
            Self::Rgba8 => "rgba8",
            Self::Gray16 => "gray16",
            Self::Float32 => "float32",
        }
    }

    /// Channels a pixel: 1, 3 or 4.
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray8 | Self::Gray16 | Self::Float32 => 1,
            Self::Rgb8 => 3,
            Self::Rgba8 => 4,
        }
    }

    /// Bytes a pixel: 1, 2, 3 or 4.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16 => 2,
            Self::Rgb8 => 3,
            Self::Rgba8 | Self::Float32 => 4,
        }
    }

    /// Refuses what only knows channels of 8 bits.
    pub(crate) fn require_8_bits(self, what: &str) -> Result<(), ImageError> {
        match self {
            Self::Gray8 | Self::Rgb8 | Self::Rgba8 => Ok(()),
            Self::Gray16 | Self::Float32 => {
                Err(ImageError::Unsupported(format!("{what} needs gray8, rgb8 or rgba8, not {}", self.name())))
            }
        }
    }
}

impl std::str::FromStr for PixelFormat {
    type Err = ImageError;

    fn from_str(name: &str) -> Result<Self, ImageError> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            ImageError::Invalid(format!(
                "no pixel format is called {name:?}; there are gray8, rgb8, rgba8, gray16 and float32"
            ))
        })
    }
}

/// Columns `x..x+width`, rows `y..y+height`, in pixels; may reach outside of what it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named in the type's comment")]
pub struct Area {
    pub x: i32,
    pub y: i32,
    pub width: u32,
    pub height: u32,
}

impl Area {
    /// The rectangle, if it is not empty and lies within an image of this size.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for an empty area, [`ImageError::OutOfBounds`] if it reaches outside.
    pub fn within(self, (width, height): (u32, u32)) -> Result<Rect, ImageError> {
        if self.width == 0 || self.height == 0 {
            return Err(ImageError::Invalid(format!("an area of {}×{} pixels is empty", self.width, self.height)));
        }
        let inside = |start: i32, length: u32, limit: u32| {
            u32::try_from(start).ok().filter(|start| start.checked_add(length).is_some_and(|end| end <= limit))
        };
        match (inside(self.x, self.width, width), inside(self.y, self.height, height)) {
            (Some(x), Some(y)) => Ok(Rect { x, y, width: self.width, height: self.height }),
            _ => Err(ImageError::OutOfBounds(format!(
                "{}×{} pixels at ({}, {}) of an image of {width}×{height}",
                self.width, self.height, self.x, self.y
            ))),
        }
    }
}

impl From<Rect> for Area {
    /// Coordinates above `i32::MAX`, which no image has, stay out of bounds.
    fn from(rect: Rect) -> Self {
        let coordinate = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        Self { x: coordinate(rect.x), y: coordinate(rect.y), width: rect.width, height: rect.height }
    }
}

/// Packed rows of pixels: `data.len() == width · height · format.bytes()`.
pub struct Pixels {
    width: u32,
    height: u32,
    format: PixelFormat,
    data: Vec<u8>,
    /// The bytes of `data` in the process's budget; none for pixels that were made without a [`Work`].
    held: Option<Held>,
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.height, self.format) == (other.width, other.height, other.format) && self.data == other.data
    }
}

impl Eq for Pixels {}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({}×{} {:?})", self.width, self.height, self.format)
    }
}

impl Pixels {
    /// Wraps packed rows.
    ///
    /// # Errors
    /// Those of [`check_size`], and [`ImageError::Invalid`] if `data` has another length than the size asks for.
    pub fn new(width: u32, height: u32, format: PixelFormat, data: Vec<u8>) -> Result<Self, ImageError> {
        Self::fits(width, height, format, data.len())?;
        Ok(Self { width, height, format, data, held: None })
    }

    /// Checks that so many bytes are an image of this size.
    ///
    /// # Errors
    /// Those of [`Pixels::new`].
    pub fn fits(width: u32, height: u32, format: PixelFormat, bytes: usize) -> Result<(), ImageError> {
        check_size(width, height)?;
        let expected = width as usize * height as usize * format.bytes();
        if bytes != expected {
            return Err(ImageError::Invalid(format!(
                "{width}×{height} {format:?} needs {expected} bytes, not {bytes}"
            )));
        }
        Ok(())
    }

    /// As [`Pixels::new`], on the account of `work`.
    ///
    /// # Errors
    /// Those of [`Pixels::new`], asked for before anything else, and those of `work`.
    pub fn new_in(
        work: &Work,
        width: u32,
        height: u32,
        format: PixelFormat,
        data: Vec<u8>,
    ) -> Result<Self, ImageError> {
        let pixels = Self::new(width, height, format, data)?;
        Ok(Self { held: Some(work.take(pixels.data.len() as u64)?), ..pixels })
    }

    /// Every pixel of one colour; `color` is one pixel of `format`.
    ///
    /// # Errors
    /// Those of [`check_size`], and [`ImageError::Invalid`] for a colour of another length.
    pub fn filled(width: u32, height: u32, format: PixelFormat, color: &[u8]) -> Result<Self, ImageError> {
        check_size(width, height)?;
        if color.len() != format.bytes() {
            return Err(ImageError::Invalid(format!("a {format:?} colour has {} bytes", format.bytes())));
        }
        Ok(Self { width, height, format, data: color.repeat(width as usize * height as usize), held: None })
    }

    /// Every pixel of one colour, on the account of `work`; `color` is one pixel of `format`.
    pub(crate) fn filled_in(
        work: &Work,
        (width, height): (u32, u32),
        format: PixelFormat,
        color: &[u8],
    ) -> Result<Self, ImageError> {
        check_size(width, height)?;
        debug_assert_eq!(color.len(), format.bytes());
        let row = color.repeat(width as usize);
        let length = row.len() * height as usize;
        let held = work.take(length as u64)?;
        let mut data = Vec::with_capacity(length);
        for _ in 0..height {
            work.spend(u64::from(width))?;
            data.extend_from_slice(&row);
        }
        Ok(Self::from_held(width, height, format, data, held))
    }

    /// A copy of a view's pixels, on the account of `work`.
    pub(crate) fn copied_in(work: &Work, view: &View) -> Result<Self, ImageError> {
        let (width, height, format) = (view.width(), view.height(), view.format());
        let length = width as usize * height as usize * format.bytes();
        let held = work.take(length as u64)?;
        let mut data = Vec::with_capacity(length);
        for row in view.rows() {
            work.spend(u64::from(width))?;
            data.extend_from_slice(row);
        }
        Ok(Self::from_held(width, height, format, data, held))
    }

    /// For callers whose data has the right length by construction; gives back what `held` holds beyond it.
    pub(crate) fn from_held(width: u32, height: u32, format: PixelFormat, data: Vec<u8>, mut held: Held) -> Self {
        debug_assert_eq!(data.len(), width as usize * height as usize * format.bytes());
        held.shrink_to(data.len() as u64);
        Self { width, height, format, data, held: Some(held) }
    }

    /// The packed rows; what stays behind is their place in the budget, until it is dropped. For rows that somebody else
    /// drops soon, without a place to keep it.
    pub fn lend_data(&mut self) -> Vec<u8> {
        (self.width, self.height) = (0, 0);
        std::mem::take(&mut self.data)
    }

    /// The pixels by value; what stays behind is empty.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self { width: 0, height: 0, format: PixelFormat::Gray8, data: Vec::new(), held: None };
        std::mem::replace(self, empty)
    }

    /// Where the bytes were taken from.
    pub(crate) fn pool(&self) -> Option<&sightflow_memory::MemoryPool> {
        self.held.as_ref().map(Held::pool)
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Channels and their order.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The packed rows.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The packed rows, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The packed rows, by value. From here on nobody counts their bytes.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Bytes of one row.
    pub const fn stride(&self) -> usize {
        self.width as usize * self.format.bytes()
    }

    /// Row `y`; panics if there is none.
    pub fn row(&self, y: u32) -> &[u8] {
        &self.data[y as usize * self.stride()..][..self.stride()]
    }

    /// The channels of one pixel; panics outside of the image.
    pub fn get(&self, x: u32, y: u32) -> &[u8] {
        assert!(x < self.width, "column {x} of {}", self.width);
        &self.row(y)[x as usize * self.format.bytes()..][..self.format.bytes()]
    }
}

/// A rectangle of decoded pixels that are shared with others; copies nothing.
#[derive(Debug, Clone)]
pub struct View {
    pixels: Arc<Pixels>,
    rect: Rect,
}

impl View {
    /// `rect` must lie within `pixels`.
    pub(crate) fn new(pixels: Arc<Pixels>, rect: Rect) -> Self {
        debug_assert!(rect.x + rect.width <= pixels.width && rect.y + rect.height <= pixels.height);
        Self { pixels, rect }
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.rect.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.rect.height
    }

    /// Channels and their order.
    pub fn format(&self) -> PixelFormat {
        self.pixels.format
    }

    /// Row `y` of the view; panics if there is none.
    pub fn row(&self, y: u32) -> &[u8] {
        assert!(y < self.rect.height, "row {y} of {}", self.rect.height);
        let bytes = self.pixels.format.bytes();
        let row = self.pixels.row(self.rect.y + y);
        &row[self.rect.x as usize * bytes..][..self.rect.width as usize * bytes]
    }

    /// The rows from top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.rect.height).map(|y| self.row(y))
    }

    /// The pixels as packed rows of their own; shares them where the view is all of them.
    pub(crate) fn to_pixels_in(&self, work: &Work) -> Result<Arc<Pixels>, ImageError> {
        if (self.rect.width, self.rect.height) == (self.pixels.width, self.pixels.height) {
            return Ok(Arc::clone(&self.pixels));
        }
        Ok(Arc::new(Pixels::copied_in(work, self)?))
    }

    /// Bytes of what is seen.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.rect.width) * u64::from(self.rect.height) * self.format().bytes() as u64
    }

    /// A part of this view; `rect` must lie within it.
    pub(crate) fn part(&self, rect: Rect) -> Self {
        let rect = Rect { x: self.rect.x + rect.x, y: self.rect.y + rect.y, ..rect };
        Self::new(Arc::clone(&self.pixels), rect)
    }
}
