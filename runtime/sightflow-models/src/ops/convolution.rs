//! Convolution, and batch normalisation where it cannot be joined with one.

use super::{Args, Inputs, Op};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::params::{AutoPad, Convolution, MOST, Padding, Window};
use crate::value::{Value, dims, elements, shape};

impl Window {
    /// Reads the attributes; `kernel` may be missing for convolutions, whose weights tell it.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self, String> {
        let kernel = node.sizes("kernel_shape", [0, 0])?;
        let padding = match node.text("auto_pad", "NOTSET").as_str() {
            "NOTSET" => {
                let [top, left, bottom, right] = node.sizes("pads", [0; 4])?;
                AutoPad::Explicit(Padding { top, left, bottom, right })
            }
            "VALID" => AutoPad::Explicit(Padding::default()),
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => return Err(node.refuse(&format!("with auto_pad = {other}"))),
        };
        let window = Self {
            kernel,
            stride: node.sizes("strides", [1, 1])?,
            dilation: node.sizes("dilations", [1, 1])?,
            padding,
        };
        if window.numbers().any(|number| number > MOST) {
            return Err(node.refuse(&format!("with a window, stride, dilation or padding above {MOST}")));
        }
        if window.stride.contains(&0) || window.dilation.contains(&0) {
            return Err(node.refuse("with a stride or dilation of 0"));
        }
        Ok(window)
    }

    /// Dimensions of pooled images.
    pub(super) fn pooled(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let [count, channels, height, width] = inputs.image(0)?;
        let [height, width] = self.output([height, width], self.padding_for([height, width]))?;
        Ok(vec![count, channels, height, width])
    }
}

pub(super) fn convolution(node: &Node<'_>) -> Result<Op, String> {
    if node.ints("kernel_shape").is_some_and(|kernel| kernel.len() != 2) {
        return Err(node.refuse("in other than two dimensions"));
    }
    let groups = usize::try_from(node.int("group", 1)).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| node.refuse("with a group count below 1"))?;
    Ok(Op::Convolution(Convolution { window: Window::parse(node)?, groups, activation: None }))
}

impl Convolution {
    /// Dimensions of the result.
    pub(super) fn shape(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let [count, channels, height, width] = inputs.image(0)?;
        let [outputs, per_group, rows, columns] = self.weights(inputs)?;
        if per_group * self.groups != channels || outputs % self.groups != 0 {
            return Err(format!("{channels} channels where {} are needed", per_group * self.groups));
        }
        if rows.max(columns) > MOST {
            return Err(format!("a kernel of {rows}×{columns}"));
        }
        let window = Window { kernel: [rows, columns], ..self.window };
        let [height, width] = window.output([height, width], window.padding_for([height, width]))?;
        Ok(vec![count, outputs, height, width])
    }

    /// Products for each element of the result.
    pub(super) fn taps(&self, inputs: &Inputs<'_>) -> u64 {
        self.weights(inputs).map_or(1, |[_, inputs, rows, columns]| (inputs * rows * columns) as u64)
    }

    fn weights(&self, inputs: &Inputs<'_>) -> Result<[usize; 4], String> {
        let shape = inputs.shape(1)?;
        shape.try_into().map_err(|_| format!("weights with {} dimensions instead of four", shape.len()))
    }

    /// Runs with weights that are only known now; steps with constant weights are prepared when the model is loaded.
    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let x = args.float(0)?;
        let weights = args.take(1)?.into_host()?;
        let bias = if args.has(2) { Some(args.take(2)?.into_host()?) } else { None };
        let prepared = B::prepare_convolution(&self.sized(&weights)?, &weights, bias.as_ref(), args.device)?;
        B::convolve(&prepared, x).map(Value::Float)
    }
}

pub(super) fn batch_normalization(node: &Node<'_>) -> Result<Op, String> {
    if node.int("training_mode", 0) != 0 || node.int("spatial", 1) == 0 || node.proto.output.len() > 1 {
        return Err(node.refuse("in training mode"));
    }
    Ok(Op::BatchNormalization { epsilon: node.float("epsilon", 1e-5) })
}

pub(super) fn normalized_shape(inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
    let shape = inputs.floats(0)?;
    let channels = *shape.get(1).ok_or("BatchNormalization of other than images")?;
    for index in 1..5 {
        let each = elements(&inputs.floats(index)?);
        if each != Some(channels) {
            return Err(format!("input {index} does not hold a number for each of {channels} channels"));
        }
    }
    Ok(shape)
}

/// `(x − mean) / sqrt(variance + ε) · scale + bias` per channel.
pub(super) fn normalize<B: Kernels>(epsilon: f32, mut args: Args<'_, B>) -> Result<Value<B>, String> {
    let x = args.float(0)?;
    let rank = dims::<B>(&x).len();
    let mut per_channel = |index| {
        let tensor = args.float(index)?;
        let mut dims_of = vec![1; rank];
        dims_of[1] = dims::<B>(&tensor)[0];
        Ok::<_, String>(B::float_reshape(tensor, shape(&dims_of)))
    };
    let (scale, bias, mean, variance) = (per_channel(1)?, per_channel(2)?, per_channel(3)?, per_channel(4)?);
    let deviation = B::float_sqrt(B::float_add_scalar(variance, f64::from(epsilon).into()));
    let scale = B::float_div(scale, deviation);
    Ok(Value::Float(B::float_add(B::float_mul(B::float_sub(x, mean), scale), bias)))
}
