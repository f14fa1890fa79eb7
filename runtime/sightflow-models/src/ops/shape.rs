//! Operators that change dimensions and types, not values.

use super::{Args, Inputs, Op, axis_of};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::params::{MOST, Padding};
use crate::value::{HostData, HostTensor, Value, elements, shape};

pub(super) fn constant(node: &Node<'_>) -> Result<Op, String> {
    let value = match node.proto.attribute.first().map(|attribute| attribute.name.as_str()) {
        Some("value") => node.tensor("value")?,
        Some("value_float") => node.optional_float("value_float").map(|value| HostTensor::float(vec![], vec![value])),
        Some("value_floats") => node.floats("value_floats").map(|values| HostTensor::float(vec![values.len()], values)),
        Some("value_int") => Some(HostTensor::int(vec![], vec![node.int("value_int", 0)])),
        Some("value_ints") => node.ints("value_ints").map(HostTensor::ints),
        _ => None,
    };
    value.map(Op::Constant).ok_or_else(|| node.refuse("without a numeric value"))
}

pub(super) fn dropout(node: &Node<'_>) -> Result<Op, String> {
    if node.proto.output.len() > 1 || node.proto.input.len() > 2 {
        return Err(node.refuse("in training mode"));
    }
    Ok(Op::Identity)
}

/// Constant values around a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pad {
    /// None: given as the second input.
    pads: Option<Vec<i64>>,
    value: f32,
}

pub(super) fn pad(node: &Node<'_>) -> Result<Op, String> {
    match node.text("mode", "constant").as_str() {
        "constant" => Ok(Op::Pad(Pad { pads: node.ints("pads"), value: node.float("value", 0.0) })),
        mode => Err(node.refuse(&format!("with mode = {mode}"))),
    }
}

impl Pad {
    /// Padding of rows and columns, if that is all that the pads (starts, then ends of four dimensions) ask for.
    pub(crate) fn of_pixels(&self, given: Option<&[i64]>) -> Option<Padding> {
        let pads = self.pads.as_deref().or(given)?;
        let [0, 0, top, left, 0, 0, bottom, right] = *pads else {
            return None;
        };
        let size = |value: i64| usize::try_from(value).ok().filter(|size| *size <= MOST);
        Some(Padding { top: size(top)?, left: size(left)?, bottom: size(bottom)?, right: size(right)? })
    }

    pub(crate) fn value(&self) -> f32 {
        self.value
    }

    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let value = args.optional_scalar(2)?.map_or(self.value, |value| value as f32);
        let padding = args.known(|inputs| self.padding(inputs))?;
        let x = args.float(0)?;
        B::pad(x, padding, value, args.device).map(Value::Float)
    }

    /// Dimensions of the result.
    pub(super) fn shape(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let [count, channels, height, width] = inputs.image(0)?;
        let Padding { top, left, bottom, right } = self.padding(inputs)?;
        Ok(vec![count, channels, height + top + bottom, width + left + right])
    }

    fn padding(&self, inputs: &Inputs<'_>) -> Result<Padding, String> {
        if inputs.optional(3).is_some() {
            return Err("Pad with axes is not supported".to_owned());
        }
        self.of_pixels(inputs.ints(1)?).ok_or_else(|| {
            format!("Pad of other than the rows and columns of images, a negative one, or one above {MOST}")
        })
    }
}

pub(super) fn reshape<B: Kernels>(zero_copies: bool, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let to = args.known(|inputs| reshape_shape(zero_copies, inputs))?;
    reshaped(args.take(0)?, to)
}

pub(super) fn reshape_shape(zero_copies: bool, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
    let from = inputs.shape(0)?;
    let target = inputs.ints(1)?.ok_or("Reshape without a shape")?;
    let mut to = Vec::with_capacity(target.len());
    for (axis, size) in target.iter().enumerate() {
        to.push(match size {
            0 if zero_copies => *from.get(axis).ok_or("Reshape copies a dimension that does not exist")?,
            -1 => 1,
            size => usize::try_from(*size).map_err(|_| "Reshape to a negative size")?,
        });
    }
    let count = elements(from).ok_or("Reshape of more than an address can count")?;
    if let Some(axis) = target.iter().position(|size| *size == -1) {
        to[axis] = elements(&to).and_then(|others| count.checked_div(others)).unwrap_or(0);
    }
    match elements(&to) == Some(count) {
        true => Ok(to),
        false => Err(format!("Reshape from {from:?} to {target:?}")),
    }
}

/// The same elements in other dimensions; their count must be equal.
fn reshaped<B: Kernels>(x: Value<B>, to: Vec<usize>) -> Result<Value<B>, String> {
    match x {
        Value::Host(tensor) => Ok(Value::Host(HostTensor { shape: to, data: tensor.data })),
        Value::Float(_) if to.is_empty() => Err("a device tensor without dimensions is not supported".to_owned()),
        Value::Float(tensor) => Ok(Value::Float(B::float_reshape(tensor, shape(&to)))),
    }
}

pub(super) fn flatten<B: Kernels>(axis: i64, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let x = args.take(0)?;
    let to = flatten_shape(axis, &x.shape())?;
    reshaped(x, to)
}

pub(super) fn flatten_shape(axis: i64, from: &[usize]) -> Result<Vec<usize>, String> {
    let axis = if axis == from.len() as i64 { from.len() } else { axis_of(axis, from.len())? };
    let product = |part: &[usize]| elements(part).ok_or("Flatten of more than an address can count");
    Ok(vec![product(&from[..axis])?, product(&from[axis..])?])
}

pub(super) fn transpose(node: &Node<'_>) -> Result<Op, String> {
    let order =
        node.ints("perm").map(|order| order.iter().map(|axis| usize::try_from(*axis).ok()).collect::<Option<Vec<_>>>());
    match order {
        Some(None) => Err(node.refuse("with a negative axis")),
        Some(order) => Ok(Op::Transpose { order }),
        None => Ok(Op::Transpose { order: None }),
    }
}

pub(super) fn run_transpose<B: Kernels>(order: Option<&[usize]>, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let x = args.take(0)?;
    let rank = x.shape().len();
    let order = order_of(order, rank)?;
    match x {
        Value::Host(tensor) if rank < 2 => Ok(Value::Host(tensor)),
        Value::Host(_) => Err("Transpose of integers is not supported".to_owned()),
        Value::Float(tensor) => Ok(Value::Float(B::float_permute(tensor, &order))),
    }
}

pub(super) fn transpose_shape(order: Option<&[usize]>, from: &[usize]) -> Result<Vec<usize>, String> {
    Ok(order_of(order, from.len())?.iter().map(|axis| from[*axis]).collect())
}

fn order_of(order: Option<&[usize]>, rank: usize) -> Result<Vec<usize>, String> {
    let order = order.map_or_else(|| (0..rank).rev().collect(), <[usize]>::to_vec);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    match sorted.into_iter().eq(0..rank) {
        true => Ok(order),
        false => Err(format!("Transpose by {order:?} of {rank} dimensions")),
    }
}

/// Axes of `Squeeze` and `Unsqueeze`; none: given as the second input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axes(pub(super) Option<Vec<i64>>);

impl Axes {
    fn given<'a>(&'a self, inputs: &Inputs<'a>) -> Result<Option<&'a [i64]>, String> {
        let given = inputs.ints(1)?;
        Ok(self.0.as_deref().or(given))
    }

    pub(super) fn squeeze<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let to = args.known(|inputs| self.squeezed(inputs))?;
        reshaped(args.take(0)?, to)
    }

    pub(super) fn squeezed(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let from = inputs.shape(0)?;
        let dropped: Vec<usize> = match self.given(inputs)? {
            Some(axes) => axes.iter().map(|axis| axis_of(*axis, from.len())).collect::<Result<_, _>>()?,
            None => (0..from.len()).filter(|axis| from[*axis] == 1).collect(),
        };
        if dropped.iter().any(|axis| from[*axis] != 1) {
            return Err(format!("Squeeze of {dropped:?} in {from:?}"));
        }
        Ok((0..from.len()).filter(|axis| !dropped.contains(axis)).map(|axis| from[axis]).collect())
    }

    pub(super) fn unsqueeze<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let to = args.known(|inputs| self.unsqueezed(inputs))?;
        reshaped(args.take(0)?, to)
    }

    pub(super) fn unsqueezed(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let axes = self.given(inputs)?.ok_or("Unsqueeze without axes")?;
        let mut to = inputs.shape(0)?.to_vec();
        let rank = to.len() + axes.len();
        let mut added = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
        added.sort_unstable();
        added.dedup();
        if added.len() != axes.len() {
            return Err(format!("Unsqueeze with an axis twice: {axes:?}"));
        }
        added.iter().for_each(|axis| to.insert(*axis, 1));
        Ok(to)
    }
}

pub(super) fn run_shape<B: Kernels>(start: i64, end: i64, args: &Args<'_, B>) -> Result<Value<B>, String> {
    let from = args.peek(0).ok_or("input 0 is missing")?.shape();
    Ok(Value::Host(shape_of(start, end, &from)))
}

/// The dimensions from `start` to `end` as integers.
pub(super) fn shape_of(start: i64, end: i64, from: &[usize]) -> HostTensor {
    let rank = from.len() as i64;
    let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(start), clamp(end));
    HostTensor::ints(from[start..end.max(start)].iter().map(|size| *size as i64).collect())
}

pub(super) fn cast(node: &Node<'_>) -> Result<Op, String> {
    match node.int("to", 0) {
        1 => Ok(Op::Cast { to_float: true }),
        7 => Ok(Op::Cast { to_float: false }),
        other => Err(node.refuse(&format!("to element type {other}"))),
    }
}

pub(super) fn run_cast<B: Kernels>(to_float: bool, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    match (args.take(0)?, to_float) {
        (Value::Host(HostTensor { shape, data: HostData::Int(data) }), true) => {
            let tensor = HostTensor::float(shape, data.iter().map(|value| *value as f32).collect());
            Ok(Value::from_constant(&tensor, args.device))
        }
        (Value::Host(HostTensor { shape, data: HostData::Float(data) }), false) => {
            Ok(Value::Host(HostTensor::int(shape, data.iter().map(|value| *value as i64).collect())))
        }
        (Value::Float(_), false) => Err("Cast of computed floats to integers is not supported".to_owned()),
        (value, _) => Ok(value),
    }
}

/// Indices on the device.
pub(super) fn upload_indices<B: Kernels>(indices: Vec<i64>, args: &Args<'_, B>) -> burn_backend::tensor::IntTensor<B> {
    let count = indices.len();
    B::int_from_data(burn_backend::TensorData::new(indices, [count]), args.device)
}
