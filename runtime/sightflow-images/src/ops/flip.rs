//! Mirrors.

use sightflow_types::image_ops::Flip;

use crate::work::Work;
use crate::{Image, ImageError};

impl Image {
    /// The image mirrored; any format.
    ///
    /// # Errors
    /// Those of [`Image::view`] and of `work`.
    pub fn flip_in(&self, work: &Work, flip: Flip) -> Result<Self, ImageError> {
        match flip {
            Flip::Horizontal => self.rotate_in(work, 0, true),
            Flip::Vertical => self.rotate_in(work, 2, true),
            Flip::Both => self.rotate_in(work, 2, false),
        }
    }
}
