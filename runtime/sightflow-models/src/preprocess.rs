//! From pixels to the input tensor, in one pass: resampled, normalised, channels in the model's order.

mod sampling;

use pulp::Arch;
use sightflow_images::Pixels;
use sightflow_types::detection::BoundingBox;
use sightflow_types::model::{ChannelOrder, ModelSpec, ResizeMode};

use sampling::Taps;

/// A part of an image, possibly mirrored left to right: what one row of a batch shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) mirrored: bool,
}

impl View {
    /// All of an image.
    pub(crate) fn whole(image: &Pixels) -> Self {
        Self { x: 0, y: 0, width: image.width(), height: image.height(), mirrored: false }
    }

    pub(crate) fn mirrored(self) -> Self {
        Self { mirrored: !self.mirrored, ..self }
    }
}

/// Where a view lies in the input tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placement {
    view: View,
    /// Size of the view after scaling.
    scaled: [u32; 2],
    /// Left and top of the scaled view in the tensor; negative where it is cut.
    offset: [i64; 2],
}

impl Placement {
    /// Places a view in an input of `size` (width, height).
    pub(crate) fn new(view: View, resize: ResizeMode, size: [u32; 2]) -> Self {
        let (width, height) = (f64::from(view.width), f64::from(view.height));
        let fitted = || {
            let ratio = (f64::from(size[0]) / width).min(f64::from(size[1]) / height);
            let scale = |side: f64, limit: u32| ((side * ratio).round() as u32).clamp(1, limit);
            [scale(width, size[0]), scale(height, size[1])]
        };
        let (scaled, offset) = match resize {
            ResizeMode::Stretch => (size, [0, 0]),
            ResizeMode::LetterboxTopLeft => (fitted(), [0, 0]),
            ResizeMode::LetterboxCenter => {
                let scaled = fitted();
                (scaled, [i64::from((size[0] - scaled[0]) / 2), i64::from((size[1] - scaled[1]) / 2)])
            }
            ResizeMode::ShortestCenterCrop(side) => {
                let longer = |long: u32, short: u32| {
                    (f64::from(side) * f64::from(long) / f64::from(short)).round().min(f64::from(u32::MAX)) as u32
                };
                let scaled = if view.width <= view.height {
                    [side, longer(view.height, view.width)]
                } else {
                    [longer(view.width, view.height), side]
                };
                let start =
                    |axis: usize| -((f64::from(scaled[axis]) - f64::from(size[axis])) / 2.0).round_ties_even() as i64;
                (scaled, [start(0), start(1)])
            }
        };
        Self { view, scaled, offset }
    }

    /// A box in pixels of the input tensor as pixels of the source image, clipped to it. The exact inverse.
    pub(crate) fn to_source(self, found: BoundingBox, (width, height): (u32, u32)) -> BoundingBox {
        let back = |at: f64, axis: usize, side: u32| {
            (at - self.offset[axis] as f64) * f64::from(side) / f64::from(self.scaled[axis])
        };
        let (mut x1, mut x2) = (back(found.x1, 0, self.view.width), back(found.x2, 0, self.view.width));
        if self.view.mirrored {
            (x1, x2) = (f64::from(self.view.width) - x2, f64::from(self.view.width) - x1);
        }
        let across = |at: f64| (at + f64::from(self.view.x)).clamp(0.0, f64::from(width));
        let down = |at: f64| (back(at, 1, self.view.height) + f64::from(self.view.y)).clamp(0.0, f64::from(height));
        BoundingBox { x1: across(x1), y1: down(found.y1), x2: across(x2), y2: down(found.y2) }
    }

    /// Writes the view into `out`, `[height, width, 3]` of the input tensor.
    pub(crate) fn fill(&self, image: &Pixels, spec: &ModelSpec, out: &mut [f32]) {
        let [width, height] = spec.input_size();
        let normal = Normalization::new(spec);
        let columns = self.taps(0, width, spec);
        let rows = self.taps(1, height, spec);
        let source = Source::new(image, self.view);
        let mut line = vec![0.0; self.view.width as usize * source.channels];
        Arch::new().dispatch(|| {
            for (row, out) in out.chunks_exact_mut(width as usize * 3).enumerate() {
                let Some(taps) = rows.at(row) else {
                    out.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&normal.pad));
                    continue;
                };
                source.mix_rows(taps, &mut line);
                for (column, pixel) in out.chunks_exact_mut(3).enumerate() {
                    match columns.at(column) {
                        Some(taps) => normal.apply(source.mix_pixels(taps, &line), pixel),
                        None => pixel.copy_from_slice(&normal.pad),
                    }
                }
            }
        });
    }

    fn taps(&self, axis: usize, length: u32, spec: &ModelSpec) -> Taps {
        let side = if axis == 0 { self.view.width } else { self.view.height };
        let mirrored = axis == 0 && self.view.mirrored;
        Taps::new(side, self.scaled[axis], self.offset[axis], length, spec.preprocess.interpolation, mirrored)
    }
}

/// The last step: scale, mean and deviation per channel, in the model's order.
struct Normalization {
    order: [usize; 3],
    factor: [f32; 3],
    shift: [f32; 3],
    pad: [f32; 3],
}

impl Normalization {
    fn new(spec: &ModelSpec) -> Self {
        let how = &spec.preprocess;
        let order = match spec.inputs.image.channels {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        };
        let factor = how.std.map(|std| (how.scale / std) as f32);
        let shift = [0, 1, 2].map(|channel| (-how.mean[channel] / how.std[channel]) as f32);
        let pad = [0, 1, 2].map(|channel| f32::from(how.pad) * factor[channel] + shift[channel]);
        Self { order, factor, shift, pad }
    }

    #[inline(always)]
    fn apply(&self, color: [f32; 3], out: &mut [f32]) {
        for channel in 0..3 {
            // Cubic interpolation overshoots at edges; pixels do not.
            let value = color[self.order[channel]].clamp(0.0, 255.0);
            out[channel] = value * self.factor[channel] + self.shift[channel];
        }
    }
}

/// The rows of a view.
struct Source<'a> {
    data: &'a [u8],
    channels: usize,
    stride: usize,
    start: usize,
    length: usize,
}

impl<'a> Source<'a> {
    fn new(image: &'a Pixels, view: View) -> Self {
        let channels = image.format().channels();
        let stride = image.width() as usize * channels;
        let start = view.y as usize * stride + view.x as usize * channels;
        Self { data: image.data(), channels, stride, start, length: view.width as usize * channels }
    }

    /// The weighted sum of some rows.
    #[inline(always)]
    fn mix_rows(&self, (first, weights): (usize, &[f32]), line: &mut [f32]) {
        line.fill(0.0);
        for (index, weight) in weights.iter().enumerate() {
            let start = self.start + (first + index) * self.stride;
            let row = &self.data[start..start + self.length];
            line.iter_mut().zip(row).for_each(|(sum, value)| *sum += f32::from(*value) * weight);
        }
    }

    /// The weighted sum of some pixels of a line, as red, green, blue.
    #[inline(always)]
    fn mix_pixels(&self, (first, weights): (usize, &[f32]), line: &[f32]) -> [f32; 3] {
        let mut sum = [0.0; 3];
        let pixels = line[first * self.channels..].chunks_exact(self.channels);
        for (pixel, weight) in pixels.zip(weights) {
            match pixel {
                [gray] => sum[0] += gray * weight,
                [red, green, blue, ..] => {
                    sum[0] += red * weight;
                    sum[1] += green * weight;
                    sum[2] += blue * weight;
                }
                _ => {}
            }
        }
        if self.channels == 1 { [sum[0]; 3] } else { sum }
    }
}

#[cfg(test)]
mod tests;
