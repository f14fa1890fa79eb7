//! Executions, their events and their leases.

use serde_json::{Map, Value};
use sightflow_types::error::RunError;
use sightflow_types::{BatchId, Digest, ExecutionId, ExecutionMode, ExecutionStatus, TenantId, Timestamp, WorkflowId};

use crate::{Idempotency, NewBlob};

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// None for an inline run.
    pub workflow_id: Option<WorkflowId>,
    /// Present name of the workflow.
    pub workflow_name: Option<String>,
    /// The version that it runs.
    pub workflow_version: Option<u32>,
    /// Digests of blocks and models, pinned at start.
    pub pins: Value,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// How it was asked for.
    pub mode: ExecutionMode,
    /// 1..10, 10 first.
    pub priority: u8,
    /// Run input by name, images as references; without `parameters`. Empty in lists.
    pub input: Map<String, Value>,
    /// Run parameters, coerced. Empty in lists.
    pub parameters: Map<String, Value>,
    /// What resolved; none before the end, and in lists.
    pub outputs: Option<Value>,
    /// What is recorded about each node as a whole, by node id; empty in lists.
    pub node_metrics: Value,
    /// `percent`, `completed_nodes`, `total_nodes`, `running_nodes`, `running`; `{}` before the start.
    pub progress: Value,
    /// Why it failed.
    pub error: Option<RunError>,
    /// The client's own.
    pub metadata: Value,
    /// Bound from its acceptance, seconds.
    pub timeout_seconds: u32,
    /// Acceptance plus timeout.
    pub deadline_at: Option<Timestamp>,
    /// Further attempts per job, 0..10.
    pub max_retries: u8,
    /// Times that another engine took it over.
    pub resume_count: u32,
    /// The execution that it repeats.
    pub replayed_from: Option<ExecutionId>,
    /// Its batch.
    pub batch_id: Option<BatchId>,
    /// Grows with each lease.
    pub lease_token: i64,
    /// Number of its newest event.
    pub event_seq: i64,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// Its inference jobs by class.
    pub jobs: JobCounts,
    /// What it cost; complete when it has ended.
    pub cost: Cost,
    /// First start.
    pub started_at: Option<Timestamp>,
    /// End.
    pub completed_at: Option<Timestamp>,
    /// From first start to end.
    pub duration_ms: Option<u64>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// Inference jobs of one execution by class; kept by the database itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobCounts {
    /// Pending, queued and running.
    pub pending: u32,
    /// Completed.
    pub completed: u32,
    /// Failed.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// What a run cost so far, in time. None: not known, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Processor time of its component blocks, repeated work included, microseconds.
    pub block_cpu_us: Option<u64>,
    /// Compute time of its completed inference jobs on CPUs, each its share of its batch. Counted when the run ends.
    pub worker_cpu_ms: Option<u64>,
    /// The same on GPUs.
    pub gpu_ms: Option<u64>,
}

/// What a run executes.
#[derive(Debug, Clone, PartialEq)]
pub enum RunSource {
    /// A saved workflow.
    Workflow {
        /// Which.
        id: WorkflowId,
        /// Which version; none: the newest at the moment of the submit.
        version: Option<u32>,
    },
    /// A definition sent with the run and kept with it.
    Inline(Value),
}

/// A run to accept.
#[derive(Debug, Clone)]
pub struct NewExecution {
    /// Most executions of the tenant that wait, this one included; none: any number.
    pub queue_quota: Option<u64>,
    /// Whose it will be.
    pub tenant_id: TenantId,
    /// What it executes.
    pub source: RunSource,
    /// As sent.
    pub mode: ExecutionMode,
    /// 1..10.
    pub priority: u8,
    /// Run input without `parameters`.
    pub input: Map<String, Value>,
    /// Coerced parameters.
    pub parameters: Map<String, Value>,
    /// The client's own.
    pub metadata: Value,
    /// 1..=86400.
    pub timeout_seconds: u32,
    /// 0..=10.
    pub max_retries: u8,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Blobs that the input names; the execution gets a reference to each. The tenant must hold one already, except to
    /// those that are in `new_blobs`.
    pub input_blobs: Vec<Digest>,
    /// Blobs whose bytes were stored for this run: recorded with it, and referred to by the execution alone.
    pub new_blobs: Vec<NewBlob>,
    /// The client's key, if it sent one.
    pub idempotency: Option<Idempotency>,
}

/// Which executions to list; empty fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    /// Of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// In one of these states.
    pub statuses: Vec<ExecutionStatus>,
    /// Accepted after this instant (exclusive).
    pub created_after: Option<Timestamp>,
    /// Accepted before this instant (exclusive).
    pub created_before: Option<Timestamp>,
}

/// The right to run an execution: every write of an engine carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExecutionLease {
    /// Which.
    pub execution_id: ExecutionId,
    /// Given at start or takeover; a write with an older one is refused with `StaleLease`.
    pub token: i64,
}

/// The definition that an execution runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDefinition {
    /// What it means: [`definition_digest`](crate::definition_digest).
    pub digest: Digest,
    /// The definition itself.
    pub definition: Value,
}

/// An execution that an engine now runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedExecution {
    /// Its row, status `running`, without node records.
    pub execution: Execution,
    /// Which definition it runs; the definition itself is [`Store::execution_definition`](crate::Store::execution_definition).
    pub definition_digest: Digest,
}

impl StartedExecution {
    /// What the engine's writes carry.
    pub const fn lease(&self) -> ExecutionLease {
        ExecutionLease { execution_id: self.execution.id, token: self.execution.lease_token }
    }
}

/// An event to record.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// One of `sightflow_types::event`.
    pub kind: String,
    /// At most 16 KiB as JSON; larger ones are refused.
    pub payload: Value,
}

/// An answer with recorded events ends with the one that brings their payloads to this size: the reader may be slow.
pub const EVENT_PAGE_BYTES: usize = 64 << 10;

/// A recorded event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// From 1, dense within its execution.
    pub seq: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// One of `sightflow_types::event`.
    pub kind: String,
    /// `node_id`, `item`, `job_id` and what else belongs to the kind.
    pub payload: Value,
}

/// What is recorded about a node, or about one item of a node in a loop.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    /// Which node.
    pub node_id: String,
    /// Loop indexes (`3`, `3/1`); empty: the node as a whole.
    pub item_path: String,
    /// An object. Its null fields are not kept, at the top level.
    pub record: Value,
}

/// What an engine records about a running execution, in one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Append {
    /// Events, in order.
    pub events: Vec<NewEvent>,
    /// Records that are new or changed; each takes the place of the former one of its node and item.
    pub records: Vec<NodeRecord>,
    /// The newest progress: `percent`, `completed_nodes`, `total_nodes`, `running_nodes`, `running`; none leaves it as it is.
    pub progress: Option<Value>,
    /// Processor time of component blocks since the last append, microseconds.
    pub block_cpu_us: u64,
    /// Which blocks and models the execution uses; none leaves them as they are.
    pub pins: Option<Value>,
}

/// How a run ended by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedExecution {
    /// None: completed. Some: failed, for this reason.
    pub error: Option<RunError>,
    /// What resolved.
    pub outputs: Value,
    /// Records that are new or changed since the last append.
    pub records: Vec<NodeRecord>,
    /// Last progress.
    pub progress: Value,
    /// Processor time of component blocks since the last append, microseconds.
    pub block_cpu_us: u64,
    /// Stored blobs that the outputs name.
    pub output_blobs: Vec<Digest>,
    /// The last events, recorded before the terminal one.
    pub events: Vec<NewEvent>,
    /// Which blocks and models the execution used; none leaves them as they are.
    pub pins: Option<Value>,
}

/// Takeovers and failures to go on, in a row without a newly completed node or job, after which an execution fails with `E-CRASH-LOOP`.
pub const CRASH_LOOP: u32 = 5;
/// How long the engine that runs an execution may take beyond the deadline before the store ends it.
pub const DEADLINE_GRACE_MS: i64 = 10_000;
