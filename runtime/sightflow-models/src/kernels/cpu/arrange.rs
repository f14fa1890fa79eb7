//! Copies: padding, joining and scaling images whose channels are adjacent.

use burn_flex::FlexTensor;

use super::memory::{ChannelsLast, buffer, channels_last};
use crate::params::Padding;
use crate::simd::dispatch;

pub(super) fn pad(x: &ChannelsLast, padding: Padding, value: f32) -> Result<FlexTensor, String> {
    let channels = x.channels;
    let (height, width) = (x.height + padding.top + padding.bottom, x.width + padding.left + padding.right);
    let mut out = buffer(x.count * height * width * channels)?;
    let row = width * channels;
    for (n, image) in out.chunks_exact_mut((height * row).max(1)).enumerate() {
        for (y, line) in image.chunks_exact_mut(row).enumerate() {
            let Some(from) = y.checked_sub(padding.top).filter(|y| *y < x.height) else {
                line.fill(value);
                continue;
            };
            let (left, rest) = line.split_at_mut(padding.left * channels);
            let (inside, right) = rest.split_at_mut(x.width * channels);
            left.fill(value);
            right.fill(value);
            copy_pixels(x, (n * x.height + from) * x.width, inside);
        }
    }
    Ok(channels_last(out, [x.count, channels, height, width]))
}

/// Copies pixels from the given one on.
fn copy_pixels(x: &ChannelsLast, first: usize, out: &mut [f32]) {
    let from = &x.data()[first * x.pixel..];
    if x.pixel == x.channels {
        out.copy_from_slice(&from[..out.len()]);
        return;
    }
    for (to, from) in out.chunks_exact_mut(x.channels).zip(from.chunks(x.pixel)) {
        to.copy_from_slice(&from[..x.channels]);
    }
}

/// Joins the channels of images of one size.
pub(super) fn concat(images: &[ChannelsLast]) -> Result<FlexTensor, String> {
    let first = images.first().ok_or("nothing to join")?;
    let channels = images.iter().map(|image| image.channels).sum();
    let pixels = first.count * first.height * first.width;
    let mut out = buffer(pixels * channels)?;
    let mut start = 0;
    for image in images {
        let pixels = image.data().chunks(image.pixel).map(|pixel| &pixel[..image.channels]);
        for (to, from) in out.chunks_exact_mut(channels).zip(pixels) {
            to[start..start + image.channels].copy_from_slice(from);
        }
        start += image.channels;
    }
    Ok(channels_last(out, [first.count, channels, first.height, first.width]))
}

/// The pixel under `floor(output · ratio)`.
pub(super) fn resize_nearest(x: &ChannelsLast, [height, width]: [usize; 2]) -> Result<FlexTensor, String> {
    let channels = x.channels;
    let mut out = buffer(x.count * height * width * channels)?;
    let columns: Vec<usize> = (0..width).map(|column| column * x.width / width).collect();
    let row = width * channels;
    for (n, image) in out.chunks_exact_mut((height * row).max(1)).enumerate() {
        let mut last = None;
        for y in 0..height {
            let from = y * x.height / height;
            let (done, rest) = image.split_at_mut(y * row);
            let line = &mut rest[..row];
            if last == Some(from) {
                line.copy_from_slice(&done[(y - 1) * row..]);
                continue;
            }
            let source = &x.data()[(n * x.height + from) * x.width * x.pixel..];
            for (to, column) in line.chunks_exact_mut(channels).zip(&columns) {
                to.copy_from_slice(&source[column * x.pixel..column * x.pixel + channels]);
            }
            last = Some(from);
        }
    }
    Ok(channels_last(out, [x.count, channels, height, width]))
}

/// Between pixel centres, edges repeated: ONNX's `half_pixel`.
pub(super) fn resize_linear(x: &ChannelsLast, [height, width]: [usize; 2]) -> Result<FlexTensor, String> {
    let channels = x.channels;
    let between = |size: usize, from: usize| -> Vec<(usize, usize, f32)> {
        let ratio = from as f32 / size as f32;
        let last = from - 1;
        let place = |index: usize| {
            let at = ((index as f32 + 0.5) * ratio - 0.5).clamp(0.0, last as f32);
            let low = at as usize;
            (low, (low + 1).min(last), at - low as f32)
        };
        (0..size).map(place).collect()
    };
    let (rows, columns) = (between(height, x.height), between(width, x.width));
    let mut out = buffer(x.count * height * width * channels)?;
    dispatch(|| {
        for (n, out) in out.chunks_exact_mut((height * width * channels).max(1)).enumerate() {
            let image = &x.data()[n * x.height * x.width * x.pixel..];
            let pixel = |row: usize, column: usize| {
                let at = (row * x.width + column) * x.pixel;
                &image[at..at + channels]
            };
            for (line, (top, bottom, down)) in out.chunks_exact_mut(width * channels).zip(&rows) {
                for (out, (left, right, across)) in line.chunks_exact_mut(channels).zip(&columns) {
                    let upper = pixel(*top, *left).iter().zip(pixel(*top, *right));
                    let lower = pixel(*bottom, *left).iter().zip(pixel(*bottom, *right));
                    for (to, ((a, b), (c, d))) in out.iter_mut().zip(upper.zip(lower)) {
                        let upper = a + (b - a) * across;
                        let lower = c + (d - c) * across;
                        *to = upper + (lower - upper) * down;
                    }
                }
            }
        }
    });
    Ok(channels_last(out, [x.count, channels, height, width]))
}
