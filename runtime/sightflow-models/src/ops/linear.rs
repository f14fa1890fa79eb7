//! Matrix products and what classifiers end with.

use burn_backend::ops::ActivationOps;

use super::elementwise::{common_shape, raise};
use super::{Args, Inputs, Op, axis_of};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::value::{Value, dims};

/// `alpha · A · B + beta · C`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gemm {
    alpha: f32,
    beta: f32,
    transpose_a: bool,
    transpose_b: bool,
}

pub(super) fn gemm(node: &Node<'_>) -> Result<Op, String> {
    Ok(Op::Gemm(Gemm {
        alpha: node.float("alpha", 1.0),
        beta: node.float("beta", 1.0),
        transpose_a: node.int("transA", 0) != 0,
        transpose_b: node.int("transB", 0) != 0,
    }))
}

impl Gemm {
    /// Dimensions of the result.
    pub(super) fn shape(self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let ([rows, depth], [other, columns]) = (self.matrix(inputs, 0)?, self.matrix(inputs, 1)?);
        let product = vec![rows, columns];
        if depth != other {
            return Err(format!("a product of {rows}×{depth} and {other}×{columns}"));
        }
        match inputs.optional(2) {
            Some(_) if common_shape(&product, &inputs.floats(2)?)? != product => {
                Err("a sum with more dimensions than the product".to_owned())
            }
            _ => Ok(product),
        }
    }

    fn matrix(self, inputs: &Inputs<'_>, index: usize) -> Result<[usize; 2], String> {
        let shape = inputs.floats(index)?;
        let [rows, columns] = shape[..] else {
            return Err(format!("input {index} has {} dimensions instead of two", shape.len()));
        };
        let turned = if index == 0 { self.transpose_a } else { self.transpose_b };
        Ok(if turned { [columns, rows] } else { [rows, columns] })
    }

    pub(super) fn run<B: Kernels>(self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let (mut a, mut b) = (args.float(0)?, args.float(1)?);
        if self.transpose_a {
            a = B::float_transpose(a);
        }
        if self.transpose_b {
            b = B::float_transpose(b);
        }
        let mut product = B::float_matmul(a, b);
        if self.alpha != 1.0 {
            product = B::float_mul_scalar(product, self.alpha.into());
        }
        if args.has(2) {
            let mut c = args.float(2)?;
            if self.beta != 1.0 {
                c = B::float_mul_scalar(c, self.beta.into());
            }
            let from = dims::<B>(&c);
            product = B::float_add(product, raise::<B>(c, &from, 2));
        }
        Ok(Value::Float(product))
    }
}

pub(super) fn matmul_shape(inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
    let (a, b) = (inputs.floats(0)?, inputs.floats(1)?);
    let ([of_a @ .., rows, depth], [of_b @ .., other, columns]) = (&a[..], &b[..]) else {
        return Err("a product with a vector is not supported".to_owned());
    };
    if depth != other {
        return Err(format!("a product of {a:?} and {b:?}"));
    }
    let mut shape = common_shape(of_a, of_b)?;
    shape.extend([*rows, *columns]);
    Ok(shape)
}

/// Products for each element of a matrix product.
pub(super) fn depth(op: &Op, inputs: &Inputs<'_>) -> u64 {
    let depth = match op {
        Op::Gemm(gemm) => gemm.matrix(inputs, 0).map(|[_, depth]| depth),
        _ => inputs.floats(0).map(|shape| shape.last().copied().unwrap_or(1)),
    };
    depth.map_or(1, |depth| depth as u64)
}

pub(super) fn matmul<B: Kernels>(mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let (a, b) = (args.float(0)?, args.float(1)?);
    let (from_a, from_b) = (dims::<B>(&a), dims::<B>(&b));
    if from_a.len() < 2 || from_b.len() < 2 {
        return Err("a product with a vector is not supported".to_owned());
    }
    let rank = from_a.len().max(from_b.len());
    Ok(Value::Float(B::float_matmul(raise::<B>(a, &from_a, rank), raise::<B>(b, &from_b, rank))))
}

pub(super) fn softmax(node: &Node<'_>) -> Result<Op, String> {
    // Before version 13 the axis split the tensor in two parts; that is the same only for the last axis.
    let axis = node.int("axis", if node.opset >= 13 { -1 } else { 1 });
    if node.opset < 13 && axis != -1 {
        return Err(node.refuse("before operator set 13 on another axis than the last"));
    }
    Ok(Op::Softmax { axis })
}

pub(super) fn run_softmax<B: Kernels>(axis: i64, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let x = args.float(0)?;
    let axis = axis_of(axis, dims::<B>(&x).len())?;
    Ok(Value::Float(<B as ActivationOps<B>>::softmax(x, axis)))
}
