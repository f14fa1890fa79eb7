#![doc = include_str!("../README.md")]

mod decode;
mod device;
mod error;
mod graph;
mod kernels;
mod model;
mod onnx;
mod ops;
mod preprocess;
mod run;
mod spec;
mod value;

pub use device::{Device, DeviceChoice, DeviceError, Probe};
pub use error::{FailureClass, ModelError, RunFailure};
pub use model::{BatchOutcome, Model, RawOutput, Request, Timings};
pub use ops::supported_operators;
pub use spec::{Hints, ModelInfo, OutputInfo, inspect};
