//! Depthwise convolution: each channel has its own kernel, so vectors hold channels of one pixel.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::math::{activate_in_registers, activate_stored};
use super::memory::{ChannelsLast, buffer, channels_last};
use super::places::Places;
use crate::params::{Activation, Convolution, Window};
use crate::simd::dispatch;
use crate::value::HostTensor;

/// Vectors of channels that are summed at once.
const VECTORS: usize = 4;

/// Weights by tap, then channel.
pub(crate) struct Depthwise {
    window: Window,
    activation: Option<Activation>,
    channels: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    pub(super) fn prepare(conv: &Convolution, weights: &HostTensor, bias: Option<&[f32]>) -> Result<Self, String> {
        let channels = conv.groups;
        let data = weights.floats().ok_or("integer weights")?;
        let taps = data.len() / channels;
        let mut packed = vec![0.0; data.len()];
        for channel in 0..channels {
            for tap in 0..taps {
                packed[tap * channels + channel] = data[channel * taps + tap];
            }
        }
        let bias = bias.map_or_else(|| vec![0.0; channels], <[f32]>::to_vec);
        if bias.len() != channels {
            return Err("a bias of another length than the outputs".to_owned());
        }
        Ok(Self { window: conv.window, activation: conv.activation, channels, weights: packed, bias })
    }

    pub(super) fn run(&self, x: &ChannelsLast) -> Result<FlexTensor, String> {
        if x.channels != self.channels {
            return Err(format!("{} channels where {} are needed", x.channels, self.channels));
        }
        let places = Places::new(&self.window, x)?;
        let mut out = buffer(x.count * places.outputs() * self.channels)?;
        dispatch(Run { conv: self, x, places: &places, out: &mut out });
        Ok(channels_last(out, [x.count, self.channels, places.height, places.width]))
    }
}

struct Run<'a> {
    conv: &'a Depthwise,
    x: &'a ChannelsLast,
    places: &'a Places,
    out: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, places, out } = self;
        let channels = conv.channels;
        let [kernel_rows, kernel_columns] = conv.window.kernel;
        let image_size = x.height * x.width * x.pixel;
        // The taps of a window that lie on the image: first elements of the pixel and of its weights.
        let mut taps: Vec<(usize, usize)> = Vec::with_capacity(kernel_rows * kernel_columns);
        for (n, out) in out.chunks_exact_mut((places.outputs() * channels).max(1)).enumerate() {
            let image = &x.data()[n * image_size..];
            let mut lines = out.chunks_exact_mut(places.width * channels);
            for (row, line) in (0..places.height).zip(&mut lines) {
                let mut column = 0;
                while column < places.width {
                    taps.clear();
                    places.visit(row, column, |tap, at| taps.push((at, tap * channels)));
                    let alike = places.alike(column);
                    let sums = Sums { conv, image, taps: &taps, step: places.step() };
                    let out = &mut line[column * channels..(column + alike) * channels];
                    let mut pairs = out.chunks_exact_mut(2 * channels);
                    let mut shift = 0;
                    for pair in &mut pairs {
                        sums.pixels::<S, 2>(simd, shift, pair);
                        shift += 2 * places.step();
                    }
                    if let rest @ [_, ..] = pairs.into_remainder() {
                        sums.pixels::<S, 1>(simd, shift, rest);
                    }
                    column += alike;
                }
                activate_stored(simd, line, conv.activation);
            }
        }
    }
}

/// What neighbouring results are made from.
struct Sums<'a> {
    conv: &'a Depthwise,
    image: &'a [f32],
    taps: &'a [(usize, usize)],
    /// Elements from a tap to that of the next result.
    step: usize,
}

impl Sums<'_> {
    /// Results of `P` neighbours, whose taps lie `shift` elements after those of the first.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize>(&self, simd: S, shift: usize, out: &mut [f32]) {
        let channels = self.conv.channels;
        let mut channel = 0;
        while channel + VECTORS * S::F32_LANES <= channels {
            self.channels::<S, P, VECTORS>(simd, shift, out, channel);
            channel += VECTORS * S::F32_LANES;
        }
        while channel + S::F32_LANES <= channels {
            self.channels::<S, P, 1>(simd, shift, out, channel);
            channel += S::F32_LANES;
        }
        if channel < channels {
            for pixel in 0..P {
                self.last_channels(simd, shift + pixel * self.step, channel, &mut out[pixel * channels..][..channels]);
            }
        }
    }

    /// `N` vectors of channels.
    #[inline(always)]
    fn channels<S: Simd, const P: usize, const N: usize>(
        &self,
        simd: S,
        shift: usize,
        out: &mut [f32],
        channel: usize,
    ) {
        let length = N * S::F32_LANES;
        let (bias, _) = S::as_simd_f32s(&self.conv.bias[channel..channel + length]);
        let mut sums = [[simd.splat_f32s(0.0); N]; P];
        for sums in &mut sums {
            sums.copy_from_slice(bias);
        }
        for (at, weights) in self.taps {
            let (weights, _) = S::as_simd_f32s(&self.conv.weights[weights + channel..][..length]);
            for (pixel, sums) in sums.iter_mut().enumerate() {
                let (inputs, _) = S::as_simd_f32s(&self.image[at + shift + pixel * self.step + channel..][..length]);
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_add_e_f32s(inputs[vector], weights[vector], *sum);
                }
            }
        }
        activate_in_registers::<S>(simd, sums.as_flattened_mut(), self.conv.activation);
        for (pixel, sums) in sums.iter().enumerate() {
            let (out, _) = S::as_mut_simd_f32s(&mut out[pixel * self.conv.channels + channel..][..length]);
            out.copy_from_slice(sums);
        }
    }

    /// The channels that do not fill a vector.
    #[inline(always)]
    fn last_channels<S: Simd>(&self, simd: S, shift: usize, channel: usize, out: &mut [f32]) {
        let channels = self.conv.channels;
        let mut sum = simd.partial_load_f32s(&self.conv.bias[channel..]);
        for (at, weights) in self.taps {
            let inputs = simd.partial_load_f32s(&self.image[at + shift + channel..at + shift + channels]);
            let weights = simd.partial_load_f32s(&self.conv.weights[weights + channel..weights + channels]);
            sum = simd.mul_add_e_f32s(inputs, weights, sum);
        }
        activate_in_registers::<S>(simd, std::slice::from_mut(&mut sum), self.conv.activation);
        simd.partial_store_f32s(&mut out[channel..], sum);
    }
}
