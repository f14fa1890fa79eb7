//! Settings of operators that kernels know: where windows lie, which function, how pixels are made.

use crate::value::HostTensor;

/// Zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Padding {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) bottom: usize,
    pub(crate) right: usize,
}

impl Padding {
    pub(crate) fn is_symmetric(&self) -> bool {
        self.top == self.bottom && self.left == self.right
    }
}

/// How padding is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoPad {
    /// As given.
    Explicit(Padding),
    /// So that the output is the input divided by the stride; an odd zero goes to the end.
    SameUpper,
    /// The same; an odd zero goes to the start.
    SameLower,
}

/// Where windows are placed on an image: the settings that convolutions and pools share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) padding: AutoPad,
}

/// Larger windows, steps and paddings are refused, so that sums and products of them fit into an address.
pub(crate) const MOST: usize = 1 << 24;

impl Window {
    /// Every number in it.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        let padding = match self.padding {
            AutoPad::Explicit(Padding { top, left, bottom, right }) => [top, left, bottom, right],
            AutoPad::SameUpper | AutoPad::SameLower => [0; 4],
        };
        [self.kernel, self.stride, self.dilation].into_iter().flatten().chain(padding)
    }

    /// Padding for an image of this height and width.
    pub(crate) fn padding_for(&self, size: [usize; 2]) -> Padding {
        let (upper, total) = match self.padding {
            AutoPad::Explicit(padding) => return padding,
            AutoPad::SameUpper => (true, [self.same(size, 0), self.same(size, 1)]),
            AutoPad::SameLower => (false, [self.same(size, 0), self.same(size, 1)]),
        };
        let start = total.map(|total| if upper { total / 2 } else { total - total / 2 });
        Padding { top: start[0], left: start[1], bottom: total[0] - start[0], right: total[1] - start[1] }
    }

    fn same(&self, size: [usize; 2], axis: usize) -> usize {
        let outputs = size[axis].div_ceil(self.stride[axis]).max(1);
        ((outputs - 1) * self.stride[axis] + self.extent(axis)).saturating_sub(size[axis])
    }

    /// Pixels that a window spans.
    fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis].max(1) - 1) * self.dilation[axis] + 1
    }

    /// Height and width of the result.
    ///
    /// # Errors
    /// The window is larger than the padded image.
    pub(crate) fn output(&self, size: [usize; 2], padding: Padding) -> Result<[usize; 2], String> {
        let along = |axis: usize, pad: usize| {
            let room =
                (size[axis] + pad).checked_sub(self.extent(axis)).ok_or("the window is larger than the image")?;
            Ok::<_, String>(room / self.stride[axis] + 1)
        };
        Ok([along(0, padding.top + padding.bottom)?, along(1, padding.left + padding.right)?])
    }

    /// Pixels of a window.
    pub(crate) fn area(&self) -> u64 {
        (self.kernel[0] * self.kernel[1]) as u64
    }
}

/// A two-dimensional convolution, with what was joined with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Convolution {
    pub(crate) window: Window,
    pub(crate) groups: usize,
    /// Applied to each result.
    pub(crate) activation: Option<Activation>,
}

impl Convolution {
    /// Takes the kernel's size from the weights `[out, in / groups, rows, columns]`.
    pub(crate) fn sized(&self, weights: &HostTensor) -> Result<Self, String> {
        let [out, _, rows, columns] = weights.shape[..] else {
            return Err(format!("weights with {} dimensions instead of four", weights.shape.len()));
        };
        if out % self.groups != 0 {
            return Err(format!("{out} outputs do not divide into {} groups", self.groups));
        }
        let mut sized = self.clone();
        sized.window.kernel = [rows, columns];
        Ok(sized)
    }
}

/// Functions that can be joined with the operator before them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    /// Between two bounds; ReLU is 0 to infinity.
    Clip(f32, f32),
    /// `x` above 0, else `alpha · x`.
    LeakyRelu(f32),
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
    /// `max(0, min(1, alpha · x + beta))`.
    HardSigmoid(f32, f32),
    /// `x · max(0, min(1, x / 6 + 0.5))`.
    HardSwish,
}

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Exp,
    Neg,
    Sqrt,
    Tanh,
}

/// Functions of two numbers, with broadcasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// How new pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResizeKind {
    /// The pixel under `floor(output · ratio)`.
    Nearest,
    /// Linear between pixel centres.
    Linear,
    /// Linear; the corner pixels' centres stay in the corners.
    LinearAlignCorners,
}
