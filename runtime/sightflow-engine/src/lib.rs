#![doc = include_str!("../README.md")]

mod blocking;
pub mod catalog;
mod cell;
mod examples;
pub mod host;
mod image_source;
mod images;
mod input;
mod models;
mod native;
pub mod packages;
pub mod plan;
mod plans;
pub mod run;
mod run_input;
pub mod secrets;
pub mod server;
pub mod signature;
mod tasks;
mod trial;
mod validate;
mod weight;

pub use catalog::{BlockEntry, BlockSource, Catalog, CatalogError, EngineKind, Granted, Package};
pub use examples::{ExampleOutcome, run_examples};
pub use host::{
    BlockHost, BlockRef, CallContext, CallError, CallOutcome, CallProfile, CallTrace, CheckContext, Code, FailureKind,
    LogLevel, LogLine, Payload,
};
pub use image_source::ImageSource;
pub use images::{ImageIo, Purpose};
pub use input::validate_run;
pub use models::{ModelCatalog, ModelEntry};
pub use packages::{
    Breaking, CallGrants, Disagreement, Granting, Identity, LoadFailure, PackageLoader, PackageService, Packages,
    PackagesConfig,
};
pub use plan::{Compiled, DefinitionLimits, PROBLEMS_SHOWN, Plan, compile};
pub use plans::{PlanError, Plans, load_models};
pub use run::{
    EffectLog, End, JobOutcome, JobRequest, JobRunner, Lanes, Observer, Pause, Record, Report, Run, RunLimits,
    RunOutcome, RunParts, RunSpec, Silent, Unrecorded, run_plan,
};
pub use run_input::RunInput;
pub use server::{Engine, EngineConfig, EngineHealth, EngineParts, FetchError, ImageFetcher};
pub use sightflow_supervisor::{Faults, Health, Restarts};
pub use trial::{Trial, TrialError, fitting, try_block};
pub use validate::validate;
