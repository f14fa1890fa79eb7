//! What tenants used.

use sightflow_types::{Timestamp, closed_set};

closed_set!(
/// How usage is summed up.
UsageBy, "grouping of usage", {
    /// By the hour in which executions ended.
    Hour = "hour",
    /// By the day, in UTC.
    Day = "day",
    /// By workflow; runs of definitions that came with them have none.
    Workflow = "workflow",
    /// By model: only what its jobs used.
    Model = "model",
    /// By block: only what its calls used.
    Block = "block",
});

/// Which usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageQuery {
    /// Executions that ended at this time or later.
    pub from: Timestamp,
    /// And before this time.
    pub to: Timestamp,
    /// How it is summed up.
    pub by: UsageBy,
}

/// What was used, of one hour, day, workflow, model or block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// The group: milliseconds of its beginning, an id or a name; empty for runs without a saved workflow.
    pub key: String,
    /// Executions that ended.
    pub executions: u64,
    /// Inference jobs that were completed.
    pub jobs: u64,
    /// Time of GPUs, µs.
    pub gpu_us: u64,
    /// Time of CPUs of workers, µs.
    pub worker_cpu_us: u64,
    /// Processor time of blocks, µs.
    pub block_cpu_us: u64,
}
