//! Why an image operation was refused.

use sightflow_memory::OutOfBudget;

/// Which of its own bounds an operation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Allowance {
    /// [`Work::most_steps`](crate::Work::most_steps).
    #[error("steps")]
    Steps,
    /// [`Work::most_bytes`](crate::Work::most_bytes).
    #[error("bytes of images")]
    Bytes,
}

/// What went wrong with an image. The variants are stable: hosts map them to their own error codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// A rectangle or point lies outside the image.
    #[error("outside the image: {0}")]
    OutOfBounds(String),
    /// The image is, or would be, larger than an image may be.
    #[error("too large: {reason}")]
    TooLarge {
        /// Pixels of the image that was refused.
        pixels: u64,
        /// The size and the limit that it exceeds.
        reason: String,
    },
    /// The bytes are no image that can be decoded.
    #[error("cannot be decoded: {0}")]
    Undecodable(String),
    /// An argument makes no sense; the text says which.
    #[error("invalid argument: {0}")]
    Invalid(String),
    /// The operation does not know such images, or has no such method; the text says what it has.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The process had no memory for it in time. The same may succeed later: a server answers 503.
    #[error("no memory for the image now")]
    OutOfBudget(#[from] OutOfBudget),
    /// The caller's own bound ([`crate::Work`]) is used up.
    #[error("the allowance of {0} is used up")]
    Allowance(Allowance),
    /// The caller's time is over, or it asked to stop.
    #[error("stopped before it was done")]
    Stopped,
}

impl ImageError {
    /// A stable name: `out_of_bounds`, `too_large`, `undecodable`, `invalid`, `unsupported`, `out_of_budget`, `allowance` or `stopped`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OutOfBounds(_) => "out_of_bounds",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable(_) => "undecodable",
            Self::Invalid(_) => "invalid",
            Self::Unsupported(_) => "unsupported",
            Self::OutOfBudget(_) => "out_of_budget",
            Self::Allowance(_) => "allowance",
            Self::Stopped => "stopped",
        }
    }

    /// Whether it says nothing about the image, only about who asked and when.
    pub const fn is_of_the_caller(&self) -> bool {
        matches!(self, Self::OutOfBudget(_) | Self::Allowance(_) | Self::Stopped)
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

/// Most pixels an image may have: 100 megapixels.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Most pixels a side of an image may have.
pub const MAX_SIDE: u32 = 16_384;

/// Checks that an image of this size may exist.
///
/// # Errors
/// [`ImageError::Invalid`] if a side is 0, [`ImageError::TooLarge`] above [`MAX_PIXELS`] or [`MAX_SIDE`].
pub fn check_size(width: u32, height: u32) -> Result<(), ImageError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(ImageError::Invalid(format!("an image of {width}×{height} pixels is empty")));
    }
    if pixels > MAX_PIXELS {
        let reason = format!("{width}×{height} is {:.1} megapixels; the limit is 100", pixels as f64 / 1e6);
        return Err(ImageError::TooLarge { pixels, reason });
    }
    if width.max(height) > MAX_SIDE {
        let reason = format!("{width}×{height} has a side above {MAX_SIDE} pixels");
        return Err(ImageError::TooLarge { pixels, reason });
    }
    Ok(())
}
