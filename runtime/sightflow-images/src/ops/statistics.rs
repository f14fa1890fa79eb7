//! Sums and means of channels, as OpenCV's `sumElems` and `mean`.

use crate::work::Work;
use crate::{Image, ImageError};

impl Image {
    /// The sum of each channel, where `mask` (gray8) is not 0 if there is one.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for a mask of another size, [`ImageError::Unsupported`] for other masks and formats without 8 bits; those of
    /// [`Image::view`] and of `work`.
    pub fn sum_in(&self, work: &Work, mask: Option<&Self>) -> Result<Vec<f64>, ImageError> {
        Ok(self.sums(work, mask)?.0)
    }

    /// The mean of each channel, where `mask` (gray8) is not 0 if there is one; 0 where it is 0 everywhere.
    ///
    /// # Errors
    /// As [`Image::sum_in`].
    pub fn mean_in(&self, work: &Work, mask: Option<&Self>) -> Result<Vec<f64>, ImageError> {
        let (sums, count) = self.sums(work, mask)?;
        Ok(sums.into_iter().map(|sum| if count == 0 { 0.0 } else { sum / count as f64 }).collect())
    }

    /// Sums of the channels, and how many pixels they are of.
    fn sums(&self, work: &Work, mask: Option<&Self>) -> Result<(Vec<f64>, u64), ImageError> {
        self.format().require_8_bits("statistics")?;
        if let Some(mask) = mask {
            self.require_mask(mask)?;
        }
        let view = self.view_in(work)?;
        let mask = mask.map(|mask| mask.view_in(work)).transpose()?;
        let channels = view.format().channels();
        let (mut sums, mut count) = ([0u64; 4], 0);
        for y in 0..view.height() {
            let row = view.row(y);
            work.spend(8 + 2 * row.len() as u64)?;
            let keep = mask.as_ref().map(|mask| mask.row(y));
            for (x, pixel) in row.chunks_exact(channels).enumerate() {
                if keep.is_none_or(|keep| keep[x] != 0) {
                    count += 1;
                    sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u64::from(value));
                }
            }
        }
        Ok((sums[..channels].iter().map(|&sum| sum as f64).collect(), count))
    }
}
