#![doc = include_str!("../README.md")]

mod device;
mod error;
mod model;
mod onnx;
mod spec;

pub use device::{Device, DeviceChoice, DeviceError, Probe};
pub use error::{FailureClass, ModelError, RunFailure};
pub use model::{BatchOutcome, Model, Request, Timings};
pub use spec::{Hints, ModelInfo, OutputInfo, inspect};
