//! Dense convolution of any kernel, stride and dilation.
//!
//! No copy of the image is made: each tap of the kernel reads the pixels where they are.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::block::{self, ROWS, Sums, VECTORS, add_products, store};
use super::math::{activate_in_registers, activate_stored};
use super::memory::{ChannelsLast, buffer, channels_last};
use super::places::Places;
use crate::params::{Activation, Convolution, Window};
use crate::simd::dispatch;
use crate::value::HostTensor;

/// Blocks that share weights while these are in the cache.
const BLOCKS: usize = 16;
/// Products that are added up for all these blocks before the next: their weights fit into the first cache.
const DEPTH: usize = 256;

/// Packed weights.
pub(crate) struct Dense {
    window: Window,
    activation: Option<Activation>,
    inputs: usize,
    outputs: usize,
    /// Products are taps, then input channels.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    pub(super) fn prepare(conv: &Convolution, weights: &HostTensor, bias: Option<&[f32]>) -> Result<Self, String> {
        let [outputs, inputs, rows, columns] = weights.shape[..] else {
            return Err("weights without four dimensions".to_owned());
        };
        let data = weights.floats().ok_or("integer weights")?;
        let taps = rows * columns;
        if data.is_empty() {
            return Err("no weights".to_owned());
        }
        let packed = block::pack(outputs, taps * inputs, |output, product| {
            data[(output * inputs + product % inputs) * taps + product / inputs]
        });
        let bias = block::pack_bias(outputs, bias)?;
        Ok(Self { window: conv.window, activation: conv.activation, inputs, outputs, weights: packed, bias })
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

    /// Parts of the products: ranges of taps and of input channels.
    fn parts(&self) -> Vec<[std::ops::Range<usize>; 2]> {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let at_once = (DEPTH / self.inputs.max(1)).max(1);
        let cut = |size: usize, step: usize| (0..size).step_by(step).map(move |from| from..(from + step).min(size));
        cut(taps, at_once).flat_map(|taps| cut(self.inputs, DEPTH).map(move |inputs| [taps.clone(), inputs])).collect()
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
        let parts = conv.parts();
        let outputs = places.outputs();
        let image_size = x.height * x.width * x.pixel;
        let width = VECTORS * S::F32_LANES;
        // Inputs of a group of blocks: taps, then places.
        let mut sources: Vec<&[f32]> = vec![&zeros; taps * BLOCKS * ROWS];
        let mut sums: [Sums<S>; BLOCKS] = [[[simd.splat_f32s(0.0); VECTORS]; ROWS]; BLOCKS];
        for (n, out) in out.chunks_exact_mut((outputs * conv.outputs).max(1)).enumerate() {
            let image = &x.data()[n * image_size..];
            for first in (0..outputs).step_by(BLOCKS * ROWS) {
                let count = (outputs - first).min(BLOCKS * ROWS);
                let [mut row, mut column] = [first / places.width, first % places.width];
                for index in 0..count.next_multiple_of(ROWS) {
                    for tap in 0..taps {
                        let source = places.tap(row, column, tap / kernel_columns, tap % kernel_columns);
                        sources[tap * BLOCKS * ROWS + index] =
                            source.map_or(zeros.as_slice(), |at| &image[at..at + conv.inputs]);
                    }
                    // The last block repeats its last place; the surplus is not stored.
                    if index + 1 < count {
                        column += 1;
                        if column == places.width {
                            (row, column) = (row + 1, 0);
                        }
                    }
                }
                for (channels, weights) in conv.weights.chunks_exact(taps * conv.inputs * width).enumerate() {
                    let channel = channels * width;
                    let (bias, _) = S::as_simd_f32s(&conv.bias[channel..channel + width]);
                    let (weights, _) = S::as_simd_f32s(weights);
                    let stored = (conv.outputs - channel).min(width);
                    let blocks = count.div_ceil(ROWS);
                    for (part, [taps, inputs]) in parts.iter().enumerate() {
                        for (block, sums) in sums.iter_mut().enumerate().take(blocks) {
                            let mut added = if part == 0 { [[bias[0], bias[1]]; ROWS] } else { *sums };
                            for tap in taps.clone() {
                                let mut rows = [zeros.as_slice(); ROWS];
                                for (row, source) in rows.iter_mut().zip(&sources[(tap * BLOCKS + block) * ROWS..]) {
                                    *row = &source[inputs.clone()];
                                }
                                let from = tap * conv.inputs;
                                let weights = &weights[(from + inputs.start) * VECTORS..(from + inputs.end) * VECTORS];
                                add_products(simd, rows, weights, &mut added);
                            }
                            if part + 1 < parts.len() {
                                *sums = added;
                                continue;
                            }
                            activate_in_registers(simd, added.as_flattened_mut(), conv.activation);
                            let start = first + block * ROWS;
                            for (lane, sum) in added.iter().enumerate().take(first + count - start) {
                                let at = (start + lane) * conv.outputs + channel;
                                store(simd, &mut out[at..at + stored], *sum);
                            }
                        }
                    }
                }
                activate_stored(simd, &mut out[first * conv.outputs..(first + count) * conv.outputs], conv.activation);
            }
        }
    }
}
