#![doc = include_str!("../README.md")]

mod api_key;
mod blob;
mod block_package;
mod clock;
mod digest;
mod effect;
mod error;
mod execution;
mod followers;
mod idempotency;
mod job;
mod model;
mod page;
mod publisher;
mod quota;
mod retention;
mod retry;
mod search;
mod secret;
mod signal;
mod sqlite;
mod store;
mod tenant;
mod usage;
mod worker;
mod workflow;

pub use api_key::{ApiKey, InvalidKey, KeyHash, KeyOwner, KeySecret, NewApiKey, Scope};
pub use blob::{
    BUSY_ATTEMPTS, BUSY_PAUSE, Blob, BlobRef, DELETION_KNOWN_MS, NewBlob, RefKind, SECOND_LOOK_MS, UPLOAD_TTL_MS,
};
pub use block_package::{
    Activation, BlockPackage, BlockVersion, BlockVersionState, NamedVersion, NewBlockVersion, PackageChanges,
    PackageGrants, PackageKey, PackageQuota, PublishedVersion, Quarantined,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use digest::definition_digest;
pub use effect::{BegunEffect, Effect, EffectEnd, EffectState, MOST_LISTED_EFFECTS, NewEffect};
pub use error::{Result, StoreError};
pub use execution::{
    Append, CRASH_LOOP, Cost, DEADLINE_GRACE_MS, EVENT_PAGE_BYTES, Event, Execution, ExecutionFilter, ExecutionLease,
    FinishedExecution, JobCounts, NewEvent, NewExecution, NodeRecord, RunDefinition, RunSource, StartedExecution,
};
pub use followers::{Follower, Followers};
pub use idempotency::Idempotency;
pub use job::{
    ClaimRequest, ClaimedJob, FailureClass, FailureOutcome, Job, JobFailure, JobFilter, JobLease, JobResult,
    JobSummary, MODEL_WAIT_MS, ModelHead, NewJob, RESCUE_PAGE, RescuedJob, SILENCE_MS, breaker_hold_ms,
};
pub use model::{ModelFilter, ModelRow, ModelState, NewModel};
pub use page::{COUNT_CAP, Page, PageRequest};
pub use publisher::{MOST_PUBLISHERS, Publisher};
pub use quota::{Quota, QuotaChanges, Quotas};
pub use retention::{Pruned, Retention};
pub use search::fold;
pub use secret::{MOST_SECRETS, SecretName};
pub use signal::{EndedJob, Signal};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{QueueDepth, SharedStore, Store, StoreStatistics};
pub use tenant::{InvalidSlug, NewTenant, Slug, Tenant, TenantChange, TenantStatus};
pub use usage::{Usage, UsageBy, UsageQuery};
pub use worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker, WorkerRole, WorkerState};
pub use workflow::{
    Created, Definitions, NewWorkflow, OpenExecutions, Replayed, Workflow, WorkflowChange, WorkflowFilter,
    WorkflowHead, WorkflowVersion,
};
