//! NVIDIA GPUs: burn's operations throughout.

use burn_backend::tensor::FloatTensor;
use burn_cuda::{Cuda, CudaDevice};

use super::{BurnConvolution, Kernels};
use crate::params::Convolution;
use crate::value::HostTensor;

impl Kernels for Cuda<f32, i32> {
    type Prepared = BurnConvolution<Self>;

    fn prepare_convolution(
        conv: &Convolution,
        weights: &HostTensor,
        bias: Option<&HostTensor>,
        device: &CudaDevice,
    ) -> Result<Self::Prepared, String> {
        BurnConvolution::prepare(conv, weights, bias, device)
    }

    fn convolve(prepared: &Self::Prepared, x: FloatTensor<Self>) -> Result<FloatTensor<Self>, String> {
        prepared.run(x)
    }
}
