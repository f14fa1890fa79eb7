//! What flows between operators: tensors on the device, and small ones on the host.

use burn_backend::tensor::{Device, FloatTensor};
use burn_backend::{Backend, Shape, TensorData, TensorMetadata};

use crate::onnx::TensorProto;

/// A tensor in host memory: integers of any rank (shapes, indices; exact 64-bit arithmetic) and constants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostTensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: HostData,
}

/// Elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HostData {
    Float(Vec<f32>),
    Int(Vec<i64>),
}

impl HostTensor {
    pub(crate) fn float(shape: Vec<usize>, data: Vec<f32>) -> Self {
        Self { shape, data: HostData::Float(data) }
    }

    pub(crate) fn int(shape: Vec<usize>, data: Vec<i64>) -> Self {
        Self { shape, data: HostData::Int(data) }
    }

    /// Integers in one dimension.
    pub(crate) fn ints(data: Vec<i64>) -> Self {
        Self { shape: vec![data.len()], data: HostData::Int(data) }
    }

    /// The elements, if they are floats.
    pub(crate) fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            HostData::Float(data) => Some(data),
            HostData::Int(_) => None,
        }
    }

    /// The elements, if they are integers.
    pub(crate) fn to_ints(&self) -> Option<&[i64]> {
        match &self.data {
            HostData::Int(data) => Some(data),
            HostData::Float(_) => None,
        }
    }

    /// Integers and single numbers are not put on the device.
    pub(crate) fn stays_on_host(&self) -> bool {
        match &self.data {
            HostData::Int(_) => true,
            HostData::Float(data) => data.len() == 1 || self.shape.is_empty(),
        }
    }

    /// The value of a tensor of one element.
    pub(crate) fn scalar(&self) -> Option<f64> {
        match &self.data {
            HostData::Float(data) => (data.len() == 1).then(|| f64::from(data[0])),
            HostData::Int(data) => (data.len() == 1).then(|| data[0] as f64),
        }
    }

    /// Decodes a constant of the file.
    pub(crate) fn from_proto(tensor: &TensorProto) -> Result<Self, String> {
        const FLOAT: i32 = 1;
        const INT32: i32 = 6;
        const INT64: i32 = 7;
        const BOOL: i32 = 9;
        const FLOAT16: i32 = 10;
        if let Some(file) = tensor.elsewhere() {
            return Err(format!(
                "its weights are kept in another file, `{file}`; save it as one file: \
                 onnx.save_model(onnx.load(\"model.onnx\"), \"one.onnx\")"
            ));
        }
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        let shape = shape.ok_or_else(|| format!("the constant `{}` has a negative dimension", tensor.name))?;
        let raw = tensor.raw_data.as_slice();
        let narrow = |bits: &i32| i64::from(*bits);
        let data = match (tensor.data_type, raw.is_empty()) {
            (FLOAT, true) => HostData::Float(tensor.float_data.clone()),
            (FLOAT, false) => HostData::Float(words(raw).map(f32::from_le_bytes).collect()),
            (FLOAT16, true) => {
                HostData::Float(tensor.int32_data.iter().map(|bits| half_to_float(*bits as u16)).collect())
            }
            (FLOAT16, false) => {
                HostData::Float(words(raw).map(|word| half_to_float(u16::from_le_bytes(word))).collect())
            }
            (INT64, true) => HostData::Int(tensor.int64_data.clone()),
            (INT64, false) => HostData::Int(words(raw).map(i64::from_le_bytes).collect()),
            (INT32 | BOOL, true) => HostData::Int(tensor.int32_data.iter().map(narrow).collect()),
            (INT32, false) => HostData::Int(words(raw).map(|word| i64::from(i32::from_le_bytes(word))).collect()),
            (BOOL, false) => HostData::Int(raw.iter().map(|byte| i64::from(*byte)).collect()),
            (other, _) => {
                return Err(format!("the constant `{}` has the element type {other}", tensor.name));
            }
        };
        let elements = elements(&shape).ok_or_else(|| format!("the constant `{}` is too large", tensor.name))?;
        let found = match &data {
            HostData::Float(data) => data.len(),
            HostData::Int(data) => data.len(),
        };
        if found != elements {
            return Err(format!(
                "the constant `{}` holds {found} elements, its shape asks for {elements}",
                tensor.name
            ));
        }
        Ok(Self { shape, data })
    }
}

/// Elements of a tensor of this shape; none if that is more than an address can count.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    raw.as_chunks::<N>().0.iter().copied()
}

/// IEEE half precision, exactly.
fn half_to_float(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

/// A value between two operators.
pub(crate) enum Value<B: Backend> {
    /// Floats on the device.
    Float(FloatTensor<B>),
    /// Integers, and floats of one element.
    Host(HostTensor),
}

impl<B: Backend> Clone for Value<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Float(tensor) => Self::Float(tensor.clone()),
            Self::Host(tensor) => Self::Host(tensor.clone()),
        }
    }
}

impl<B: Backend> Value<B> {
    /// Its dimensions.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Float(tensor) => dims::<B>(tensor),
            Self::Host(tensor) => tensor.shape.clone(),
        }
    }

    /// A constant of the graph: floats go to the device, except single numbers, which operators take as they are.
    pub(crate) fn from_constant(tensor: &HostTensor, device: &Device<B>) -> Self {
        match &tensor.data {
            HostData::Float(data) if !tensor.stays_on_host() => {
                Self::Float(upload::<B>(data.clone(), &tensor.shape, device))
            }
            _ => Self::Host(tensor.clone()),
        }
    }

    /// Brings it to the host; waits until it is computed.
    pub(crate) fn into_host(self) -> Result<HostTensor, String> {
        match self {
            Self::Host(tensor) => Ok(tensor),
            Self::Float(tensor) => {
                let shape = dims::<B>(&tensor);
                let data = wait(B::float_into_data(tensor)).map_err(|error| format!("{error:?}"))?;
                let data = data.into_vec::<f32>().map_err(|error| format!("{error:?}"))?;
                Ok(HostTensor::float(shape, data))
            }
        }
    }
}

/// Dimensions of a device tensor.
pub(crate) fn dims<B: Backend>(tensor: &FloatTensor<B>) -> Vec<usize> {
    tensor.shape().iter().copied().collect()
}

/// A backend shape.
pub(crate) fn shape(dims: &[usize]) -> Shape {
    Shape::from(dims.to_vec())
}

/// Puts floats on the device.
pub(crate) fn upload<B: Backend>(data: Vec<f32>, dims: &[usize], device: &Device<B>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(data, dims.to_vec()), device)
}

/// Runs a future of the backend to its end on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half_to_float(bits), expected, "{bits:#x}");
        }
        assert!(half_to_float(0x7e00).is_nan());
    }
}
