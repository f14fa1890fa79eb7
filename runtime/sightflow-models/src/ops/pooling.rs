//! Pools over windows of an image.

use burn_backend::ops::ModuleOps;

use super::{Args, Op};
use crate::kernels::{Kernels, pad_with};
use crate::onnx::Node;
use crate::params::Window;
use crate::value::{Value, dims};

/// The largest value of each window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MaxPool {
    pub(crate) window: Window,
}

/// The mean of each window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AveragePool {
    pub(crate) window: Window,
    count_padding: bool,
}

fn window(node: &Node<'_>) -> Result<Window, String> {
    if node.ints("kernel_shape").is_none_or(|kernel| kernel.len() != 2) {
        return Err(node.refuse("in other than two dimensions"));
    }
    if node.int("ceil_mode", 0) != 0 {
        return Err(node.refuse("with ceil_mode = 1"));
    }
    Window::parse(node)
}

pub(super) fn max_pool(node: &Node<'_>) -> Result<Op, String> {
    if node.proto.output.len() > 1 {
        return Err(node.refuse("with indices as a second output"));
    }
    Ok(Op::MaxPool(MaxPool { window: window(node)? }))
}

pub(super) fn average_pool(node: &Node<'_>) -> Result<Op, String> {
    Ok(Op::AveragePool(AveragePool { window: window(node)?, count_padding: node.int("count_include_pad", 0) != 0 }))
}

impl MaxPool {
    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        B::max_pool(args.float(0)?, &self.window).map(Value::Float)
    }
}

impl AveragePool {
    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let x = args.float(0)?;
        let from = dims::<B>(&x);
        let padding = self.window.padding_for([from[2], from[3]]);
        if self.window.dilation != [1, 1] {
            return Err("AveragePool with dilation is not supported".to_owned());
        }
        let (x, pad) = match (padding.is_symmetric(), self.count_padding) {
            (true, _) => (x, [padding.top, padding.left]),
            (false, true) => (pad_with::<B>(x, padding, 0.0, args.device), [0, 0]),
            (false, false) => {
                return Err("AveragePool with uneven padding that does not count is not supported".to_owned());
            }
        };
        let Window { kernel, stride, .. } = self.window;
        Ok(Value::Float(<B as ModuleOps<B>>::avg_pool2d(x, kernel, stride, pad, self.count_padding, false)))
    }
}
