#![doc = include_str!("../README.md")]

mod buffers;
mod cache;
mod call;
mod config;
mod engine;
mod error;
mod host;
mod manifests;
mod package;
mod problems;
mod report;
mod run;
mod sandbox;
mod text;
mod ticker;

pub use call::{CallConditions, GuestOutcome, GuestPayload, Level, LogLine, Logs, ManyOutcomes, Profile};
pub use config::{Allocation, CallLimits, SandboxConfig};
pub use error::{CallFailure, GuestError, LimitKind, LoadError, Report, StartError};
pub use package::Package;
pub use sandbox::{MAX_PACKAGE_BYTES, Sandbox};
