//! What is known of values before an operator runs: enough to say how large its results will be.

use crate::kernels::Kernels;
use crate::value::{HostData, HostTensor, Value, elements};

/// A value before anything runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// The shape of floats on the device.
    Float(Vec<usize>),
    /// A value on the host, whole.
    Host(HostTensor),
}

impl Known {
    /// As [`Value::from_constant`] will have it.
    pub(crate) fn of_constant(tensor: &HostTensor) -> Self {
        match tensor.stays_on_host() {
            true => Self::Host(tensor.clone()),
            false => Self::Float(tensor.shape.clone()),
        }
    }

    pub(crate) fn of_value<B: Kernels>(value: &Value<B>) -> Self {
        match value {
            Value::Float(_) => Self::Float(value.shape()),
            Value::Host(tensor) => Self::Host(tensor.clone()),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::Float(shape) => shape,
            Self::Host(tensor) => &tensor.shape,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        let each = match self {
            Self::Float(_) => size_of::<f32>(),
            Self::Host(_) => size_of::<i64>(),
        };
        elements(self.shape()).map_or(u64::MAX, |count| (count as u64).saturating_mul(each as u64))
    }
}

/// The inputs of an operator, as far as they are known.
pub(crate) struct Inputs<'a> {
    pub(crate) values: &'a [Option<Known>],
    /// How many outputs the node has.
    pub(crate) outputs: usize,
}

impl<'a> Inputs<'a> {
    pub(super) fn get(&self, index: usize) -> Result<&'a Known, String> {
        self.optional(index).ok_or_else(|| format!("input {index} is missing"))
    }

    pub(super) fn optional(&self, index: usize) -> Option<&'a Known> {
        self.values.get(index).and_then(Option::as_ref)
    }

    pub(super) fn shape(&self, index: usize) -> Result<&'a [usize], String> {
        self.get(index).map(Known::shape)
    }

    /// The shape of floats; a single number has one dimension on the device.
    pub(super) fn floats(&self, index: usize) -> Result<Vec<usize>, String> {
        match self.get(index)? {
            Known::Host(HostTensor { data: HostData::Int(_), .. }) => {
                Err(format!("input {index} holds integers where floats are needed"))
            }
            known if known.shape().is_empty() => Ok(vec![1]),
            known => Ok(known.shape().to_vec()),
        }
    }

    /// Count, channels, height and width.
    pub(super) fn image(&self, index: usize) -> Result<[usize; 4], String> {
        let shape = self.floats(index)?;
        shape.as_slice().try_into().map_err(|_| format!("images have four dimensions, not {}", shape.len()))
    }

    /// An optional input as integers.
    pub(super) fn ints(&self, index: usize) -> Result<Option<&'a [i64]>, String> {
        match self.optional(index) {
            None => Ok(None),
            Some(Known::Host(HostTensor { data: HostData::Int(data), .. })) => Ok(Some(data)),
            Some(_) => Err(format!("input {index} holds floats where integers are needed")),
        }
    }
}
