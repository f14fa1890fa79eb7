//! What a backend does in its own way: convolutions and the operators around them.
//!
//! The defaults are burn's operations and serve any backend; the CPU replaces them by kernels of its own.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod generic;

use burn_backend::tensor::{Device, FloatTensor};
use burn_backend::{Backend, FloatDType, Slice};

pub(crate) use cpu::MOST_SPARE_BYTES;
pub(crate) use generic::BurnConvolution;

use crate::params::{Activation, Binary, Convolution, Padding, ResizeKind, Unary, Window};
use crate::value::{HostTensor, dims, shape, upload};

/// A backend that models run on.
pub(crate) trait Kernels: Backend {
    /// A convolution with its weights in the form that suits the device.
    type Prepared: Send + Sync;

    /// Prepares a convolution whose kernel size is known.
    fn prepare_convolution(
        conv: &Convolution,
        weights: &HostTensor,
        bias: Option<&HostTensor>,
        device: &Device<Self>,
    ) -> Result<Self::Prepared, String>;

    /// Runs a prepared convolution.
    fn convolve(prepared: &Self::Prepared, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String>;

    /// Images of three channels, in the order images, rows, columns, channels, as `[N, 3, H, W]`.
    fn upload_images(data: Vec<f32>, [count, height, width]: [usize; 3], device: &Device<Self>) -> FloatTensor<Self> {
        Self::float_permute(upload::<Self>(data, &[count, height, width, 3], device), &[0, 3, 1, 2])
    }

    /// Applies a function to every element.
    fn activate(x: FloatTensor<Self>, activation: Activation) -> Result<FloatTensor<Self>, String> {
        Ok(generic::activate::<Self>(x, activation))
    }

    /// Applies a function to every element.
    fn unary(op: Unary, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        Ok(generic::unary::<Self>(op, x))
    }

    /// Combines tensors of one rank element by element; dimensions of 1 are repeated.
    fn binary(op: Binary, a: FloatTensor<Self>, b: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        Ok(generic::binary::<Self>(op, a, b))
    }

    /// Combines every element with a number on its right.
    fn with_number(op: Binary, x: FloatTensor<Self>, number: f32) -> Result<FloatTensor<Self>, String> {
        Ok(generic::with_number::<Self>(op, x, number))
    }

    /// Puts tensors one after the other along an axis.
    fn concat(parts: Vec<FloatTensor<Self>>, axis: usize) -> Result<FloatTensor<Self>, String> {
        Ok(Self::float_cat(parts, axis))
    }

    /// Surrounds images with a value.
    fn pad(
        x: FloatTensor<Self>,
        padding: Padding,
        value: f32,
        device: &Device<Self>,
    ) -> Result<FloatTensor<Self>, String> {
        Ok(pad_with::<Self>(x, padding, value, device))
    }

    /// The largest value of each window.
    fn max_pool(x: FloatTensor<Self>, window: &Window) -> Result<FloatTensor<Self>, String> {
        generic::max_pool::<Self>(x, window)
    }

    /// Scales images to a height and width.
    fn resize(x: FloatTensor<Self>, size: [usize; 2], kind: ResizeKind) -> Result<FloatTensor<Self>, String> {
        Ok(generic::resize::<Self>(x, size, kind))
    }

    /// Mean over rows and columns of `[N, C, H, W]`, as `[N, C, 1, 1]`.
    fn mean_of_pixels(x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        Ok(Self::float_mean_dim(Self::float_mean_dim(x, 3), 2))
    }

    /// Called on the thread of a run when it ends: what was kept for the next step is no longer needed.
    fn after_run() {}
}

/// Surrounds images with a value.
pub(crate) fn pad_with<B: Backend>(
    x: FloatTensor<B>,
    padding: Padding,
    value: f32,
    device: &Device<B>,
) -> FloatTensor<B> {
    if padding == Padding::default() {
        return x;
    }
    let from = dims::<B>(&x);
    let to = [from[0], from[1], from[2] + padding.top + padding.bottom, from[3] + padding.left + padding.right];
    let padded = B::float_full(shape(&to), value.into(), device, FloatDType::F32);
    let range = |start: usize, size: usize| Slice::new(start as isize, Some((start + size) as isize), 1);
    let inside = [range(0, from[0]), range(0, from[1]), range(padding.top, from[2]), range(padding.left, from[3])];
    B::float_slice_assign(padded, &inside, x)
}
