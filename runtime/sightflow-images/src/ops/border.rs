//! What lies outside of an image, and images that are made larger by it, as OpenCV's `copyMakeBorder`.

use sightflow_types::image_ops::Margins;

use crate::work::Work;
use crate::{Image, ImageError, Ink, Pixels, check_size};

/// What lies outside of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Border {
    /// One colour; in rgba8 the ink's opacity is its alpha.
    Constant(Ink),
    /// The outermost pixel, again and again.
    Replicate,
    /// The image mirrored at its outermost pixel, which is not repeated: `dcb|abcd|cba`.
    Reflect101,
}

impl Border {
    /// The place within `0..length` that stands for `at`; none where the border has a colour of its own.
    pub(super) fn place(self, at: i64, length: u32) -> Option<usize> {
        let length = i64::from(length);
        if (0..length).contains(&at) {
            return Some(at as usize);
        }
        match self {
            Self::Constant(_) => None,
            Self::Replicate => Some(at.clamp(0, length - 1) as usize),
            Self::Reflect101 if length == 1 => Some(0),
            Self::Reflect101 => {
                let period = 2 * (length - 1);
                let at = at.rem_euclid(period);
                Some(at.min(period - at) as usize)
            }
        }
    }
}

impl Image {
    /// The image with margins around it.
    ///
    /// # Errors
    /// Those of [`check_size`] for the larger image; [`ImageError::Unsupported`] for formats without 8 bits; [`ImageError::Invalid`] for an opacity
    /// that the format cannot hold; those of [`Image::view`] and of `work`.
    pub fn pad_in(&self, work: &Work, margins: Margins, border: Border) -> Result<Self, ImageError> {
        self.format().require_8_bits("padding")?;
        let fill = match border {
            Border::Constant(ink) => ink.pixel(self.format())?,
            Border::Replicate | Border::Reflect101 => [0; 4],
        };
        let (width, height) = self.size();
        let out_width = width.saturating_add(margins.left).saturating_add(margins.right);
        let out_height = height.saturating_add(margins.top).saturating_add(margins.bottom);
        check_size(out_width, out_height)?;
        if margins == Margins::default() {
            return Ok(self.clone());
        }
        let view = self.view_in(work)?;
        let channels = view.format().channels();
        let length = out_width as usize * out_height as usize * channels;
        let held = work.take(length as u64)?;
        let mut data = Vec::with_capacity(length);
        for y in 0..out_height {
            work.spend(8 + 3 * u64::from(out_width))?;
            let Some(y) = border.place(i64::from(y) - i64::from(margins.top), height) else {
                (0..out_width).for_each(|_| data.extend_from_slice(&fill[..channels]));
                continue;
            };
            let row = view.row(y as u32);
            for x in (0..margins.left).chain(margins.left + width..out_width) {
                if x == margins.left + width {
                    data.extend_from_slice(row);
                }
                match border.place(i64::from(x) - i64::from(margins.left), width) {
                    Some(x) => data.extend_from_slice(&row[x * channels..][..channels]),
                    None => data.extend_from_slice(&fill[..channels]),
                }
            }
            if margins.right == 0 {
                data.extend_from_slice(row);
            }
        }
        Ok(Self::from_pixels(Pixels::from_held(out_width, out_height, view.format(), data, held)))
    }
}
