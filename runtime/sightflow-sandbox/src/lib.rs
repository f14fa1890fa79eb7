#![doc = include_str!("../README.md")]

mod cache;
mod call;
mod config;
mod engine;
mod error;
pub mod first_party;
mod host;
mod manifests;
mod package;
mod problems;
mod registry;
mod report;
mod run;
mod sandbox;
mod text;
mod ticker;

pub use call::{CallContext, CallOutcome, Level, LogLine, Logs, Payload, Profile};
pub use config::{Allocation, Limits, SandboxConfig};
pub use error::{CallError, CallFailure, LimitKind, LoadError, Report, StartError};
pub use package::Package;
pub use registry::{BlockRegistry, RegistryError};
pub use sandbox::{MAX_PACKAGE_BYTES, Sandbox};
