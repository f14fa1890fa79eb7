//! Depthwise convolution: each channel has its own kernel, so vectors hold channels of one pixel.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::dense::Places;
use super::math::{activate_in_registers, activate_stored};
use super::memory::{ChannelsLast, buffer, channels_last};
use crate::ops::{Activation, Convolution, Window};
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
    pub(super) fn prepare(conv: &Convolution, weights: &HostTensor, bias: Option<&HostTensor>) -> Result<Self, String> {
        let channels = conv.groups;
        let data = weights.floats().ok_or("integer weights")?;
        let taps = data.len() / channels;
        let mut packed = vec![0.0; data.len()];
        for channel in 0..channels {
            for tap in 0..taps {
                packed[tap * channels + channel] = data[channel * taps + tap];
            }
        }
        let bias = match bias {
            Some(bias) => bias
                .floats()
                .filter(|bias| bias.len() == channels)
                .ok_or("a bias of another length than the outputs")?
                .to_vec(),
            None => vec![0.0; channels],
        };
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
        // The taps of a window that lie on the image: its pixel and its weights.
        let mut taps: Vec<(&[f32], &[f32])> = Vec::with_capacity(kernel_rows * kernel_columns);
        for (n, out) in out.chunks_exact_mut(places.outputs() * channels).enumerate() {
            let image = &x.data()[n * image_size..];
            for (output, out) in out.chunks_exact_mut(channels).enumerate() {
                let (row, column) = (output / places.width, output % places.width);
                taps.clear();
                places.visit(row, column, |tap, at| {
                    taps.push((&image[at..at + channels], &conv.weights[tap * channels..(tap + 1) * channels]));
                });
                sum_pixel(simd, &taps, &conv.bias, conv.activation, out);
                activate_stored(simd, out, conv.activation);
            }
        }
    }
}

#[inline(always)]
fn sum_pixel<S: Simd>(
    simd: S,
    taps: &[(&[f32], &[f32])],
    bias: &[f32],
    activation: Option<Activation>,
    out: &mut [f32],
) {
    let step = VECTORS * S::F32_LANES;
    let channels = out.len();
    let mut channel = 0;
    while channel + step <= channels {
        sum_channels::<S, VECTORS>(simd, taps, bias, activation, out, channel);
        channel += step;
    }
    while channel + S::F32_LANES <= channels {
        sum_channels::<S, 1>(simd, taps, bias, activation, out, channel);
        channel += S::F32_LANES;
    }
    if channel < channels {
        let mut sum = simd.partial_load_f32s(&bias[channel..]);
        for (pixel, weights) in taps {
            sum = simd.mul_add_e_f32s(
                simd.partial_load_f32s(&pixel[channel..channels]),
                simd.partial_load_f32s(&weights[channel..channels]),
                sum,
            );
        }
        activate_in_registers::<S>(simd, std::slice::from_mut(&mut sum), activation);
        simd.partial_store_f32s(&mut out[channel..], sum);
    }
}

#[inline(always)]
fn sum_channels<S: Simd, const N: usize>(
    simd: S,
    taps: &[(&[f32], &[f32])],
    bias: &[f32],
    activation: Option<Activation>,
    out: &mut [f32],
    channel: usize,
) {
    let range = channel..channel + N * S::F32_LANES;
    let vectors = |slice: &[f32]| -> [S::f32s; N] { std::array::from_fn(|vector| S::as_simd_f32s(slice).0[vector]) };
    let mut sums = vectors(&bias[range.clone()]);
    for (pixel, weights) in taps {
        let (pixel, weights) = (vectors(&pixel[range.clone()]), vectors(&weights[range.clone()]));
        for vector in 0..N {
            sums[vector] = simd.mul_add_e_f32s(pixel[vector], weights[vector], sums[vector]);
        }
    }
    activate_in_registers::<S>(simd, &mut sums, activation);
    let (out, _) = S::as_mut_simd_f32s(&mut out[range]);
    out.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
}
