#![doc = include_str!("../README.md")]

pub mod capability;
pub mod definition;
pub mod detection;
mod digest;
pub mod document;
pub mod error;
pub mod event;
pub mod geometry;
mod ids;
mod image;
pub mod image_ops;
pub mod manifest;
pub mod model;
mod problem;
mod round;
pub mod scan;
mod spelling;
mod states;
mod time;

pub use digest::{Digest, InvalidDigest};
pub use ids::{BatchId, EffectId, ExecutionId, InvalidId, JobId, KeyId, PackageId, TenantId, WorkerId, WorkflowId};
pub use image::{BYTES_KEY, IMAGE_KEY, ImageRef, Rect};
pub use problem::{Problem, ProblemCode, Severity};
pub use round::round_to;
pub use spelling::{fold, pointer_token};
pub use states::{
    ExecutionMode, ExecutionStatus, JobStatus, ModelSource, NodeStatus, Task, UnknownState, WorkflowStatus,
};
pub use time::{InvalidTimestamp, Timestamp};
