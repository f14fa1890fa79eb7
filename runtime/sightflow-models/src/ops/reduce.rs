//! Operators that make one number of many.

use super::{Args, Inputs, Op, axis_of};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::value::{Value, dims, shape};

/// Mean over some axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReduceMean {
    /// None: given as the second input, or all.
    axes: Option<Vec<i64>>,
    keep_dims: bool,
    /// No axes means none instead of all.
    empty_is_none: bool,
}

impl ReduceMean {
    /// Over the rows and columns of images.
    pub(super) fn global() -> Self {
        Self { axes: Some(vec![2, 3]), keep_dims: true, empty_is_none: false }
    }

    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let to = args.known(|inputs| self.shape(inputs))?;
        let over = args.known(|inputs| self.over(inputs))?;
        let x = args.float(0)?;
        let mean = if over == [2, 3] && dims::<B>(&x).len() == 4 {
            B::mean_of_pixels(x)?
        } else {
            over.iter().fold(x, |x, axis| B::float_mean_dim(x, *axis))
        };
        Ok(Value::Float(B::float_reshape(mean, shape(&to))))
    }

    /// Dimensions of the result.
    pub(super) fn shape(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let from = inputs.floats(0)?;
        let over = self.over(inputs)?;
        let size = |(axis, size): (usize, &usize)| match over.contains(&axis) {
            true => self.keep_dims.then_some(1),
            false => Some(*size),
        };
        let to: Vec<usize> = from.iter().enumerate().filter_map(size).collect();
        if to.is_empty() {
            return Err("a mean over all dimensions without keeping any is not supported".to_owned());
        }
        Ok(to)
    }

    /// The axes in ascending order.
    fn over(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let rank = inputs.floats(0)?.len();
        let axes = self.axes.as_deref().or(inputs.ints(1)?).unwrap_or_default();
        let mut over = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
        over.sort_unstable();
        over.dedup();
        if over.is_empty() && !self.empty_is_none {
            over = (0..rank).collect();
        }
        Ok(over)
    }
}

pub(super) fn reduce_mean(node: &Node<'_>) -> Result<Op, String> {
    Ok(Op::ReduceMean(ReduceMean {
        axes: node.ints("axes"),
        keep_dims: node.int("keepdims", 1) != 0,
        empty_is_none: node.int("noop_with_empty_axes", 0) != 0,
    }))
}
