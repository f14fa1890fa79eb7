//! What is done with pixels most often, done by the host: methods of [`Image`]. Definitions are OpenCV's where it has the
//! operation. Unless said otherwise an image has 8 bits a channel; another is invalid.

mod options;

pub use self::options::{
    Border, ColorSpace, Contour, FileFormat, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod,
};
use crate::draw::Ink;
use crate::host;
use crate::image::{Image, ImageError, ResizeFilter};

impl Image {
    /// Each channel at a level: values above ⌊`level`⌋ are treated as `method` says, with `high` rounded to 0..=255.
    ///
    /// # Errors
    /// Invalid for numbers that are not finite.
    pub fn threshold(&self, level: f32, high: f32, method: ThresholdMethod) -> Result<Self, ImageError> {
        host::threshold(self.host(), level, high, method).map(Self::from_host)
    }

    /// The level that separates a grey image best (Otsu).
    ///
    /// # Errors
    /// Invalid for another format than `Gray8`.
    pub fn otsu_level(&self) -> Result<f32, ImageError> {
        host::otsu_level(self.host())
    }

    /// A grey image against the mean of the `window`×`window` pixels around each pixel, less `offset`: 255 above it, else
    /// 0; the other way round if `method` is `BinaryInverted`. Beyond the edge lies the outermost pixel.
    ///
    /// # Errors
    /// Invalid for a window that is even or not within 3..=1023, and an offset that is not finite; another method is
    /// unsupported.
    pub fn adaptive_threshold(&self, window: u32, offset: f32, method: ThresholdMethod) -> Result<Self, ImageError> {
        host::adaptive_threshold(self.host(), window, offset, method).map(Self::from_host)
    }

    /// From one colour space to another, both as `Rgb8`.
    ///
    /// # Errors
    /// Invalid for another format.
    pub fn convert_color(&self, current: ColorSpace, wanted: ColorSpace) -> Result<Self, ImageError> {
        host::convert_color(self.host(), current, wanted).map(Self::from_host)
    }

    /// The image under an affine map: two rows of three, from source to destination. The filter is `Nearest` or `Bilinear`.
    ///
    /// # Errors
    /// Invalid for numbers that are not finite and a map that cannot be inverted; too large; another filter is
    /// unsupported.
    pub fn warp_affine(
        &self,
        matrix: [f64; 6],
        size: (u32, u32),
        filter: ResizeFilter,
        border: Border,
    ) -> Result<Self, ImageError> {
        host::warp_affine(self.host(), matrix, size, filter, border).map(Self::from_host)
    }

    /// The image under a perspective map: three rows of three, from source to destination. The filter is `Nearest` or
    /// `Bilinear`.
    ///
    /// # Errors
    /// As [`Image::warp_affine`].
    pub fn warp_perspective(
        &self,
        matrix: [f64; 9],
        size: (u32, u32),
        filter: ResizeFilter,
        border: Border,
    ) -> Result<Self, ImageError> {
        host::warp_perspective(self.host(), matrix, size, filter, border).map(Self::from_host)
    }

    /// The image with margins around it.
    ///
    /// # Errors
    /// Too large; invalid for an opacity that the format cannot hold.
    pub fn pad(&self, margins: Margins, border: Border) -> Result<Self, ImageError> {
        host::pad(self.host(), margins, border).map(Self::from_host)
    }

    /// The image mirrored; any format.
    ///
    /// # Errors
    /// Those of decoding and of the allowance.
    pub fn flip(&self, flip: Flip) -> Result<Self, ImageError> {
        host::flip(self.host(), flip).map(Self::from_host)
    }

    /// The operation with a kernel of `kernel` (columns, rows) pixels, 1..=255 each. Erosion and dilation are repeated
    /// `iterations` times, 0..=1000, within every operation.
    ///
    /// # Errors
    /// Invalid for other numbers.
    pub fn morphology(
        &self,
        operation: Morphology,
        shape: KernelShape,
        kernel: (u32, u32),
        iterations: u32,
    ) -> Result<Self, ImageError> {
        host::morphology(self.host(), operation, shape, kernel, iterations).map(Self::from_host)
    }

    /// `self·weight + second·second_weight + offset` of each channel, rounded and clamped.
    ///
    /// # Errors
    /// Invalid for numbers that are not finite and images of different sizes or formats.
    pub fn blend(&self, weight: f32, second: &Self, second_weight: f32, offset: f32) -> Result<Self, ImageError> {
        host::blend(self.host(), weight, second.host(), second_weight, offset).map(Self::from_host)
    }

    /// `|self − second|` of each channel.
    ///
    /// # Errors
    /// Invalid for images of different sizes or formats.
    pub fn absolute_difference(&self, second: &Self) -> Result<Self, ImageError> {
        host::absolute_difference(self.host(), second.host()).map(Self::from_host)
    }

    /// The image where the grey `mask` is not 0, `fill` where it is.
    ///
    /// # Errors
    /// Invalid for a mask of another size or format and an opacity that the format cannot hold.
    pub fn apply_mask(&self, mask: &Self, fill: Ink) -> Result<Self, ImageError> {
        host::apply_mask(self.host(), mask.host(), fill).map(Self::from_host)
    }

    /// `over` upon the image, its opacity at each pixel the grey `mask`/255.
    ///
    /// # Errors
    /// Invalid for sizes or formats that do not fit.
    pub fn composite(&self, over: &Self, mask: &Self) -> Result<Self, ImageError> {
        host::composite(self.host(), over.host(), mask.host()).map(Self::from_host)
    }

    /// The mean of each channel, over all pixels or where the grey `mask` is not 0; 0 where there is no such pixel.
    ///
    /// # Errors
    /// Invalid for a mask of another size or format.
    pub fn mean(&self, mask: Option<&Self>) -> Result<Vec<f64>, ImageError> {
        host::mean(self.host(), mask.map(Self::host))
    }

    /// The sum of each channel, over all pixels or where the grey `mask` is not 0.
    ///
    /// # Errors
    /// Invalid for a mask of another size or format.
    pub fn sum(&self, mask: Option<&Self>) -> Result<Vec<f64>, ImageError> {
        host::sum(self.host(), mask.map(Self::host))
    }

    /// Borders of the areas of a grey image that are not 0; pixels touch by their sides and corners.
    ///
    /// # Errors
    /// Invalid for another format than `Gray8`.
    pub fn contours(&self, retrieval: Retrieval) -> Result<Vec<Contour>, ImageError> {
        host::contours(self.host(), retrieval)
    }

    /// The image as a file. A PNG may also have `Gray16`.
    ///
    /// # Errors
    /// Invalid for a quality outside of 1..=100 and a format or size that the file cannot hold.
    pub fn encode(&self, format: FileFormat) -> Result<Vec<u8>, ImageError> {
        host::encode(self.host(), format)
    }
}

#[cfg(test)]
mod tests;
