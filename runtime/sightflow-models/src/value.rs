//! What flows between operators: tensors on the device, and small ones on the host.

use burn_backend::tensor::{Device, FloatTensor};
use burn_backend::{Backend, Shape, TensorData, TensorMetadata};

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
}

/// Elements of a tensor of this shape; none if that is more than an address can count.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))
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
