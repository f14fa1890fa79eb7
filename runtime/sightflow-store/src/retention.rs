//! How long things are kept.

use std::time::Duration;

/// How long rows are kept that nobody needs any more. `None` keeps them for ever.
///
/// Uploads and idempotency keys carry their own time, 24 hours, and end whatever is set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Executions with their jobs and events, after they ended.
    pub executions: Option<Duration>,
    /// Members of the fleet, after their last sign of life.
    pub workers: Option<Duration>,
    /// Versions of a workflow; older ones go, unless an execution runs one.
    pub versions: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        Self { executions: days(7), workers: days(1), versions: Some(200) }
    }
}

/// What one prune deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Ended executions.
    pub executions: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Upload references; their blobs follow when nothing else refers to them.
    pub uploads: u64,
    /// Members of the fleet.
    pub workers: u64,
    /// Versions of workflows.
    pub versions: u64,
    /// Bytes of withdrawn versions of block packages; their blobs follow when nothing else refers to them.
    pub components: u64,
    /// A page was full: there may be more.
    pub more: bool,
}
