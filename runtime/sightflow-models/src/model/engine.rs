//! The program on the device that was chosen.

use burn_flex::{Flex, FlexDevice};
use sightflow_types::model::TensorLayout;

use crate::Device;
use crate::error::PassFailure;
use crate::graph::Graph;
use crate::run::Program;
use crate::value::HostTensor;

/// A program for one of the backends.
pub(super) enum Engine {
    Cpu(Program<Flex>),
    #[cfg(feature = "cuda")]
    Cuda(Program<burn_cuda::Cuda<f32, i32>>),
}

impl Engine {
    pub(super) fn prepare(graph: &Graph, device: Device) -> Result<Self, String> {
        match device {
            Device::Cpu => Program::prepare(graph, FlexDevice).map(Self::Cpu),
            #[cfg(feature = "cuda")]
            Device::Cuda(number) => Program::prepare(graph, burn_cuda::CudaDevice::new(number)).map(Self::Cuda),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(_) => Err("this build has no GPU support; build with `--features cuda`".to_owned()),
        }
    }

    pub(super) fn run(
        &self,
        input: Vec<f32>,
        size: [usize; 3],
        layout: TensorLayout,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<(String, HostTensor)>, PassFailure> {
        match self {
            Self::Cpu(program) => program.run_images(input, size, layout, cancelled),
            #[cfg(feature = "cuda")]
            Self::Cuda(program) => program.run_images(input, size, layout, cancelled),
        }
    }
}
