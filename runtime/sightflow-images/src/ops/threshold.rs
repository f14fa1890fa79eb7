//! Thresholds, as OpenCV's `threshold` defines them for 8 bits.

use crate::work::Work;
use crate::{Image, ImageError, PixelFormat, Pixels};

/// What becomes of a value v at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThresholdMethod {
    /// `high` above the level, else 0.
    Binary,
    /// 0 above the level, else `high`.
    BinaryInverted,
    /// The level above the level, else v.
    Truncate,
    /// v above the level, else 0.
    ToZero,
    /// 0 above the level, else v.
    ToZeroInverted,
}

impl Image {
    /// Each channel at a level: values above ⌊`level`⌋ are treated as `method` says, with `high` rounded to 0..=255.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for numbers that are not finite and formats without 8 bits; those of [`Image::view`] and
    /// of `work`.
    pub fn threshold_in(
        &self,
        work: &Work,
        level: f32,
        high: f32,
        method: ThresholdMethod,
    ) -> Result<Self, ImageError> {
        if !level.is_finite() || !high.is_finite() {
            return Err(ImageError::Invalid(format!(
                "the level is {level}, the high value {high}; both must be finite"
            )));
        }
        let (level, high) = (level.floor(), high.round_ties_even() as u8);
        let table: [u8; 256] = std::array::from_fn(|value| {
            let value = value as u8;
            let above = f32::from(value) > level;
            match method {
                ThresholdMethod::Binary => {
                    if above {
                        high
                    } else {
                        0
                    }
                }
                ThresholdMethod::BinaryInverted => {
                    if above {
                        0
                    } else {
                        high
                    }
                }
                ThresholdMethod::Truncate => {
                    if above {
                        level as u8
                    } else {
                        value
                    }
                }
                ThresholdMethod::ToZero => {
                    if above {
                        value
                    } else {
                        0
                    }
                }
                ThresholdMethod::ToZeroInverted => {
                    if above {
                        0
                    } else {
                        value
                    }
                }
            }
        });
        self.format().require_8_bits("a threshold")?;
        let view = self.view_in(work)?;
        let held = work.take(view.bytes())?;
        let mut data = Vec::with_capacity(view.bytes() as usize);
        for row in view.rows() {
            work.spend(row.len() as u64)?;
            data.extend(row.iter().map(|&value| table[usize::from(value)]));
        }
        Ok(Self::from_pixels(Pixels::from_held(view.width(), view.height(), view.format(), data, held)))
    }

    /// The level that separates the values of a gray8 image best: Otsu's, the first of equally good ones.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for another format; those of [`Image::view`] and of `work`.
    pub fn otsu_level_in(&self, work: &Work) -> Result<f32, ImageError> {
        if self.format() != PixelFormat::Gray8 {
            return Err(ImageError::Invalid(format!("Otsu's level needs gray8, not {}", self.format().name())));
        }
        let counts = self.histogram_in(work)?[0];
        let (width, height) = self.size();
        let share = 1.0 / (f64::from(width) * f64::from(height));
        let mean: f64 = counts.iter().zip(0u8..=255).map(|(&count, value)| f64::from(count) * f64::from(value)).sum();
        let mean = mean * share;
        let (mut below, mut sum_below) = (0.0, 0.0);
        let (mut best, mut level) = (0.0, 0.0);
        for (&count, value) in counts.iter().zip(0u8..=255) {
            let part = f64::from(count) * share;
            below += part;
            sum_below += part * f64::from(value);
            let above = 1.0 - below;
            if below.min(above) < f64::from(f32::EPSILON) {
                continue;
            }
            let apart = sum_below / below - (mean - sum_below) / above;
            let variance = below * above * apart * apart;
            if variance > best {
                (best, level) = (variance, f32::from(value));
            }
        }
        Ok(level)
    }
}
