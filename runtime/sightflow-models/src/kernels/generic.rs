//! Operators by burn's operations, for any backend.

use burn_backend::Backend;
use burn_backend::ops::{ActivationOps, ConvOptions, InterpolateMode, InterpolateOptions, ModuleOps};
use burn_backend::tensor::{Device, FloatTensor};

use super::pad_with;
use crate::params::{Activation, Binary, Convolution, ResizeKind, Unary, Window};
use crate::value::{HostTensor, dims, upload};

/// A convolution with its weights on the device.
pub(crate) struct BurnConvolution<B: Backend> {
    conv: Convolution,
    weights: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    device: Device<B>,
}

impl<B: Backend> BurnConvolution<B> {
    pub(crate) fn prepare(
        conv: &Convolution,
        weights: &HostTensor,
        bias: Option<&HostTensor>,
        device: &Device<B>,
    ) -> Result<Self, String> {
        let to_device = |tensor: &HostTensor| {
            let data = tensor.floats().ok_or("a convolution with integers")?;
            Ok::<_, String>(upload::<B>(data.to_vec(), &tensor.shape, device))
        };
        Ok(Self {
            conv: conv.clone(),
            weights: to_device(weights)?,
            bias: bias.map(to_device).transpose()?,
            device: device.clone(),
        })
    }

    pub(crate) fn run(&self, x: FloatTensor<B>) -> Result<FloatTensor<B>, String> {
        let from = dims::<B>(&x);
        let window = &self.conv.window;
        let padding = window.padding_for([from[2], from[3]]);
        let (x, pad) = match padding.is_symmetric() {
            true => (x, [padding.top, padding.left]),
            false => (pad_with::<B>(x, padding, 0.0, &self.device), [0, 0]),
        };
        window.output([from[2], from[3]], padding)?;
        let options = ConvOptions::new(window.stride, pad, window.dilation, self.conv.groups);
        let y = <B as ModuleOps<B>>::conv2d(x, self.weights.clone(), self.bias.clone(), options);
        Ok(match self.conv.activation {
            Some(activation) => activate::<B>(y, activation),
            None => y,
        })
    }
}

pub(super) fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Clip(low, high) if low == 0.0 && high == f32::INFINITY => <B as ActivationOps<B>>::relu(x),
        Activation::Clip(low, high) if high == f32::INFINITY => B::float_clamp_min(x, low.into()),
        Activation::Clip(low, high) if low == f32::NEG_INFINITY => B::float_clamp_max(x, high.into()),
        Activation::Clip(low, high) => B::float_clamp(x, low.into(), high.into()),
        Activation::LeakyRelu(alpha) => <B as ActivationOps<B>>::leaky_relu(x, alpha.into()),
        Activation::Sigmoid => <B as ActivationOps<B>>::sigmoid(x),
        Activation::Silu => B::float_mul(x.clone(), <B as ActivationOps<B>>::sigmoid(x)),
        Activation::HardSigmoid(alpha, beta) => <B as ActivationOps<B>>::hard_sigmoid(x, alpha.into(), beta.into()),
        Activation::HardSwish => {
            let gate = <B as ActivationOps<B>>::hard_sigmoid(x.clone(), (1.0_f32 / 6.0).into(), 0.5_f32.into());
            B::float_mul(x, gate)
        }
    }
}

pub(super) fn unary<B: Backend>(op: Unary, x: FloatTensor<B>) -> FloatTensor<B> {
    match op {
        Unary::Exp => B::float_exp(x),
        Unary::Neg => B::float_neg(x),
        Unary::Sqrt => B::float_sqrt(x),
        Unary::Tanh => B::float_tanh(x),
    }
}

pub(super) fn binary<B: Backend>(op: Binary, a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    match op {
        Binary::Add => B::float_add(a, b),
        Binary::Sub => B::float_sub(a, b),
        Binary::Mul => B::float_mul(a, b),
        Binary::Div => B::float_div(a, b),
    }
}

pub(super) fn with_number<B: Backend>(op: Binary, x: FloatTensor<B>, number: f32) -> FloatTensor<B> {
    let number = number.into();
    match op {
        Binary::Add => B::float_add_scalar(x, number),
        Binary::Sub => B::float_sub_scalar(x, number),
        Binary::Mul => B::float_mul_scalar(x, number),
        Binary::Div => B::float_div_scalar(x, number),
    }
}

pub(super) fn max_pool<B: Backend>(x: FloatTensor<B>, window: &Window) -> Result<FloatTensor<B>, String> {
    let from = dims::<B>(&x);
    let padding = window.padding_for([from[2], from[3]]);
    window.output([from[2], from[3]], padding)?;
    let (x, pad) = match padding.is_symmetric() {
        true => (x, [padding.top, padding.left]),
        false => {
            let device = B::float_device(&x);
            (pad_with::<B>(x, padding, f32::NEG_INFINITY, &device), [0, 0])
        }
    };
    Ok(<B as ModuleOps<B>>::max_pool2d(x, window.kernel, window.stride, pad, window.dilation, false))
}

pub(super) fn resize<B: Backend>(x: FloatTensor<B>, size: [usize; 2], kind: ResizeKind) -> FloatTensor<B> {
    let (mode, align_corners) = match kind {
        ResizeKind::Nearest => (InterpolateMode::Nearest, false),
        ResizeKind::Linear => (InterpolateMode::Bilinear, false),
        ResizeKind::LinearAlignCorners => (InterpolateMode::Bilinear, true),
    };
    <B as ModuleOps<B>>::interpolate(x, size, InterpolateOptions::new(mode).with_align_corners(align_corners))
}
