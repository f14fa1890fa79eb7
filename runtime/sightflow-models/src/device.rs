//! Where models run, and finding out what there is.

use std::fmt;
use std::str::FromStr;

/// What the operator asked for: `auto`, `cpu`, `cuda` or `cuda:<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU if there is one that this build can use, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, or a clear error.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| DeviceError::Unknown(text.to_owned())),
            _ => Err(DeviceError::Unknown(text.to_owned())),
        }
    }
}

/// A device that models run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The CPU; each run uses the calling thread only.
    Cpu,
    /// An NVIDIA GPU by number.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The device that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What to load models on.
    pub device: Device,
    /// One sentence about what was found, for the log.
    pub found: String,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not one of the names.
    #[error("unknown device `{0}`; known: auto, cpu, cuda, cuda:<n>")]
    Unknown(String),
    /// It was asked for and is not there.
    #[error("device cuda:{number} cannot be used: {reason}")]
    Unavailable {
        /// Number of the GPU.
        number: usize,
        /// What is missing and what to do.
        reason: String,
    },
}

impl Device {
    /// Decides where models run, and looks for the driver before anything touches it.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] if a GPU was asked for by name and cannot be used.
    pub fn probe(choice: DeviceChoice) -> Result<Probe, DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok(Probe { device: Self::Cpu, found: "using the CPU, as asked".to_owned() }),
            DeviceChoice::Cuda(number) => match cuda::usable(number) {
                Ok(()) => Ok(Probe {
                    device: Self::Cuda(number),
                    found: format!("using GPU {number} through CUDA, as asked"),
                }),
                Err(reason) => Err(DeviceError::Unavailable { number, reason }),
            },
            DeviceChoice::Auto => Ok(match cuda::usable(0) {
                Ok(()) => Probe { device: Self::Cuda(0), found: "found a GPU, using it through CUDA".to_owned() },
                Err(reason) => Probe { device: Self::Cpu, found: format!("using the CPU: {reason}") },
            }),
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    pub(super) fn usable(_number: usize) -> Result<(), String> {
        Err("this build has no GPU support; build with `--features cuda`".to_owned())
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::path::Path;

    use burn_cuda::{Cuda, CudaDevice};

    /// The kernel driver's device files and the driver library must both be there; then one small computation must
    /// succeed, because burn panics where a driver is present but unusable.
    pub(super) fn usable(number: usize) -> Result<(), String> {
        if !Path::new("/dev/nvidiactl").exists() && !Path::new("/dev/dxg").exists() {
            return Err("no NVIDIA GPU found (no /dev/nvidiactl)".to_owned());
        }
        crate::error::catching(|| {
            use burn_backend::TensorData;
            use burn_backend::ops::FloatTensorOps;
            let device = CudaDevice::new(number);
            let one = Cuda::<f32, i32>::float_from_data(TensorData::from([1.0_f32]), &device);
            let two =
                crate::value::wait(Cuda::<f32, i32>::float_into_data(Cuda::<f32, i32>::float_add(one.clone(), one)));
            two.map(|_| ()).map_err(|error| format!("{error:?}"))
        })
        .map_err(|reason| format!("the CUDA driver is not usable ({reason})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("auto", Ok(DeviceChoice::Auto)),
            ("cpu", Ok(DeviceChoice::Cpu)),
            ("cuda", Ok(DeviceChoice::Cuda(0))),
            ("cuda:3", Ok(DeviceChoice::Cuda(3))),
            ("cuda:x", Err(DeviceError::Unknown("cuda:x".to_owned()))),
            ("cpu:0", Err(DeviceError::Unknown("cpu:0".to_owned()))),
            ("gpu", Err(DeviceError::Unknown("gpu".to_owned()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_gpu_support() {
        let error = Device::probe(DeviceChoice::Cuda(0)).expect_err("cannot be there");
        assert!(error.to_string().contains("--features cuda"), "{error}");
        let auto = Device::probe(DeviceChoice::Auto).expect("falls back");
        assert_eq!(auto.device, Device::Cpu);
        assert!(auto.found.contains("no GPU support"), "{}", auto.found);
    }
}
