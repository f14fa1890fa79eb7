//! Operators that take parts of tensors and put them together.

use burn_backend::Slice as Range;
use burn_backend::tensor::FloatTensor;

use super::shape::upload_indices;
use super::{Args, Inputs, Op, axis_of};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::value::{HostData, HostTensor, Value, dims, shape};

pub(super) fn concat<B: Kernels>(axis: i64, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let count = args.len();
    if (0..count).all(|index| matches!(args.peek(index), Some(Value::Host(HostTensor { data: HostData::Int(_), .. }))))
    {
        let mut joined = Vec::new();
        for index in 0..count {
            if args.peek(index).is_some_and(|value| value.shape().len() != 1) {
                return Err("Concat of integers in other than one dimension is not supported".to_owned());
            }
            joined.extend(args.ints(index)?);
        }
        return Ok(Value::Host(HostTensor::ints(joined)));
    }
    let parts = (0..count).map(|index| args.float(index)).collect::<Result<Vec<_>, _>>()?;
    let rank = parts.first().map_or(0, |part| dims::<B>(part).len());
    B::concat(parts, axis_of(axis, rank)?).map(Value::Float)
}

pub(super) fn concat_shape(axis: i64, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
    let shapes = (0..inputs.values.len()).map(|index| inputs.shape(index)).collect::<Result<Vec<_>, _>>()?;
    let first = *shapes.first().ok_or("Concat of nothing")?;
    let axis = axis_of(axis, first.len())?;
    let mut joined = first.to_vec();
    for shape in &shapes[1..] {
        let fits = shape.len() == first.len() && (0..first.len()).all(|at| at == axis || shape[at] == first[at]);
        if !fits {
            return Err(format!("Concat of {first:?} and {shape:?} along axis {axis}"));
        }
        joined[axis] = joined[axis].checked_add(shape[axis]).ok_or("Concat of more than an address can count")?;
    }
    Ok(joined)
}

/// Consecutive parts along an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    axis: i64,
    /// None: given as the second input, or equal parts.
    sizes: Option<Vec<i64>>,
}

pub(super) fn split(node: &Node<'_>) -> Result<Op, String> {
    Ok(Op::Split(Split { axis: node.int("axis", 0), sizes: node.ints("split") }))
}

impl Split {
    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Vec<Value<B>>, String> {
        let (axis, sizes) = args.known(|inputs| self.parts(inputs))?;
        let x = args.float(0)?;
        let from = dims::<B>(&x);
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(Value::Float(cut::<B>(x.clone(), &from, axis, start, start + size)));
            start += size;
        }
        Ok(parts)
    }
}

impl Split {
    /// Dimensions of the parts.
    pub(super) fn shapes(&self, inputs: &Inputs<'_>) -> Result<Vec<Vec<usize>>, String> {
        let from = inputs.floats(0)?;
        let (axis, sizes) = self.parts(inputs)?;
        let part = |size| {
            let mut shape = from.clone();
            shape[axis] = size;
            shape
        };
        Ok(sizes.into_iter().map(part).collect())
    }

    /// The axis, and the sizes of the parts along it.
    fn parts(&self, inputs: &Inputs<'_>) -> Result<(usize, Vec<usize>), String> {
        let from = inputs.floats(0)?;
        let axis = axis_of(self.axis, from.len())?;
        let sizes: Vec<usize> = match self.sizes.as_deref().or(inputs.ints(1)?) {
            Some(sizes) => sizes.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect(),
            None => {
                let part = from[axis].div_ceil(inputs.outputs.max(1));
                (0..inputs.outputs).map(|index| part.min(from[axis].saturating_sub(index * part))).collect()
            }
        };
        let sum = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
        if sizes.len() != inputs.outputs || sum != Some(from[axis]) {
            return Err(format!("Split of {} into {sizes:?}", from[axis]));
        }
        Ok((axis, sizes))
    }
}

fn cut<B: Kernels>(x: FloatTensor<B>, from: &[usize], axis: usize, start: usize, end: usize) -> FloatTensor<B> {
    let mut ranges: Vec<_> = from.iter().map(|size| Range::new(0, Some(*size as isize), 1)).collect();
    ranges[axis] = Range::new(start as isize, Some(end as isize), 1);
    B::float_slice(x, &ranges)
}

/// Ranges along some axes; settings are attributes before operator set 10, inputs since.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    starts: Option<Vec<i64>>,
    ends: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
}

impl Slice {
    pub(super) fn parse(node: &Node<'_>) -> Self {
        Self { starts: node.ints("starts"), ends: node.ints("ends"), axes: node.ints("axes") }
    }

    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let ranges = args.known(|inputs| self.ranges(inputs))?;
        let x = args.take(0)?;
        match x {
            Value::Host(tensor) => slice_host(&tensor, &ranges).map(Value::Host),
            Value::Float(tensor) => {
                let range = |(start, end, step): &(usize, usize, usize)| {
                    Range::new(*start as isize, Some(*end as isize), *step as isize)
                };
                Ok(Value::Float(B::float_slice(tensor, &ranges.iter().map(range).collect::<Vec<_>>())))
            }
        }
    }
}

impl Slice {
    /// Dimensions of the result.
    pub(super) fn shape(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let ranges = self.ranges(inputs)?;
        Ok(ranges.iter().map(|(start, end, step)| (end - start).div_ceil(*step)).collect())
    }

    /// Start, end and step along every axis.
    fn ranges(&self, inputs: &Inputs<'_>) -> Result<Vec<(usize, usize, usize)>, String> {
        let setting = |own: &Option<Vec<i64>>, index| {
            Ok::<_, String>(match own {
                Some(own) => Some(own.clone()),
                None => inputs.ints(index)?.map(<[i64]>::to_vec),
            })
        };
        let starts = setting(&self.starts, 1)?.ok_or("Slice without starts")?;
        let ends = setting(&self.ends, 2)?.ok_or("Slice without ends")?;
        let axes = setting(&self.axes, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = setting(&None, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("Slice with settings of different lengths".to_owned());
        }
        if steps.iter().any(|step| *step < 1) {
            return Err("Slice with a step below 1 is not supported".to_owned());
        }
        let from = inputs.shape(0)?;
        let mut ranges: Vec<(usize, usize, usize)> = from.iter().map(|size| (0, *size, 1)).collect();
        for index in 0..starts.len() {
            let axis = axis_of(axes[index], from.len())?;
            let size = from[axis] as i64;
            let clamp = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as usize;
            let (start, end) = (clamp(starts[index]), clamp(ends[index]));
            ranges[axis] =
                (start, end.max(start), usize::try_from(steps[index]).map_err(|_| "Slice with a huge step")?);
        }
        Ok(ranges)
    }
}

fn slice_host(tensor: &HostTensor, ranges: &[(usize, usize, usize)]) -> Result<HostTensor, String> {
    let ([(start, end, step)], HostData::Int(data)) = (ranges, &tensor.data) else {
        return Err("Slice of host values in other than one dimension is not supported".to_owned());
    };
    Ok(HostTensor::ints(data[*start..*end].iter().step_by(*step).copied().collect()))
}

pub(super) fn gather_shape(axis: i64, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
    let (from, positions) = (inputs.shape(0)?, inputs.shape(1)?);
    let axis = axis_of(axis, from.len())?;
    Ok(from[..axis].iter().chain(positions).chain(&from[axis + 1..]).copied().collect())
}

/// Parts at given positions; the positions' dimensions replace the axis.
pub(super) fn gather<B: Kernels>(axis: i64, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let Value::Host(HostTensor { shape: of_indices, data: HostData::Int(indices) }) = args.take(1)? else {
        return Err("Gather with computed positions is not supported".to_owned());
    };
    let x = args.take(0)?;
    let from = x.shape();
    let axis = axis_of(axis, from.len())?;
    let size = from[axis] as i64;
    let indices = indices
        .into_iter()
        .map(|index| axis_of(index, size as usize).map(|index| index as i64))
        .collect::<Result<Vec<_>, _>>();
    let indices = indices.map_err(|_| "Gather outside of its input")?;
    let to: Vec<usize> = from[..axis].iter().chain(&of_indices).chain(&from[axis + 1..]).copied().collect();
    match x {
        Value::Host(HostTensor { data: HostData::Int(data), .. }) if from.len() == 1 => {
            Ok(Value::Host(HostTensor::int(to, indices.iter().map(|index| data[*index as usize]).collect())))
        }
        Value::Host(_) => Err("Gather of host values in other than one dimension is not supported".to_owned()),
        Value::Float(_) if to.is_empty() => Err("Gather of a single number is not supported".to_owned()),
        Value::Float(tensor) => {
            let indices = upload_indices(indices, &args);
            Ok(Value::Float(B::float_reshape(B::float_select(tensor, axis, indices), shape(&to))))
        }
    }
}
