//! Names of the events that an execution records; `seq` orders them densely.

#![expect(missing_docs, reason = "each constant is its own wire name")]

pub const EXECUTION_STARTED: &str = "execution.started";
pub const EXECUTION_RESUMED: &str = "execution.resumed";
pub const EXECUTION_REPINNED: &str = "execution.repinned";
pub const EXECUTION_PROGRESS: &str = "execution.progress";
pub const EXECUTION_COMPLETED: &str = "execution.completed";
pub const EXECUTION_FAILED: &str = "execution.failed";
pub const EXECUTION_CANCELLED: &str = "execution.cancelled";
pub const NODE_STARTED: &str = "node.started";
pub const NODE_PROGRESS: &str = "node.progress";
pub const NODE_COMPLETED: &str = "node.completed";
pub const NODE_SKIPPED: &str = "node.skipped";
pub const NODE_FAILED: &str = "node.failed";
pub const JOB_QUEUED: &str = "job.queued";
pub const JOB_RUNNING: &str = "job.running";
pub const JOB_RETRYING: &str = "job.retrying";
pub const JOB_COMPLETED: &str = "job.completed";
pub const JOB_FAILED: &str = "job.failed";
pub const JOB_CANCELLED: &str = "job.cancelled";

/// True for the events after which nothing follows.
pub fn is_terminal(kind: &str) -> bool {
    matches!(kind, EXECUTION_COMPLETED | EXECUTION_FAILED | EXECUTION_CANCELLED)
}
