//! Operators that change dimensions and types, not values.

use super::convolution::Padding;
use super::{Args, Op, axis_of};
use crate::graph::Node;
use crate::kernels::{Kernels, pad_with};
use crate::value::{HostData, HostTensor, Value, shape};

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
        let size = |value: i64| usize::try_from(value).ok();
        Some(Padding { top: size(top)?, left: size(left)?, bottom: size(bottom)?, right: size(right)? })
    }

    pub(crate) fn value(&self) -> f32 {
        self.value
    }

    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let given = args.optional_ints(1)?;
        let value = args.optional_scalar(2)?.map_or(self.value, |value| value as f32);
        if args.has(3) {
            return Err("Pad with axes is not supported".to_owned());
        }
        let padding = self
            .of_pixels(given.as_deref())
            .ok_or("Pad of other than the rows and columns of images, or a negative one")?;
        Ok(Value::Float(pad_with::<B>(args.float(0)?, padding, value, args.device)))
    }
}

pub(super) fn reshape<B: Kernels>(zero_copies: bool, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let target = args.ints(1)?;
    let x = args.take(0)?;
    let from = x.shape();
    let mut to = Vec::with_capacity(target.len());
    for (axis, size) in target.iter().enumerate() {
        to.push(match size {
            0 if zero_copies => *from.get(axis).ok_or("Reshape copies a dimension that does not exist")?,
            -1 => 1,
            size => usize::try_from(*size).map_err(|_| "Reshape to a negative size")?,
        });
    }
    let elements: usize = from.iter().product();
    if let Some(axis) = target.iter().position(|size| *size == -1) {
        let others: usize = to.iter().product();
        to[axis] = elements.checked_div(others).unwrap_or(0);
    }
    if to.iter().product::<usize>() != elements {
        return Err(format!("Reshape from {from:?} to {target:?}"));
    }
    reshaped(x, to)
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
    let from = x.shape();
    let axis = if axis == from.len() as i64 { from.len() } else { axis_of(axis, from.len())? };
    reshaped(x, vec![from[..axis].iter().product(), from[axis..].iter().product()])
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
    let order = order.map_or_else(|| (0..rank).rev().collect(), <[usize]>::to_vec);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("Transpose by {order:?} of {rank} dimensions"));
    }
    match x {
        Value::Host(tensor) if rank < 2 => Ok(Value::Host(tensor)),
        Value::Host(_) => Err("Transpose of integers is not supported".to_owned()),
        Value::Float(tensor) => Ok(Value::Float(B::float_permute(tensor, &order))),
    }
}

/// Axes of `Squeeze` and `Unsqueeze`; none: given as the second input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axes(pub(super) Option<Vec<i64>>);

impl Axes {
    fn resolve<B: Kernels>(&self, args: &mut Args<'_, B>) -> Result<Option<Vec<i64>>, String> {
        let given = args.optional_ints(1)?;
        Ok(self.0.clone().or(given))
    }

    pub(super) fn squeeze<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let axes = self.resolve(&mut args)?;
        let x = args.take(0)?;
        let from = x.shape();
        let dropped: Vec<usize> = match axes {
            Some(axes) => axes.iter().map(|axis| axis_of(*axis, from.len())).collect::<Result<_, _>>()?,
            None => (0..from.len()).filter(|axis| from[*axis] == 1).collect(),
        };
        if dropped.iter().any(|axis| from[*axis] != 1) {
            return Err(format!("Squeeze of {dropped:?} in {from:?}"));
        }
        let to = (0..from.len()).filter(|axis| !dropped.contains(axis)).map(|axis| from[axis]).collect();
        reshaped(x, to)
    }

    pub(super) fn unsqueeze<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let axes = self.resolve(&mut args)?.ok_or("Unsqueeze without axes")?;
        let x = args.take(0)?;
        let mut to = x.shape();
        let rank = to.len() + axes.len();
        let mut added = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
        added.sort_unstable();
        added.iter().for_each(|axis| to.insert(*axis, 1));
        reshaped(x, to)
    }
}

pub(super) fn shape_of<B: Kernels>(start: i64, end: i64, args: &Args<'_, B>) -> Result<Value<B>, String> {
    let from = args.peek(0).ok_or("input 0 is missing")?.shape();
    let rank = from.len() as i64;
    let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(start), clamp(end));
    Ok(Value::Host(HostTensor::ints(from[start..end.max(start)].iter().map(|size| *size as i64).collect())))
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
