#![doc = include_str!("../README.md")]

mod buffers;
mod cache;
mod call;
mod compile;
mod config;
mod engine;
mod error;
pub mod finding;
mod grants;
mod host;
mod manifests;
mod many;
mod native;
mod package;
mod problems;
mod quarantine;
mod report;
mod run;
mod sandbox;
mod screen;
mod text;
mod ticker;
#[cfg(test)]
mod versions;

pub use call::{CallConditions, GuestOutcome, GuestPayload, Level, LogLine, Logs, Profile};
pub use compile::compile_component;
pub use config::{Allocation, CallLimits, ChildCompiler, CompileLimits, Compiler, SandboxConfig};
pub use error::{CallFailure, GuestError, LimitKind, LoadError, Report, StartError};
pub use grants::{Grants, HttpClient, HttpFailure, Outgoing, Secret};
pub use many::ManyOutcomes;
pub use package::Package;
pub use quarantine::{QuarantinePolicy, Quarantined};
pub use sandbox::Sandbox;
pub use screen::{Identity, IdentityError, MAX_PACKAGE_BYTES, Screened, identity, screen, with_identity};
