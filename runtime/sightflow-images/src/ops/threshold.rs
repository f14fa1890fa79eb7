//! Thresholds, as OpenCV's `threshold` defines them for 8 bits.

use sightflow_types::image_ops::ThresholdMethod;

use crate::work::Work;
use crate::{Image, ImageError, PixelFormat, Pixels};

/// Largest window of an adaptive threshold.
const MOST_WINDOW: u32 = 1023;

impl Image {
    /// Each channel at a level: values above ⌊`level`⌋ are treated as `method` says, with `high` rounded to 0..=255.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for numbers that are not finite, [`ImageError::Unsupported`] for formats without 8 bits;
    /// those of [`Image::view`] and of `work`.
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
    /// [`ImageError::Unsupported`] for another format; those of [`Image::view`] and of `work`.
    pub fn otsu_level_in(&self, work: &Work) -> Result<f32, ImageError> {
        if self.format() != PixelFormat::Gray8 {
            return Err(ImageError::Unsupported(format!("Otsu's level needs gray8, not {}", self.format().name())));
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

    /// A gray8 image against the rounded mean m of the `window`×`window` pixels around each pixel, what lies outside being
    /// the outermost pixel: 255 where v > m − `offset`, else 0; the other way round if `method` is `BinaryInverted`. As
    /// OpenCV's `adaptiveThreshold` with `ADAPTIVE_THRESH_MEAN_C`.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] for another format or method, [`ImageError::Invalid`] for a window that is even or not
    /// within 3..=1023 and an offset that is not finite; those of [`Image::view`] and of `work`.
    pub fn adaptive_threshold_in(
        &self,
        work: &Work,
        window: u32,
        offset: f32,
        method: ThresholdMethod,
    ) -> Result<Self, ImageError> {
        if self.format() != PixelFormat::Gray8 {
            return Err(ImageError::Unsupported(format!(
                "an adaptive threshold needs gray8, not {}",
                self.format().name()
            )));
        }
        if !(3..=MOST_WINDOW).contains(&window) || window.is_multiple_of(2) {
            return Err(ImageError::Invalid(format!("the window is {window}; it must be odd and 3..{MOST_WINDOW}")));
        }
        if !offset.is_finite() {
            return Err(ImageError::Invalid(format!("the offset is {offset}; it must be finite")));
        }
        let (above, else_, least) = match method {
            ThresholdMethod::Binary => (255, 0, -offset.ceil()),
            ThresholdMethod::BinaryInverted => (0, 255, -offset.floor()),
            other => {
                let name = other.as_str();
                return Err(ImageError::Unsupported(format!(
                    "an adaptive threshold is binary or binary-inverted, not {name}"
                )));
            }
        };
        let view = self.view_in(work)?;
        let (width, height) = (view.width() as usize, i64::from(view.height()));
        let half = i64::from(window / 2);
        let held = work.take(view.bytes())?;
        let mut data = Vec::with_capacity(view.bytes() as usize);
        let _sums = work.take(4 * width as u64)?;
        let row = |y: i64| view.row(y.clamp(0, height - 1) as u32);
        let mut columns = vec![0u32; width];
        for y in -half..=half {
            work.spend(width as u64)?;
            columns.iter_mut().zip(row(y)).for_each(|(sum, &value)| *sum += u32::from(value));
        }
        let share = 1.0 / (f64::from(window) * f64::from(window));
        let column = |columns: &[u32], x: i64| columns[x.clamp(0, width as i64 - 1) as usize];
        for y in 0..height {
            work.spend(16 + 6 * width as u64 + u64::from(window))?;
            let mut sum: u32 = (-half..=half).map(|x| column(&columns, x)).sum();
            for (x, &value) in row(y).iter().enumerate() {
                let mean = (f64::from(sum) * share).round_ties_even() as f32;
                data.push(if f32::from(value) - mean > least { above } else { else_ });
                let x = x as i64;
                sum = sum + column(&columns, x + half + 1) - column(&columns, x - half);
            }
            let (comes, goes) = (row(y + half + 1), row(y - half));
            let changes = comes.iter().zip(goes);
            columns
                .iter_mut()
                .zip(changes)
                .for_each(|(sum, (&comes, &goes))| *sum = *sum + u32::from(comes) - u32::from(goes));
        }
        Ok(Self::from_pixels(Pixels::from_held(view.width(), view.height(), PixelFormat::Gray8, data, held)))
    }
}
