//! Windows and means over images whose channels are adjacent.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};

use super::memory::{ChannelsLast, buffer, channels_last};
use super::places::Places;
use crate::params::Window;
use crate::simd::dispatch;

/// Vectors of channels that are compared at once.
const VECTORS: usize = 4;

pub(super) fn max_pool(x: &ChannelsLast, window: &Window) -> Result<FlexTensor, String> {
    let places = Places::new(window, x)?;
    let mut out = buffer(x.count * places.outputs() * x.channels)?;
    dispatch(MaxPool { x, places: &places, out: &mut out });
    Ok(channels_last(out, [x.count, x.channels, places.height, places.width]))
}

struct MaxPool<'a> {
    x: &'a ChannelsLast,
    places: &'a Places,
    out: &'a mut [f32],
}

impl WithSimd for MaxPool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, places, out } = self;
        let channels = x.channels;
        let image_size = x.height * x.width * x.pixel;
        let mut taps: Vec<&[f32]> = Vec::new();
        for (n, out) in out.chunks_exact_mut((places.outputs() * channels).max(1)).enumerate() {
            let image = &x.data()[n * image_size..];
            for (output, out) in out.chunks_exact_mut(channels).enumerate() {
                let (row, column) = (output / places.width, output % places.width);
                taps.clear();
                places.visit(row, column, |_, at| taps.push(&image[at..at + channels]));
                largest(simd, &taps, out);
            }
        }
    }
}

#[inline(always)]
fn largest<S: Simd>(simd: S, taps: &[&[f32]], out: &mut [f32]) {
    let step = VECTORS * S::F32_LANES;
    let mut channel = 0;
    while channel + step <= out.len() {
        largest_of::<S, VECTORS>(simd, taps, out, channel);
        channel += step;
    }
    while channel + S::F32_LANES <= out.len() {
        largest_of::<S, 1>(simd, taps, out, channel);
        channel += S::F32_LANES;
    }
    let rest = &mut out[channel..];
    if !rest.is_empty() {
        let mut most = simd.splat_f32s(f32::NEG_INFINITY);
        for pixel in taps {
            most = simd.max_f32s(most, simd.partial_load_f32s(&pixel[channel..]));
        }
        simd.partial_store_f32s(rest, most);
    }
}

#[inline(always)]
fn largest_of<S: Simd, const N: usize>(simd: S, taps: &[&[f32]], out: &mut [f32], channel: usize) {
    let range = channel..channel + N * S::F32_LANES;
    let mut most = [simd.splat_f32s(f32::NEG_INFINITY); N];
    for pixel in taps {
        let (pixel, _) = S::as_simd_f32s(&pixel[range.clone()]);
        for vector in 0..N {
            most[vector] = simd.max_f32s(most[vector], pixel[vector]);
        }
    }
    let (out, _) = S::as_mut_simd_f32s(&mut out[range]);
    out.iter_mut().zip(most).for_each(|(to, most)| *to = most);
}

pub(super) fn mean_of_pixels(x: &ChannelsLast) -> Result<FlexTensor, String> {
    let pixels = x.height * x.width;
    let mut out = buffer(x.count * x.channels)?;
    dispatch(|| {
        for (n, out) in out.chunks_exact_mut(x.channels.max(1)).enumerate() {
            let image = &x.data()[n * pixels * x.pixel..];
            out.fill(0.0);
            for pixel in image.chunks(x.pixel).take(pixels) {
                out.iter_mut().zip(pixel).for_each(|(to, from)| *to += from);
            }
            out.iter_mut().for_each(|sum| *sum /= pixels as f32);
        }
    });
    Ok(channels_last(out, [x.count, x.channels, 1, 1]))
}
