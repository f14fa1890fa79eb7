//! Operations on an image: each as it is usually called, and within the bounds of a [`Work`].

use crate::work::Work;
use crate::{Area, Image, ImageError, PixelFormat, Pixels, ResizeFilter, check_size, ops};

impl Image {
    /// Packed rows of `area` in `format`.
    ///
    /// # Errors
    /// Those of [`Image::crop`] and [`Image::view`].
    pub fn read(&self, area: impl Into<Area>, format: PixelFormat) -> Result<Vec<u8>, ImageError> {
        Ok(self.read_in(&Work::default(), area, format)?.into_data())
    }

    /// As [`Image::read`], within the bounds of `work`, on whose account the pixels stay.
    ///
    /// # Errors
    /// As [`Image::read`], and those of `work`.
    pub fn read_in(&self, work: &Work, area: impl Into<Area>, format: PixelFormat) -> Result<Pixels, ImageError> {
        let rect = area.into().within(self.size())?;
        let (data, held) = crate::convert::convert(work, &self.view_in(work)?.part(rect), format)?;
        Ok(Pixels::from_held(rect.width, rect.height, format, data, held))
    }

    /// The image in another pixel format; itself if it has that format already. Alpha is flattened on white.
    ///
    /// # Errors
    /// Those of [`Image::view`].
    pub fn convert(&self, to: PixelFormat) -> Result<Self, ImageError> {
        self.convert_in(&Work::default(), to)
    }

    /// As [`Image::convert`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::convert`], and those of `work`.
    pub fn convert_in(&self, work: &Work, to: PixelFormat) -> Result<Self, ImageError> {
        if self.format() == to {
            return Ok(self.clone());
        }
        let (width, height) = self.size();
        let (data, held) = crate::convert::convert(work, &self.view_in(work)?, to)?;
        Ok(Self::from_pixels(Pixels::from_held(width, height, to, data, held)))
    }

    /// The image at another size; itself at the same size. Sampled at pixel centres: `src = (dst + ½)/s − ½`, the
    /// kernel widened by 1/s when shrinking, edges clamped.
    ///
    /// # Errors
    /// Those of [`check_size`] and [`Image::view`].
    pub fn resize(&self, width: u32, height: u32, filter: ResizeFilter) -> Result<Self, ImageError> {
        self.resize_in(&Work::default(), width, height, filter)
    }

    /// As [`Image::resize`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::resize`], and those of `work`.
    pub fn resize_in(&self, work: &Work, width: u32, height: u32, filter: ResizeFilter) -> Result<Self, ImageError> {
        check_size(width, height)?;
        if (width, height) == self.size() {
            return Ok(self.clone());
        }
        Ok(Self::from_pixels(ops::resize::resize(work, &self.view_in(work)?, width, height, filter)?))
    }

    /// Quarter turns clockwise (modulo 4), then mirrored left to right if `mirror`; itself if neither changes it.
    ///
    /// # Errors
    /// Those of [`Image::view`].
    pub fn rotate(&self, quarter_turns_clockwise: u8, mirror: bool) -> Result<Self, ImageError> {
        self.rotate_in(&Work::default(), quarter_turns_clockwise, mirror)
    }

    /// As [`Image::rotate`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::rotate`], and those of `work`.
    pub fn rotate_in(&self, work: &Work, quarter_turns_clockwise: u8, mirror: bool) -> Result<Self, ImageError> {
        if quarter_turns_clockwise.is_multiple_of(4) && !mirror {
            return Ok(self.clone());
        }
        let turned = crate::rotate::rotate(work, &self.view_in(work)?, quarter_turns_clockwise % 4, mirror)?;
        Ok(Self::from_pixels(turned))
    }

    /// Gaussian blur of standard deviation `sigma` in pixels, 0..=1000, border reflect-101; itself at 0.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for another sigma, [`ImageError::Unsupported`] for a format without 8 bits a channel, and those of [`Image::view`].
    pub fn blur(&self, sigma: f32) -> Result<Self, ImageError> {
        self.blur_in(&Work::default(), sigma)
    }

    /// As [`Image::blur`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::blur`], and those of `work`.
    pub fn blur_in(&self, work: &Work, sigma: f32) -> Result<Self, ImageError> {
        if !(0.0..=1000.0).contains(&sigma) {
            return Err(ImageError::Invalid(format!("sigma is {sigma}; it must be 0..1000 pixels")));
        }
        if sigma == 0.0 {
            return Ok(self.clone());
        }
        Ok(Self::from_pixels(ops::blur::gaussian(work, &self.view_in(work)?, sigma)?))
    }

    /// How often each of the 256 values occurs, one table a channel in the order of the pixel format.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] for a format without 8 bits a channel, and those of [`Image::view`].
    pub fn histogram(&self) -> Result<Vec<[u32; 256]>, ImageError> {
        self.histogram_in(&Work::default())
    }

    /// As [`Image::histogram`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Image::histogram`], and those of `work`.
    pub fn histogram_in(&self, work: &Work) -> Result<Vec<[u32; 256]>, ImageError> {
        ops::histogram(work, &self.view_in(work)?)
    }
}
