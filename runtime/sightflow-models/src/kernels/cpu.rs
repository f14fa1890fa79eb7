//! The CPU's own kernels, on one thread.
//!
//! Feature maps keep their logical shape `[N, C, H, W]` while their channels lie next to each other in memory, so that
//! every kernel works on runs of channels. Tensors that come from burn's operations are brought into this form where a
//! kernel needs it; burn's operations take it as any other strided tensor.

mod arrange;
mod block;
mod dense;
mod depthwise;
mod elementwise;
mod math;
mod memory;
mod places;
mod pool;
mod winograd;

use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::{Device, FloatTensor};
use burn_flex::{Flex, FlexDevice};

use super::{BurnConvolution, Kernels, generic};
use crate::params::{Activation, Binary, Convolution, Padding, ResizeKind, Unary, Window};
use crate::value::{HostTensor, dims};
use memory::ChannelsLast;
pub(crate) use memory::MOST_SPARE_BYTES;

/// A convolution in the form that suits its kind.
pub(crate) enum Prepared {
    Dense(dense::Dense),
    Winograd(winograd::Winograd),
    Depthwise(depthwise::Depthwise),
    /// Groups of several channels: burn's convolution.
    Grouped(BurnConvolution<Flex>),
}

impl Kernels for Flex {
    type Prepared = Prepared;

    fn prepare_convolution(
        conv: &Convolution,
        weights: &HostTensor,
        bias: Option<&HostTensor>,
        device: &FlexDevice,
    ) -> Result<Prepared, String> {
        let [outputs, per_group, ..] = weights.shape[..] else {
            return Err("weights without four dimensions".to_owned());
        };
        if conv.groups > 1 && (per_group > 1 || outputs != conv.groups) {
            return BurnConvolution::prepare(conv, weights, bias, device).map(Prepared::Grouped);
        }
        let bias = bias.map(|bias| bias.floats().ok_or("an integer bias")).transpose()?;
        if conv.groups > 1 {
            return depthwise::Depthwise::prepare(conv, weights, bias).map(Prepared::Depthwise);
        }
        if winograd::Winograd::suits(conv, weights) {
            return winograd::Winograd::prepare(conv, weights, bias).map(Prepared::Winograd);
        }
        dense::Dense::prepare(conv, weights, bias).map(Prepared::Dense)
    }

    fn convolve(prepared: &Prepared, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        match prepared {
            Prepared::Dense(conv) => {
                let x = ChannelsLast::of(x)?;
                conv.run(&x).inspect(|_| x.recycle())
            }
            Prepared::Winograd(conv) => {
                let x = ChannelsLast::of(x)?;
                conv.run(&x).inspect(|_| x.recycle())
            }
            Prepared::Depthwise(conv) => {
                let x = ChannelsLast::of(x)?;
                conv.run(&x).inspect(|_| x.recycle())
            }
            Prepared::Grouped(conv) => conv.run(x),
        }
    }

    fn upload_images(data: Vec<f32>, [count, height, width]: [usize; 3], _device: &FlexDevice) -> FloatTensor<Self> {
        memory::channels_last(data, [count, 3, height, width])
    }

    fn activate(x: FloatTensor<Self>, activation: Activation) -> Result<FloatTensor<Self>, String> {
        elementwise::activate(x, activation)
    }

    fn unary(op: Unary, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        elementwise::unary(op, x)
    }

    fn binary(op: Binary, a: FloatTensor<Self>, b: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        elementwise::binary(op, a, b)
    }

    fn with_number(op: Binary, x: FloatTensor<Self>, number: f32) -> Result<FloatTensor<Self>, String> {
        elementwise::with_number(op, x, number)
    }

    fn concat(parts: Vec<FloatTensor<Self>>, axis: usize) -> Result<FloatTensor<Self>, String> {
        let images: Option<Vec<_>> = match axis {
            1 => parts.iter().map(|part| ChannelsLast::of(part.clone()).ok()).collect(),
            _ => None,
        };
        let same = |a: &ChannelsLast, b: &ChannelsLast| (a.count, a.height, a.width) == (b.count, b.height, b.width);
        let Some(images) = images.filter(|images| images.iter().all(|image| same(image, &images[0]))) else {
            return Ok(Self::float_cat(parts, axis));
        };
        drop(parts);
        let joined = arrange::concat(&images)?;
        images.into_iter().for_each(ChannelsLast::recycle);
        Ok(joined)
    }

    fn pad(
        x: FloatTensor<Self>,
        padding: Padding,
        value: f32,
        _device: &Device<Self>,
    ) -> Result<FloatTensor<Self>, String> {
        let x = ChannelsLast::of(x)?;
        arrange::pad(&x, padding, value).inspect(|_| x.recycle())
    }

    fn max_pool(x: FloatTensor<Self>, window: &Window) -> Result<FloatTensor<Self>, String> {
        let x = ChannelsLast::of(x)?;
        pool::max_pool(&x, window).inspect(|_| x.recycle())
    }

    fn resize(x: FloatTensor<Self>, size: [usize; 2], kind: ResizeKind) -> Result<FloatTensor<Self>, String> {
        if dims::<Self>(&x).contains(&0) {
            return Ok(generic::resize::<Self>(x, size, kind));
        }
        let resized = match kind {
            ResizeKind::Nearest => arrange::resize_nearest,
            ResizeKind::Linear => arrange::resize_linear,
            ResizeKind::LinearAlignCorners => return Ok(generic::resize::<Self>(x, size, kind)),
        };
        let x = ChannelsLast::of(x)?;
        resized(&x, size).inspect(|_| x.recycle())
    }

    fn mean_of_pixels(x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        let x = ChannelsLast::of(x)?;
        pool::mean_of_pixels(&x).inspect(|_| x.recycle())
    }

    fn after_run() {
        memory::keep_little();
    }
}

#[cfg(test)]
mod tests;
