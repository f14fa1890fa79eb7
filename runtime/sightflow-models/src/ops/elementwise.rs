//! Operators that treat every element by itself.

use burn_backend::tensor::FloatTensor;

use super::{Args, Op};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::params::{Activation, Binary, Unary};
use crate::value::{HostData, HostTensor, Value, dims, shape};

impl Activation {
    pub(super) fn run<B: Kernels>(self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        B::activate(args.float(0)?, self).map(Value::Float)
    }
}

pub(super) fn hard_sigmoid(node: &Node<'_>) -> Result<Op, String> {
    Ok(Op::Activation(Activation::HardSigmoid(node.float("alpha", 0.2), node.float("beta", 0.5))))
}

pub(super) fn clip(node: &Node<'_>) -> Result<Op, String> {
    if node.opset >= 11 {
        return Ok(Op::Clip);
    }
    let bound = |name, missing| node.optional_float(name).unwrap_or(missing);
    Ok(Op::Activation(Activation::Clip(bound("min", f32::NEG_INFINITY), bound("max", f32::INFINITY))))
}

pub(super) fn run_clip<B: Kernels>(mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let low = args.optional_scalar(1)?.map_or(f32::NEG_INFINITY, |low| low as f32);
    let high = args.optional_scalar(2)?.map_or(f32::INFINITY, |high| high as f32);
    B::activate(args.float(0)?, Activation::Clip(low, high)).map(Value::Float)
}

impl Unary {
    pub(super) fn run<B: Kernels>(self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        B::unary(self, args.float(0)?).map(Value::Float)
    }
}

impl Binary {
    pub(super) fn run<B: Kernels>(self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        match (args.take(0)?, args.take(1)?) {
            (Value::Host(a), Value::Host(b)) => self.on_host(&a, &b).map(Value::Host),
            (Value::Float(x), Value::Host(number)) if fits_as_scalar::<B>(&number, &x) => {
                B::with_number(self, x, number.floats().map_or(0.0, |data| data[0])).map(Value::Float)
            }
            (Value::Host(number), Value::Float(x)) if self.commutes() && fits_as_scalar::<B>(&number, &x) => {
                B::with_number(self, x, number.floats().map_or(0.0, |data| data[0])).map(Value::Float)
            }
            (a, b) => {
                let mut pair = Args::new(vec![Some(a), Some(b)], 1, args.device);
                let (a, b) = (pair.float(0)?, pair.float(1)?);
                let (from_a, from_b) = (dims::<B>(&a), dims::<B>(&b));
                let rank = from_a.len().max(from_b.len());
                B::binary(self, raise::<B>(a, &from_a, rank), raise::<B>(b, &from_b, rank)).map(Value::Float)
            }
        }
    }

    fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul)
    }

    /// Exact integers, or floats of one element.
    fn on_host(self, a: &HostTensor, b: &HostTensor) -> Result<HostTensor, String> {
        let (dims, pairs) = broadcast(&a.shape, &b.shape)?;
        let data = match (&a.data, &b.data) {
            (HostData::Int(a), HostData::Int(b)) => {
                let results: Option<Vec<i64>> = pairs.map(|(i, j)| self.of_ints(a[i], b[j])).collect();
                HostData::Int(results.ok_or("integer overflow or division by zero")?)
            }
            (HostData::Float(a), HostData::Float(b)) => {
                HostData::Float(pairs.map(|(i, j)| self.of_floats(a[i], b[j])).collect())
            }
            _ => return Err("integers and floats do not mix".to_owned()),
        };
        Ok(HostTensor { shape: dims, data })
    }

    fn of_ints(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => a.checked_div(b),
        }
    }

    fn of_floats(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

/// One float whose dimensions do not add any to the other operand's.
fn fits_as_scalar<B: Kernels>(number: &HostTensor, x: &FloatTensor<B>) -> bool {
    number.floats().is_some_and(|data| data.len() == 1) && number.shape.len() <= dims::<B>(x).len()
}

/// Adds dimensions of one element at the front.
pub(super) fn raise<B: Kernels>(x: FloatTensor<B>, from: &[usize], rank: usize) -> FloatTensor<B> {
    if from.len() == rank {
        return x;
    }
    let mut raised = vec![1; rank - from.len()];
    raised.extend(from);
    B::float_reshape(x, shape(&raised))
}

/// Size along an axis of a tensor that is raised to `rank` dimensions.
fn dimension(dims: &[usize], axis: usize, rank: usize) -> usize {
    (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
}

/// The shape that two tensors are brought to.
pub(super) fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let along = |axis| match (dimension(a, axis, rank), dimension(b, axis, rank)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        (x, y) => Err(format!("dimensions of {x} and {y} do not fit")),
    };
    (0..rank).map(along).collect()
}

/// The common shape of two tensors, and for each of its elements the positions in both.
fn broadcast(a: &[usize], b: &[usize]) -> Result<(Vec<usize>, impl Iterator<Item = (usize, usize)> + use<>), String> {
    let common = common_shape(a, b)?;
    let rank = common.len();
    let aligned = |dims: &[usize]| (0..rank).map(|axis| dimension(dims, axis, rank)).collect::<Vec<_>>();
    let (a, b, of) = (aligned(a), aligned(b), common.clone());
    let count: usize = common.iter().product();
    let position = move |dims: &[usize], mut index: usize| {
        let (mut offset, mut stride) = (0, 1);
        for axis in (0..of.len()).rev() {
            let coordinate = index % of[axis];
            index /= of[axis];
            offset += if dims[axis] == 1 { 0 } else { coordinate * stride };
            stride *= dims[axis];
        }
        offset
    };
    Ok((common, (0..count).map(move |index| (position(&a, index), position(&b, index)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_arithmetic_broadcasts() {
        let column = HostTensor::int(vec![2, 1], vec![10, 20]);
        let row = HostTensor::ints(vec![1, 2, 3]);
        let sum = Binary::Add.on_host(&column, &row).expect("fits");
        assert_eq!(sum, HostTensor::int(vec![2, 3], vec![11, 12, 13, 21, 22, 23]));
        let scalar = HostTensor::int(vec![], vec![-7]);
        assert_eq!(Binary::Div.on_host(&scalar, &HostTensor::ints(vec![2])), Ok(HostTensor::ints(vec![-3])));
        assert!(Binary::Div.on_host(&scalar, &HostTensor::ints(vec![0])).is_err());
        assert!(Binary::Add.on_host(&HostTensor::ints(vec![1, 2]), &row).is_err());
    }
}
