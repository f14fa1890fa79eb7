//! The other operators on feature maps whose channels are adjacent.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};
use pulp::Arch;

use super::dense::Places;
use super::memory::{ChannelsLast, buffer, channels_last, recycle};
use crate::kernels::generic;
use crate::ops::{Activation, Window};

/// The elements of a tensor that owns all of its memory and nothing else, in whatever order they lie.
fn own_elements(x: &mut FlexTensor) -> Option<&mut [f32]> {
    let elements = x.layout().num_elements();
    x.try_storage_mut::<f32>().filter(|storage| storage.len() == elements)
}

pub(super) fn activate(mut x: FlexTensor, activation: Activation) -> FlexTensor {
    let Some(elements) = own_elements(&mut x) else {
        return generic::activate::<Flex>(x, activation);
    };
    Arch::new().dispatch(|| elements.iter_mut().for_each(|value| *value = activation.of(*value)));
    x
}

pub(super) fn add(mut a: FlexTensor, mut b: FlexTensor) -> FlexTensor {
    if a.layout() == b.layout() {
        if own_elements(&mut a).is_none() {
            std::mem::swap(&mut a, &mut b);
        }
        let count = b.layout().num_elements();
        if let (Some(to), from) = (own_elements(&mut a), b.storage::<f32>())
            && from.len() == count
        {
            Arch::new().dispatch(|| to.iter_mut().zip(from).for_each(|(to, from)| *to += from));
            recycle(b);
            return a;
        }
    }
    Flex::float_add(a, b)
}

pub(super) fn concat(parts: Vec<FlexTensor>, axis: usize) -> FlexTensor {
    let images: Option<Vec<_>> = match axis {
        1 => parts.iter().map(|part| ChannelsLast::of(part.clone()).ok()).collect(),
        _ => None,
    };
    let same = |a: &ChannelsLast, b: &ChannelsLast| (a.count, a.height, a.width) == (b.count, b.height, b.width);
    let Some(images) = images.filter(|images| images.iter().all(|image| same(image, &images[0]))) else {
        return Flex::float_cat(parts, axis);
    };
    let channels = images.iter().map(|image| image.channels).sum();
    let first = &images[0];
    let pixels = first.count * first.height * first.width;
    let mut out = buffer(pixels * channels);
    let mut start = 0;
    for image in &images {
        let pixels = image.data().chunks(image.pixel).map(|pixel| &pixel[..image.channels]);
        for (to, from) in out.chunks_exact_mut(channels).zip(pixels) {
            to[start..start + image.channels].copy_from_slice(from);
        }
        start += image.channels;
    }
    let dims = [first.count, channels, first.height, first.width];
    drop(parts);
    images.into_iter().for_each(ChannelsLast::recycle);
    channels_last(out, dims)
}

pub(super) fn max_pool(x: &ChannelsLast, window: &Window) -> Result<FlexTensor, String> {
    let places = Places::new(window, x)?;
    let channels = x.channels;
    let [rows, columns] = window.kernel;
    let image_size = x.height * x.width * x.pixel;
    let mut out = vec![f32::NEG_INFINITY; x.count * places.outputs() * channels];
    let work = || {
        for (n, out) in out.chunks_exact_mut(places.outputs() * channels).enumerate() {
            let image = &x.data()[n * image_size..];
            for (output, out) in out.chunks_exact_mut(channels).enumerate() {
                for tap in 0..rows * columns {
                    if let Some(at) =
                        places.tap(output / places.width, output % places.width, tap / columns, tap % columns)
                    {
                        out.iter_mut().zip(&image[at..at + channels]).for_each(|(to, from)| *to = to.max(*from));
                    }
                }
            }
        }
    };
    Arch::new().dispatch(work);
    Ok(channels_last(out, [x.count, channels, places.height, places.width]))
}

/// Between pixel centres, edges repeated: ONNX's `half_pixel`.
pub(super) fn resize_linear(x: &ChannelsLast, [height, width]: [usize; 2]) -> FlexTensor {
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
    let mut out = buffer(x.count * height * width * channels);
    let work = || {
        for (n, out) in out.chunks_exact_mut(height * width * channels).enumerate() {
            let image = &x.data()[n * x.height * x.width * x.pixel..];
            let pixel = |row: usize, column: usize| {
                let at = (row * x.width + column) * x.pixel;
                &image[at..at + channels]
            };
            for (line, (top, bottom, down)) in out.chunks_exact_mut(width * channels).zip(&rows) {
                for (out, (left, right, across)) in line.chunks_exact_mut(channels).zip(&columns) {
                    let (a, b, c, d) =
                        (pixel(*top, *left), pixel(*top, *right), pixel(*bottom, *left), pixel(*bottom, *right));
                    for (channel, to) in out.iter_mut().enumerate() {
                        let upper = a[channel] + (b[channel] - a[channel]) * across;
                        let lower = c[channel] + (d[channel] - c[channel]) * across;
                        *to = upper + (lower - upper) * down;
                    }
                }
            }
        }
    };
    Arch::new().dispatch(work);
    channels_last(out, [x.count, channels, height, width])
}

pub(super) fn mean_of_pixels(x: &ChannelsLast) -> FlexTensor {
    let pixels = x.height * x.width;
    let mut out = vec![0.0; x.count * x.channels];
    for (n, out) in out.chunks_exact_mut(x.channels).enumerate() {
        let image = &x.data()[n * pixels * x.pixel..];
        for pixel in image.chunks(x.pixel).take(pixels) {
            out.iter_mut().zip(pixel).for_each(|(to, from)| *to += from);
        }
        out.iter_mut().for_each(|sum| *sum /= pixels as f32);
    }
    channels_last(out, [x.count, x.channels, 1, 1])
}
