//! Where models run, and finding out what there is.

#[cfg(feature = "cuda")]
mod cuda;

use std::fmt;
use std::path::Path;
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
    /// Decides where models run. What a GPU needs (driver, compiler, headers) is looked for before anything touches it,
    /// and a small computation on it must give the right numbers.
    ///
    /// Kernels that were compiled for a GPU, and what was measured to choose among them, are kept in `caches`, for the
    /// next process.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] if a GPU was asked for by name and cannot be used.
    pub fn probe(choice: DeviceChoice, caches: &Path) -> Result<Probe, DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok(Probe { device: Self::Cpu, found: "using the CPU, as asked".to_owned() }),
            DeviceChoice::Cuda(number) => match cuda::usable(number, caches) {
                Ok(name) => Ok(Probe {
                    device: Self::Cuda(number),
                    found: format!("using GPU {number} ({name}) through CUDA, as asked"),
                }),
                Err(reason) => Err(DeviceError::Unavailable { number, reason }),
            },
            DeviceChoice::Auto => Ok(match cuda::usable(0, caches) {
                Ok(name) => {
                    Probe { device: Self::Cuda(0), found: format!("found a GPU ({name}), using it through CUDA") }
                }
                Err(reason) => Probe { device: Self::Cpu, found: format!("using the CPU: {reason}") },
            }),
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    pub(super) fn usable(_number: usize, _caches: &std::path::Path) -> Result<String, String> {
        Err("this build has no GPU support; build with `--features cuda`".to_owned())
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
        let caches = Path::new("unused");
        let error = Device::probe(DeviceChoice::Cuda(0), caches).expect_err("cannot be there");
        assert!(error.to_string().contains("--features cuda"), "{error}");
        let auto = Device::probe(DeviceChoice::Auto, caches).expect("falls back");
        assert_eq!(auto.device, Device::Cpu);
        assert!(auto.found.contains("no GPU support"), "{}", auto.found);
    }
}
