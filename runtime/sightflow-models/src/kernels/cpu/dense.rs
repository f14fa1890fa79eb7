//! Dense convolution: small blocks of the result are kept in registers while all inputs of the block are added up.
//!
//! A block is some pixels by two vectors of output channels. Weights are packed so that they are read once, in order.
//! No copy of the image is made: each tap of the kernel reads the pixels where they are.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::math::{activate_in_registers, activate_stored};
use super::memory::{ChannelsLast, buffer, channels_last};
use crate::ops::{Activation, Convolution, Window};
use crate::simd::dispatch;
use crate::value::HostTensor;

/// Pixels of a block.
const PIXELS: usize = 6;
/// Blocks that share weights while these are in the cache.
const BLOCKS: usize = 16;
/// Vectors of output channels of a block.
const VECTORS: usize = 2;

/// Packed weights.
pub(crate) struct Dense {
    window: Window,
    activation: Option<Activation>,
    inputs: usize,
    outputs: usize,
    /// Per block of output channels: taps, input channels, `VECTORS` vectors.
    weights: Vec<f32>,
    /// Padded to whole blocks.
    bias: Vec<f32>,
}

impl Dense {
    pub(super) fn prepare(conv: &Convolution, weights: &HostTensor, bias: Option<&HostTensor>) -> Result<Self, String> {
        let [outputs, inputs, rows, columns] = weights.shape[..] else {
            return Err("weights without four dimensions".to_owned());
        };
        let data = weights.floats().ok_or("integer weights")?;
        let width = VECTORS * dispatch(Lanes);
        let blocks = outputs.div_ceil(width);
        let taps = rows * columns;
        let mut packed = vec![0.0; blocks * taps * inputs * width];
        for output in 0..outputs {
            let (block, lane) = (output / width, output % width);
            for input in 0..inputs {
                for tap in 0..taps {
                    packed[((block * taps + tap) * inputs + input) * width + lane] =
                        data[(output * inputs + input) * taps + tap];
                }
            }
        }
        let mut padded = vec![0.0; blocks * width];
        if let Some(bias) = bias {
            let bias = bias
                .floats()
                .filter(|bias| bias.len() == outputs)
                .ok_or("a bias of another length than the outputs")?;
            padded[..outputs].copy_from_slice(bias);
        }
        Ok(Self { window: conv.window, activation: conv.activation, inputs, outputs, weights: packed, bias: padded })
    }

    pub(super) fn run(&self, x: &ChannelsLast) -> Result<FlexTensor, String> {
        if x.channels != self.inputs {
            return Err(format!("{} channels where {} are needed", x.channels, self.inputs));
        }
        let places = Places::new(&self.window, x)?;
        let mut out = buffer(x.count * places.outputs() * self.outputs)?;
        dispatch(Run { conv: self, x, places: &places, out: &mut out });
        Ok(channels_last(out, [x.count, self.outputs, places.height, places.width]))
    }
}

/// Where windows lie on an image.
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
}

/// Floats in a vector of this machine.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}

struct Run<'a> {
    conv: &'a Dense,
    x: &'a ChannelsLast,
    places: &'a Places,
    out: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, places, out } = self;
        let [kernel_rows, kernel_columns] = conv.window.kernel;
        let taps = kernel_rows * kernel_columns;
        let zeros = vec![0.0; conv.inputs];
        let outputs = places.outputs();
        let image_size = x.height * x.width * x.pixel;
        let width = VECTORS * S::F32_LANES;
        let block_weights = taps * conv.inputs * width;
        // Inputs of a group of blocks: blocks, taps, pixels.
        let mut sources: Vec<&[f32]> = vec![&zeros; BLOCKS * taps * PIXELS];
        for (n, out) in out.chunks_exact_mut(outputs * conv.outputs).enumerate() {
            let image = &x.data()[n * image_size..];
            for first in (0..outputs).step_by(BLOCKS * PIXELS) {
                let count = (outputs - first).min(BLOCKS * PIXELS);
                for index in 0..count.next_multiple_of(PIXELS) {
                    let (block, lane) = (index / PIXELS, index % PIXELS);
                    // The last block repeats its last pixel; the surplus is not stored.
                    let output = first + index.min(count - 1);
                    let (row, column) = (output / places.width, output % places.width);
                    for tap in 0..taps {
                        let source = places.tap(row, column, tap / kernel_columns, tap % kernel_columns);
                        sources[(block * taps + tap) * PIXELS + lane] =
                            source.map_or(zeros.as_slice(), |at| &image[at..at + conv.inputs]);
                    }
                }
                for (channels, weights) in conv.weights.chunks_exact(block_weights).enumerate() {
                    let channel = channels * width;
                    let (bias, _) = S::as_simd_f32s(&conv.bias[channel..channel + width]);
                    let (weights, _) = S::as_simd_f32s(weights);
                    let stored = (conv.outputs - channel).min(width);
                    for block in 0..count.div_ceil(PIXELS) {
                        let rows = &sources[block * taps * PIXELS..(block + 1) * taps * PIXELS];
                        let mut sums = sum_block(simd, rows, weights, [bias[0], bias[1]], conv.inputs);
                        activate_in_registers(simd, sums.as_flattened_mut(), conv.activation);
                        let start = first + block * PIXELS;
                        for (lane, sum) in sums.iter().enumerate().take(outputs.min(first + count) - start) {
                            let at = (start + lane) * conv.outputs + channel;
                            store(simd, &mut out[at..at + stored], *sum);
                        }
                    }
                }
                activate_stored(simd, &mut out[first * conv.outputs..(first + count) * conv.outputs], conv.activation);
            }
        }
    }
}

#[inline(always)]
fn sum_block<S: Simd>(
    simd: S,
    sources: &[&[f32]],
    weights: &[S::f32s],
    bias: [S::f32s; VECTORS],
    inputs: usize,
) -> [[S::f32s; VECTORS]; PIXELS] {
    let mut sums = [bias; PIXELS];
    for (sources, weights) in sources.as_chunks::<PIXELS>().0.iter().zip(weights.chunks_exact(inputs * VECTORS)) {
        let rows: [&[f32]; PIXELS] = std::array::from_fn(|lane| &sources[lane][..inputs]);
        for (input, weights) in weights.as_chunks::<VECTORS>().0.iter().enumerate().take(inputs) {
            for lane in 0..PIXELS {
                let value = simd.splat_f32s(rows[lane][input]);
                for vector in 0..VECTORS {
                    sums[lane][vector] = simd.mul_add_e_f32s(value, weights[vector], sums[lane][vector]);
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn store<S: Simd>(simd: S, out: &mut [f32], sum: [S::f32s; VECTORS]) {
    let (whole, rest) = S::as_mut_simd_f32s(out);
    let stored = whole.len();
    for (to, from) in whole.iter_mut().zip(sum) {
        *to = from;
    }
    if let (false, Some(last)) = (rest.is_empty(), sum.get(stored)) {
        simd.partial_store_f32s(rest, *last);
    }
}
