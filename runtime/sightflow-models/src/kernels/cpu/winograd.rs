//! Dense convolution with a kernel of 3×3 and stride 1, in 16 multiplications for four results instead of 36.
//!
//! Winograd's minimal filtering F(2×2, 3×3), as A. Lavin and S. Gray give it ("Fast Algorithms for Convolutional Neural
//! Networks", 2015): each tile of 4×4 inputs `d` becomes `Bᵀ d B`, each kernel `g` becomes `G g Gᵀ`, their products are
//! added up over the input channels for each of the 16 elements, and `Aᵀ m A` of the sums is a tile of 2×2 results.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::block::{self, ROWS, VECTORS, add_products};
use super::math::activate;
use super::memory::{self, ChannelsLast, buffer, channels_last};
use crate::params::{Activation, Convolution, Window};
use crate::simd::dispatch;
use crate::value::HostTensor;

/// Inputs of a tile along an axis.
const INPUT: usize = 4;
/// Results of a tile along an axis.
const OUTPUT: usize = 2;
/// Elements of a transformed tile.
const ELEMENTS: usize = INPUT * INPUT;
/// Floats of the transformed tiles and sums that are worked on at once: they stay in the second cache.
const WORKING_SET: usize = 128 << 10;
/// With fewer channels the transformations cost more than they save.
const FEWEST_CHANNELS: usize = 16;

/// Transformed and packed weights.
pub(crate) struct Winograd {
    window: Window,
    activation: Option<Activation>,
    inputs: usize,
    outputs: usize,
    /// For each element of a tile; the products are the input channels.
    weights: [Vec<f32>; ELEMENTS],
    bias: Vec<f32>,
}

impl Winograd {
    /// Whether this method is for such a convolution.
    pub(super) fn suits(conv: &Convolution, weights: &HostTensor) -> bool {
        let Window { kernel, stride, dilation, .. } = conv.window;
        let [outputs, inputs, ..] = weights.shape[..] else { return false };
        (kernel, stride, dilation) == ([3, 3], [1, 1], [1, 1]) && outputs.min(inputs) >= FEWEST_CHANNELS
    }

    pub(super) fn prepare(conv: &Convolution, weights: &HostTensor, bias: Option<&[f32]>) -> Result<Self, String> {
        let [outputs, inputs, 3, 3] = weights.shape[..] else {
            return Err("weights of another kernel than 3×3".to_owned());
        };
        let (kernels, _) = weights.floats().ok_or("integer weights")?.as_chunks::<9>();
        let mut transformed = vec![[0.0; ELEMENTS]; kernels.len()];
        transformed.iter_mut().zip(kernels).for_each(|(to, kernel)| *to = transform_kernel(kernel));
        let weights = std::array::from_fn(|element| {
            block::pack(outputs, inputs, |output, input| transformed[output * inputs + input][element])
        });
        let bias = block::pack_bias(outputs, bias)?;
        Ok(Self { window: conv.window, activation: conv.activation, inputs, outputs, weights, bias })
    }

    pub(super) fn run(&self, x: &ChannelsLast) -> Result<FlexTensor, String> {
        if x.channels != self.inputs {
            return Err(format!("{} channels where {} are needed", x.channels, self.inputs));
        }
        let size = [x.height, x.width];
        let padding = self.window.padding_for(size);
        let [height, width] = self.window.output(size, padding)?;
        let tiles = [height.div_ceil(OUTPUT), width.div_ceil(OUTPUT)];
        let block = block::width();
        let row = [self.inputs.next_multiple_of(block), self.outputs.next_multiple_of(block)];
        let group = (WORKING_SET / ELEMENTS / (row[0] + row[1])).max(1).next_multiple_of(ROWS).min(tiles[0] * tiles[1]);
        let mut out = buffer(x.count * height * width * self.outputs)?;
        let mut inputs = buffer(ELEMENTS * group * row[0])?;
        let mut sums = buffer(ELEMENTS * group * row[1])?;
        dispatch(Run {
            conv: self,
            x,
            size: [height, width],
            tiles,
            offset: [padding.top, padding.left],
            group,
            inputs: &mut inputs,
            sums: &mut sums,
            out: &mut out,
        });
        memory::keep_spare(inputs);
        memory::keep_spare(sums);
        Ok(channels_last(out, [x.count, self.outputs, height, width]))
    }
}

/// `G g Gᵀ`, where G has the rows (1, 0, 0), (½, ½, ½), (½, −½, ½) and (0, 0, 1).
fn transform_kernel(kernel: &[f32; 9]) -> [f32; ELEMENTS] {
    let g = |values: [f64; 3]| {
        let [a, b, c] = values;
        [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
    };
    let rows: [[f64; INPUT]; 3] =
        std::array::from_fn(|row| g(std::array::from_fn(|at| f64::from(kernel[row * 3 + at]))));
    let columns: [[f64; INPUT]; INPUT] = std::array::from_fn(|column| g(rows.map(|row| row[column])));
    std::array::from_fn(|element| columns[element % INPUT][element / INPUT] as f32)
}

struct Run<'a> {
    conv: &'a Winograd,
    x: &'a ChannelsLast,
    /// Height and width of the result.
    size: [usize; 2],
    /// Tiles along its height and width.
    tiles: [usize; 2],
    /// Zeros above and to the left of the image.
    offset: [usize; 2],
    /// Tiles that are worked on at once.
    group: usize,
    /// Transformed inputs: elements, tiles, input channels.
    inputs: &'a mut [f32],
    /// Sums of products: elements, tiles, output channels.
    sums: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let zeros = vec![0.0; self.conv.inputs];
        let tiles = self.tiles[0] * self.tiles[1];
        for n in 0..self.x.count {
            for first in (0..tiles).step_by(self.group) {
                let count = self.group.min(tiles - first);
                self.transform_inputs(simd, n, first, count, &zeros);
                self.add_up(simd, count);
                self.transform_sums(simd, n, first, count);
            }
        }
    }
}

impl Run<'_> {
    /// `Bᵀ d B` of each tile, where Bᵀ has the rows (1, 0, −1, 0), (0, 1, 1, 0), (0, −1, 1, 0) and (0, 1, 0, −1).
    #[inline(always)]
    fn transform_inputs<S: Simd>(&mut self, simd: S, n: usize, first: usize, count: usize, zeros: &[f32]) {
        let x = self.x;
        let channels = self.conv.inputs;
        let row = self.inputs.len() / (ELEMENTS * self.group);
        let image = &x.data()[n * x.height * x.width * x.pixel..];
        for tile in 0..count {
            let (down, across) = ((first + tile) / self.tiles[1], (first + tile) % self.tiles[1]);
            let pixels: [&[f32]; ELEMENTS] = std::array::from_fn(|element| {
                let row = (down * OUTPUT + element / INPUT).wrapping_sub(self.offset[0]);
                let column = (across * OUTPUT + element % INPUT).wrapping_sub(self.offset[1]);
                match row < x.height && column < x.width {
                    true => &image[(row * x.width + column) * x.pixel..][..channels],
                    false => zeros,
                }
            });
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut d = [[simd.splat_f32s(0.0); INPUT]; INPUT];
                for (d, pixel) in d.as_flattened_mut().iter_mut().zip(pixels) {
                    *d = match pixel.get(channel..channel + S::F32_LANES) {
                        Some(whole) => S::as_simd_f32s(whole).0[0],
                        None => simd.partial_load_f32s(&pixel[channel..]),
                    };
                }
                for row in &mut d {
                    *row = transform_line(simd, *row);
                }
                let [a, b, c, d] = d;
                for (column, line) in a.into_iter().zip(b).zip(c).zip(d).enumerate() {
                    let (((a, b), c), d) = line;
                    let line = transform_line(simd, [a, b, c, d]);
                    for (element, value) in line.into_iter().enumerate() {
                        let at = ((element * INPUT + column) * self.group + tile) * row + channel;
                        S::as_mut_simd_f32s(&mut self.inputs[at..at + S::F32_LANES]).0[0] = value;
                    }
                }
            }
        }
    }

    /// For each element a product of matrices: tiles by input channels, input channels by output channels.
    #[inline(always)]
    fn add_up<S: Simd>(&mut self, simd: S, count: usize) {
        let (channels, width) = (self.conv.inputs, VECTORS * S::F32_LANES);
        let inputs = self.inputs.chunks_exact(self.inputs.len() / ELEMENTS);
        let sums = self.sums.len() / ELEMENTS;
        for ((inputs, sums), weights) in inputs.zip(self.sums.chunks_exact_mut(sums)).zip(&self.conv.weights) {
            let [from, to] = [inputs.len() / self.group, sums.len() / self.group];
            for (block, weights) in weights.chunks_exact(channels * width).enumerate() {
                let (weights, _) = S::as_simd_f32s(weights);
                for first in (0..count).step_by(ROWS) {
                    // The last block repeats its last tile; the surplus is not stored.
                    let mut rows = [&inputs[..channels]; ROWS];
                    for (lane, row) in rows.iter_mut().enumerate() {
                        *row = &inputs[(first + lane).min(count - 1) * from..][..channels];
                    }
                    let mut added = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
                    add_products(simd, rows, weights, &mut added);
                    for (lane, sum) in added.into_iter().enumerate().take(count - first) {
                        let at = (first + lane) * to + block * width;
                        let (out, _) = S::as_mut_simd_f32s(&mut sums[at..at + width]);
                        out.copy_from_slice(&sum);
                    }
                }
            }
        }
    }

    /// `Aᵀ m A` of each tile, where Aᵀ has the rows (1, 1, 1, 0) and (0, 1, −1, −1).
    #[inline(always)]
    fn transform_sums<S: Simd>(&mut self, simd: S, n: usize, first: usize, count: usize) {
        let [height, width] = self.size;
        let channels = self.conv.outputs;
        let row = self.sums.len() / (ELEMENTS * self.group);
        let image = &mut self.out[n * height * width * channels..][..height * width * channels];
        for tile in 0..count {
            let (down, across) = ((first + tile) / self.tiles[1] * OUTPUT, (first + tile) % self.tiles[1] * OUTPUT);
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut rows = [[simd.splat_f32s(0.0); OUTPUT]; INPUT];
                for (element_row, to) in rows.iter_mut().enumerate() {
                    let mut m = [simd.splat_f32s(0.0); INPUT];
                    for (column, m) in m.iter_mut().enumerate() {
                        let at = ((element_row * INPUT + column) * self.group + tile) * row + channel;
                        *m = S::as_simd_f32s(&self.sums[at..at + S::F32_LANES]).0[0];
                    }
                    *to = shrink_line(simd, m);
                }
                let bias = S::as_simd_f32s(&self.conv.bias[channel..channel + S::F32_LANES]).0[0];
                let [a, b, c, d] = rows;
                for (column, line) in a.into_iter().zip(b).zip(c).zip(d).enumerate().take(width - across) {
                    let (((a, b), c), d) = line;
                    let results = shrink_line(simd, [a, b, c, d]);
                    for (result_row, result) in results.into_iter().enumerate().take(height - down) {
                        let mut result = simd.add_f32s(result, bias);
                        if let Some(activation) = self.conv.activation {
                            result = activate(simd, result, activation);
                        }
                        let at = ((down + result_row) * width + across + column) * channels;
                        let out = &mut image[at + channel..at + channels];
                        match out.get_mut(..S::F32_LANES) {
                            Some(out) => S::as_mut_simd_f32s(out).0[0] = result,
                            None => simd.partial_store_f32s(out, result),
                        }
                    }
                }
            }
        }
    }
}

// Functions, not closures in `map` or `from_fn`: only what is inlined here uses the level's instructions.

/// `Bᵀ` times a column.
#[inline(always)]
fn transform_line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; INPUT]) -> [S::f32s; INPUT] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// `Aᵀ` times a column.
#[inline(always)]
fn shrink_line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; INPUT]) -> [S::f32s; OUTPUT] {
    [simd.add_f32s(a, simd.add_f32s(b, c)), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}
