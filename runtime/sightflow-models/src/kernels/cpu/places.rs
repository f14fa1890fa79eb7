//! Where the windows of convolutions and pools lie on an image.

use super::memory::ChannelsLast;
use crate::params::Window;

/// The places of a window on images of one size.
pub(super) struct Places {
    pub(super) height: usize,
    pub(super) width: usize,
    top: usize,
    left: usize,
    window: Window,
    image: [usize; 2],
    pixel: usize,
}

impl Places {
    pub(super) fn new(window: &Window, x: &ChannelsLast) -> Result<Self, String> {
        let image = [x.height, x.width];
        let padding = window.padding_for(image);
        let [height, width] = window.output(image, padding)?;
        Ok(Self { height, width, top: padding.top, left: padding.left, window: *window, image, pixel: x.pixel })
    }

    pub(super) fn outputs(&self) -> usize {
        self.height * self.width
    }

    /// Calls for each tap of the window at `row` and `column` that lies on the image, with the tap's number and the first
    /// element of the pixel under it.
    #[inline(always)]
    pub(super) fn visit(&self, row: usize, column: usize, mut call: impl FnMut(usize, usize)) {
        let [rows, columns] = self.window.kernel;
        for tap_row in 0..rows {
            for tap_column in 0..columns {
                if let Some(at) = self.tap(row, column, tap_row, tap_column) {
                    call(tap_row * columns + tap_column, at);
                }
            }
        }
    }

    /// First element of the pixel under a tap of the window at `row` and `column`; none in the padding.
    #[inline(always)]
    pub(super) fn tap(&self, row: usize, column: usize, tap_row: usize, tap_column: usize) -> Option<usize> {
        let y = (row * self.window.stride[0] + tap_row * self.window.dilation[0]).wrapping_sub(self.top);
        let x = (column * self.window.stride[1] + tap_column * self.window.dilation[1]).wrapping_sub(self.left);
        (y < self.image[0] && x < self.image[1]).then(|| (y * self.image[1] + x) * self.pixel)
    }

    /// Places from this one on in a row whose taps lie on the image alike, each a step beside those of the place before.
    pub(super) fn alike(&self, column: usize) -> usize {
        let start = (column * self.window.stride[1]).wrapping_sub(self.left);
        let reach = (self.window.kernel[1] - 1) * self.window.dilation[1] + 1;
        match self.image[1].checked_sub(start.saturating_add(reach)) {
            Some(room) => (room / self.window.stride[1] + 1).min(self.width - column),
            None => 1,
        }
    }

    /// Elements from a tap to that of the next place in the row.
    pub(super) fn step(&self) -> usize {
        self.window.stride[1] * self.pixel
    }
}
