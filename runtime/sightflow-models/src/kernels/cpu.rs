//! The CPU's own kernels, on one thread.
//!
//! Feature maps keep their logical shape `[N, C, H, W]` while their channels lie next to each other in memory, so that
//! every kernel works on runs of channels. Tensors that come from burn's operations are brought into this form where a
//! kernel needs it; burn's operations take it as any other strided tensor.

mod dense;
mod depthwise;
mod elementwise;
mod memory;

use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::FloatTensor;
use burn_flex::{Flex, FlexDevice};

use super::{BurnConvolution, Kernels, generic};
use crate::ops::{Activation, Convolution, ResizeKind, Window};
use crate::value::{HostTensor, dims};
use memory::ChannelsLast;

/// A convolution in the form that suits its kind.
pub(crate) enum Prepared {
    Dense(dense::Dense),
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
        if conv.groups == 1 {
            return dense::Dense::prepare(conv, weights, bias).map(Prepared::Dense);
        }
        if per_group == 1 && outputs == conv.groups {
            return depthwise::Depthwise::prepare(conv, weights, bias).map(Prepared::Depthwise);
        }
        BurnConvolution::prepare(conv, weights, bias, device).map(Prepared::Grouped)
    }

    fn convolve(prepared: &Prepared, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        match prepared {
            Prepared::Dense(conv) => {
                let x = ChannelsLast::of(x)?;
                conv.run(&x).inspect(|_| x.recycle())
            }
            Prepared::Depthwise(conv) => {
                let x = ChannelsLast::of(x)?;
                conv.run(&x).inspect(|_| x.recycle())
            }
            Prepared::Grouped(conv) => Ok(conv.run(x)),
        }
    }

    fn upload_images(data: Vec<f32>, [count, height, width]: [usize; 3], _device: &FlexDevice) -> FloatTensor<Self> {
        memory::channels_last(data, [count, 3, height, width])
    }

    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        elementwise::activate(x, activation)
    }

    fn add_same_shape(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::add(a, b)
    }

    fn concat(parts: Vec<FloatTensor<Self>>, axis: usize) -> FloatTensor<Self> {
        elementwise::concat(parts, axis)
    }

    fn max_pool(x: FloatTensor<Self>, window: &Window) -> Result<FloatTensor<Self>, String> {
        let x = ChannelsLast::of(x)?;
        elementwise::max_pool(&x, window).inspect(|_| x.recycle())
    }

    fn resize(x: FloatTensor<Self>, size: [usize; 2], kind: ResizeKind) -> FloatTensor<Self> {
        if kind != ResizeKind::Linear || dims::<Self>(&x).contains(&0) {
            return generic::resize::<Self>(x, size, kind);
        }
        match ChannelsLast::of(x.clone()) {
            Ok(image) => elementwise::resize_linear(&image, size),
            Err(_) => generic::resize::<Self>(x, size, kind),
        }
    }

    fn mean_of_pixels(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match ChannelsLast::of(x.clone()) {
            Ok(image) => elementwise::mean_of_pixels(&image),
            Err(_) => Self::float_mean_dim(Self::float_mean_dim(x, 3), 2),
        }
    }
}

#[cfg(test)]
mod tests;
