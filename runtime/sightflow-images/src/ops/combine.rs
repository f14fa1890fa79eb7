//! Two images of one size, pixel by pixel, as OpenCV's `addWeighted`, `absdiff` and masks define it.

use crate::work::Work;
use crate::{Image, ImageError, Ink, PixelFormat, Pixels};

impl Image {
    /// `round(v·first_weight + w·second_weight + offset)` of each channel, cut off at 0 and 255; halves go to even.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for numbers that are not finite, images of different sizes or formats,
    /// [`ImageError::Unsupported`] for formats without 8 bits; those of [`Image::view`] and of `work`.
    pub fn blend_in(
        &self,
        work: &Work,
        first_weight: f32,
        second: &Self,
        second_weight: f32,
        offset: f32,
    ) -> Result<Self, ImageError> {
        if ![first_weight, second_weight, offset].into_iter().all(f32::is_finite) {
            return Err(ImageError::invalid("weights and the offset of a blend must be finite"));
        }
        self.combine(work, second, |v, w| {
            (f32::from(v) * first_weight + f32::from(w) * second_weight + offset).round_ties_even() as u8
        })
    }

    /// `|v − w|` of each channel.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for images of different sizes or formats, [`ImageError::Unsupported`] for formats without 8 bits; those of
    /// [`Image::view`] and of `work`.
    pub fn absolute_difference_in(&self, work: &Work, second: &Self) -> Result<Self, ImageError> {
        self.combine(work, second, u8::abs_diff)
    }

    /// `v − w` of each channel, cut off at 0; the images must be alike.
    pub(super) fn less_in(&self, work: &Work, second: &Self) -> Result<Self, ImageError> {
        self.combine(work, second, u8::saturating_sub)
    }

    fn combine(&self, work: &Work, second: &Self, of: impl Fn(u8, u8) -> u8) -> Result<Self, ImageError> {
        self.require_like(second)?;
        let (first, second) = (self.view_in(work)?, second.view_in(work)?);
        let held = work.take(first.bytes())?;
        let mut data = Vec::with_capacity(first.bytes() as usize);
        for (row, other) in first.rows().zip(second.rows()) {
            work.spend(2 * row.len() as u64)?;
            data.extend(row.iter().zip(other).map(|(&v, &w)| of(v, w)));
        }
        Ok(Self::from_pixels(Pixels::from_held(first.width(), first.height(), first.format(), data, held)))
    }

    /// The image where `mask` (gray8) is not 0, `fill` where it is. In rgba8 the fill's opacity is its alpha.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for a mask of another size and an opacity that the format cannot hold,
    /// [`ImageError::Unsupported`] for other masks and formats without 8 bits; those of [`Image::view`] and of `work`.
    pub fn apply_mask_in(&self, work: &Work, mask: &Self, fill: Ink) -> Result<Self, ImageError> {
        let fill = fill.pixel(self.format())?;
        self.require_mask(mask)?;
        let (view, mask) = (self.view_in(work)?, mask.view_in(work)?);
        let channels = view.format().channels();
        let held = work.take(view.bytes())?;
        let mut data = Vec::with_capacity(view.bytes() as usize);
        for (row, keep) in view.rows().zip(mask.rows()) {
            work.spend(8 + 2 * row.len() as u64)?;
            for (pixel, &keep) in row.chunks_exact(channels).zip(keep) {
                data.extend_from_slice(if keep == 0 { &fill[..channels] } else { pixel });
            }
        }
        Ok(Self::from_pixels(Pixels::from_held(view.width(), view.height(), view.format(), data, held)))
    }

    /// `over` laid on the image with `mask` (gray8) as its opacity: `round((m·w + (255 − m)·v) / 255)` of each channel.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for sizes or formats that do not fit; those of [`Image::view`] and of `work`.
    pub fn composite_in(&self, work: &Work, over: &Self, mask: &Self) -> Result<Self, ImageError> {
        self.require_like(over)?;
        self.require_mask(mask)?;
        let (below, above, mask) = (self.view_in(work)?, over.view_in(work)?, mask.view_in(work)?);
        let channels = below.format().channels();
        let held = work.take(below.bytes())?;
        let mut data = Vec::with_capacity(below.bytes() as usize);
        for ((row, over), opacity) in below.rows().zip(above.rows()).zip(mask.rows()) {
            work.spend(8 + 2 * row.len() as u64)?;
            let pixels = row.chunks_exact(channels).zip(over.chunks_exact(channels)).zip(opacity);
            for ((v, w), &m) in pixels {
                let m = u32::from(m);
                let blend = |(&v, &w): (&u8, &u8)| ((m * u32::from(w) + (255 - m) * u32::from(v) + 127) / 255) as u8;
                data.extend(v.iter().zip(w).map(blend));
            }
        }
        Ok(Self::from_pixels(Pixels::from_held(below.width(), below.height(), below.format(), data, held)))
    }

    /// Refuses an image of another size or format, and formats without 8 bits.
    fn require_like(&self, other: &Self) -> Result<(), ImageError> {
        self.format().require_8_bits("combining images")?;
        if self.format() != other.format() {
            let (first, second) = (self.format().name(), other.format().name());
            return Err(ImageError::Invalid(format!("the first image is {first}, the second {second}")));
        }
        self.require_size(other)
    }

    /// Refuses a mask that is no gray8 image of the same size, and formats without 8 bits.
    pub(super) fn require_mask(&self, mask: &Self) -> Result<(), ImageError> {
        self.format().require_8_bits("a mask")?;
        if mask.format() != PixelFormat::Gray8 {
            return Err(ImageError::Unsupported(format!("a mask is gray8, not {}", mask.format().name())));
        }
        self.require_size(mask)
    }

    fn require_size(&self, other: &Self) -> Result<(), ImageError> {
        let ((width, height), (other_width, other_height)) = (self.size(), other.size());
        if self.size() == other.size() {
            return Ok(());
        }
        Err(ImageError::Invalid(format!("{other_width}×{other_height} pixels do not fit on {width}×{height}")))
    }
}
