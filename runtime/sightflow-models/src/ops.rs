//! The operators: one table from ONNX names to what runs them. What is not in the table is refused at load.

mod convolution;
mod elementwise;
mod indexing;
mod known;
mod linear;
mod pooling;
mod reduce;
mod resize;
mod shape;

use burn_backend::tensor::{Device, FloatTensor};

pub(crate) use known::{Inputs, Known};

use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::params::{Activation, Binary, Convolution, Unary};
use crate::value::{HostData, HostTensor, Value, elements, upload};

/// An operator with its settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Constant(HostTensor),
    Identity,
    Convolution(Convolution),
    BatchNormalization {
        epsilon: f32,
    },
    Activation(Activation),
    /// `Clip` with bounds as inputs; becomes an activation where these are constants.
    Clip,
    Unary(Unary),
    Binary(Binary),
    MatMul,
    Gemm(linear::Gemm),
    Softmax {
        axis: i64,
    },
    MaxPool(pooling::MaxPool),
    AveragePool(pooling::AveragePool),
    ReduceMean(reduce::ReduceMean),
    Resize(resize::Resize),
    Pad(shape::Pad),
    Concat {
        axis: i64,
    },
    Split(indexing::Split),
    Slice(indexing::Slice),
    Gather {
        axis: i64,
    },
    Reshape {
        zero_copies: bool,
    },
    Flatten {
        axis: i64,
    },
    Transpose {
        order: Option<Vec<usize>>,
    },
    Squeeze(shape::Axes),
    Unsqueeze(shape::Axes),
    Shape {
        start: i64,
        end: i64,
    },
    Cast {
        to_float: bool,
    },
}

type Parse = fn(&Node<'_>) -> Result<Op, String>;

/// Every supported operator; the list that users see is made from it.
const OPERATORS: &[(&str, Parse)] = &[
    ("Add", |_| Ok(Op::Binary(Binary::Add))),
    ("AveragePool", pooling::average_pool),
    ("BatchNormalization", convolution::batch_normalization),
    ("Cast", shape::cast),
    ("Clip", elementwise::clip),
    ("Concat", |node| Ok(Op::Concat { axis: node.int("axis", 1) })),
    ("Constant", shape::constant),
    ("Conv", convolution::convolution),
    ("Div", |_| Ok(Op::Binary(Binary::Div))),
    ("Dropout", shape::dropout),
    ("Exp", |_| Ok(Op::Unary(Unary::Exp))),
    ("Flatten", |node| Ok(Op::Flatten { axis: node.int("axis", 1) })),
    ("Gather", |node| Ok(Op::Gather { axis: node.int("axis", 0) })),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", |_| Ok(Op::ReduceMean(reduce::ReduceMean::global()))),
    ("HardSigmoid", elementwise::hard_sigmoid),
    ("HardSwish", |_| Ok(Op::Activation(Activation::HardSwish))),
    ("Identity", |_| Ok(Op::Identity)),
    ("LeakyRelu", |node| Ok(Op::Activation(Activation::LeakyRelu(node.float("alpha", 0.01))))),
    ("MatMul", |_| Ok(Op::MatMul)),
    ("MaxPool", pooling::max_pool),
    ("Mul", |_| Ok(Op::Binary(Binary::Mul))),
    ("Neg", |_| Ok(Op::Unary(Unary::Neg))),
    ("Pad", shape::pad),
    ("ReduceMean", reduce::reduce_mean),
    ("Relu", |_| Ok(Op::Activation(Activation::Clip(0.0, f32::INFINITY)))),
    ("Reshape", |node| Ok(Op::Reshape { zero_copies: node.int("allowzero", 0) == 0 })),
    ("Resize", resize::resize),
    ("Shape", |node| Ok(Op::Shape { start: node.int("start", 0), end: node.int("end", i64::MAX) })),
    ("Sigmoid", |_| Ok(Op::Activation(Activation::Sigmoid))),
    ("Slice", |node| Ok(Op::Slice(indexing::Slice::parse(node)))),
    ("Softmax", linear::softmax),
    ("Split", indexing::split),
    ("Sqrt", |_| Ok(Op::Unary(Unary::Sqrt))),
    ("Squeeze", |node| Ok(Op::Squeeze(shape::Axes(node.ints("axes"))))),
    ("Sub", |_| Ok(Op::Binary(Binary::Sub))),
    ("Tanh", |_| Ok(Op::Unary(Unary::Tanh))),
    ("Transpose", shape::transpose),
    ("Unsqueeze", |node| Ok(Op::Unsqueeze(shape::Axes(node.ints("axes"))))),
];

/// Names of the ONNX operators that the runtime runs, in alphabetical order.
pub fn supported_operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

/// Finds the operator of a node and reads its settings.
///
/// # Errors
/// Why the node cannot run: an unknown operator, or a setting that has no exact equivalent.
pub(crate) fn parse(node: &Node<'_>) -> Result<Op, String> {
    let name = node.operator();
    let entry = OPERATORS.binary_search_by(|(known, _)| (*known).cmp(name.as_str()));
    let index = entry.map_err(|_| format!("the operator {name} is not supported"))?;
    OPERATORS[index].1(node)
}

impl Op {
    /// Runs the operator.
    ///
    /// # Errors
    /// Inputs that it cannot take. Backends may also panic on shapes that do not fit.
    pub(crate) fn run<B: Kernels>(&self, args: Args<'_, B>) -> Result<Vec<Value<B>>, String> {
        let outputs = args.outputs;
        let result = match self {
            Self::Constant(constant) => Ok(Value::from_constant(constant, args.device)),
            Self::Identity => identity(args),
            Self::Convolution(conv) => conv.run(args),
            Self::BatchNormalization { epsilon } => convolution::normalize(*epsilon, args),
            Self::Activation(activation) => activation.run(args),
            Self::Clip => elementwise::run_clip(args),
            Self::Unary(op) => op.run(args),
            Self::Binary(op) => op.run(args),
            Self::MatMul => linear::matmul(args),
            Self::Gemm(gemm) => gemm.run(args),
            Self::Softmax { axis } => linear::run_softmax(*axis, args),
            Self::MaxPool(pool) => pool.run(args),
            Self::AveragePool(pool) => pool.run(args),
            Self::ReduceMean(reduce) => reduce.run(args),
            Self::Resize(resize) => resize.run(args),
            Self::Pad(pad) => pad.run(args),
            Self::Concat { axis } => indexing::concat(*axis, args),
            Self::Split(split) => return split.run(args),
            Self::Slice(slice) => slice.run(args),
            Self::Gather { axis } => indexing::gather(*axis, args),
            Self::Reshape { zero_copies } => shape::reshape(*zero_copies, args),
            Self::Flatten { axis } => shape::flatten(*axis, args),
            Self::Transpose { order } => shape::run_transpose(order.as_deref(), args),
            Self::Squeeze(axes) => axes.squeeze(args),
            Self::Unsqueeze(axes) => axes.unsqueeze(args),
            Self::Shape { start, end } => shape::run_shape(*start, *end, &args),
            Self::Cast { to_float } => shape::run_cast(*to_float, args),
        }?;
        // Optional further outputs (the mask of Dropout) are refused where they are parsed.
        if outputs > 1 {
            return Err(format!("it makes one output, not {outputs}"));
        }
        Ok(vec![result])
    }
}

impl Op {
    /// Dimensions of the results, before anything is allocated for them.
    ///
    /// # Errors
    /// Inputs that the operator cannot take.
    pub(crate) fn shapes(&self, inputs: &Inputs<'_>) -> Result<Vec<Vec<usize>>, String> {
        let same = |index| inputs.floats(index);
        let one = match self {
            Self::Constant(constant) => constant.shape.clone(),
            Self::Identity | Self::Cast { .. } => inputs.shape(0)?.to_vec(),
            Self::Activation(_) | Self::Unary(_) | Self::Clip => same(0)?,
            Self::Softmax { axis } => same(0).and_then(|shape| axis_of(*axis, shape.len()).map(|_| shape))?,
            Self::BatchNormalization { .. } => convolution::normalized_shape(inputs)?,
            Self::Convolution(conv) => conv.shape(inputs)?,
            Self::Binary(_) => elementwise::common_shape(inputs.shape(0)?, inputs.shape(1)?)?,
            Self::MatMul => linear::matmul_shape(inputs)?,
            Self::Gemm(gemm) => gemm.shape(inputs)?,
            Self::MaxPool(pool) => pool.window.pooled(inputs)?,
            Self::AveragePool(pool) => pool.window.pooled(inputs)?,
            Self::ReduceMean(reduce) => reduce.shape(inputs)?,
            Self::Resize(resize) => resize.shape(inputs)?,
            Self::Pad(pad) => pad.shape(inputs)?,
            Self::Concat { axis } => indexing::concat_shape(*axis, inputs)?,
            Self::Split(split) => return split.shapes(inputs),
            Self::Slice(slice) => slice.shape(inputs)?,
            Self::Gather { axis } => indexing::gather_shape(*axis, inputs)?,
            Self::Reshape { zero_copies } => shape::reshape_shape(*zero_copies, inputs)?,
            Self::Flatten { axis } => shape::flatten_shape(*axis, inputs.shape(0)?)?,
            Self::Transpose { order } => shape::transpose_shape(order.as_deref(), inputs.shape(0)?)?,
            Self::Squeeze(axes) => axes.squeezed(inputs)?,
            Self::Unsqueeze(axes) => axes.unsqueezed(inputs)?,
            Self::Shape { start, end } => shape::shape_of(*start, *end, inputs.shape(0)?).shape,
        };
        // Optional further outputs (the mask of Dropout) are refused where they are parsed.
        if inputs.outputs > 1 {
            return Err(format!("it makes one output, not {}", inputs.outputs));
        }
        Ok(vec![one])
    }

    /// The result of an operator that looks at dimensions only.
    pub(crate) fn of_dimensions(&self, inputs: &Inputs<'_>) -> Option<HostTensor> {
        match self {
            Self::Shape { start, end } => Some(shape::shape_of(*start, *end, inputs.shape(0).ok()?)),
            _ => None,
        }
    }

    /// Multiply-adds, or other operations of that size, that the operator takes; roughly.
    pub(crate) fn work(&self, inputs: &Inputs<'_>, shapes: &[Vec<usize>]) -> u64 {
        let elements: u64 = shapes.iter().filter_map(|shape| elements(shape)).map(|count| count as u64).sum();
        elements.saturating_mul(match self {
            Self::Convolution(conv) => conv.taps(inputs),
            Self::MatMul | Self::Gemm(_) => linear::depth(self, inputs),
            Self::MaxPool(pool) => pool.window.area(),
            Self::AveragePool(pool) => pool.window.area(),
            _ => 1,
        })
    }
}

fn identity<B: Kernels>(mut args: Args<'_, B>) -> Result<Value<B>, String> {
    args.take(0)
}

/// The inputs of one run of an operator.
pub(crate) struct Args<'a, B: Kernels> {
    values: Vec<Option<Value<B>>>,
    /// How many outputs the node has.
    pub(crate) outputs: usize,
    pub(crate) device: &'a Device<B>,
}

impl<'a, B: Kernels> Args<'a, B> {
    pub(crate) fn new(values: Vec<Option<Value<B>>>, outputs: usize, device: &'a Device<B>) -> Self {
        Self { values, outputs, device }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// What is said of the inputs before any of them is taken.
    fn known<T>(&self, op: impl FnOnce(&Inputs<'_>) -> Result<T, String>) -> Result<T, String> {
        let values: Vec<_> = self.values.iter().map(|value| value.as_ref().map(Known::of_value)).collect();
        op(&Inputs { values: &values, outputs: self.outputs })
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.values.get(index).is_some_and(Option::is_some)
    }

    pub(crate) fn peek(&self, index: usize) -> Option<&Value<B>> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// An input; each can be taken once.
    pub(crate) fn take(&mut self, index: usize) -> Result<Value<B>, String> {
        self.values.get_mut(index).and_then(Option::take).ok_or_else(|| format!("input {index} is missing"))
    }

    /// An input as floats on the device.
    pub(crate) fn float(&mut self, index: usize) -> Result<FloatTensor<B>, String> {
        match self.take(index)? {
            Value::Float(tensor) => Ok(tensor),
            Value::Host(HostTensor { shape, data: HostData::Float(data) }) => {
                let shape = if shape.is_empty() { vec![1] } else { shape };
                Ok(upload::<B>(data, &shape, self.device))
            }
            Value::Host(_) => Err(format!("input {index} holds integers where floats are needed")),
        }
    }

    /// An input as integers.
    pub(crate) fn ints(&mut self, index: usize) -> Result<Vec<i64>, String> {
        match self.take(index)? {
            Value::Host(HostTensor { data: HostData::Int(data), .. }) => Ok(data),
            _ => Err(format!("input {index} holds floats where integers are needed")),
        }
    }

    /// An optional input of one element.
    pub(crate) fn optional_scalar(&mut self, index: usize) -> Result<Option<f64>, String> {
        if !self.has(index) {
            return Ok(None);
        }
        let scalar = self.take(index)?.into_host()?.scalar();
        scalar.map(Some).ok_or_else(|| format!("input {index} must be a single number"))
    }
}

/// An axis counted from the front.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    let valid = usize::try_from(from_front).ok().filter(|axis| *axis < rank);
    valid.ok_or_else(|| format!("axis {axis} does not exist in {rank} dimensions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        let names: Vec<_> = supported_operators().collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}
