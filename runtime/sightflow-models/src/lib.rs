#![doc = include_str!("../README.md")]

mod check;
mod decode;
mod device;
mod error;
mod format;
mod graph;
mod kernels;
mod model;
mod onnx;
mod ops;
mod params;
mod preprocess;
mod run;
#[cfg(test)]
mod samples;
mod simd;
mod spec;
mod value;

pub use check::check;
pub use device::{Device, DeviceChoice, DeviceError, Probe};
pub use error::{ModelError, RunFailure, RunFailureClass};
pub use model::{BatchOutcome, Model, RawOutput, Request, Timings};
pub use ops::supported_operators;
pub use simd::{SimdError, SimdLevel};
pub use spec::{Hints, ModelInfo, OutputInfo, inspect};
