//! The unit that waits, holds values, runs and reports: a node in one pass over its scope.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sightflow_types::JobId;
use tokio::time::Instant;

use super::trace::NodeTrace;
use crate::cell::Cell;
pub(super) use crate::cell::Outputs;

/// A pass over the nodes of one scope: the graph itself, or one item of a loop. Never used again in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PassId(pub(super) u64);

impl PassId {
    /// The graph itself.
    pub(super) const ROOT: Self = Self(0);
}

/// A node in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Frame {
    pub(super) pass: PassId,
    /// Index in the plan.
    pub(super) node: usize,
}

/// Work that was begun, over all its attempts.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    pub(super) started: Instant,
    /// Attempts so far, this one included.
    pub(super) count: u32,
    /// Written by the work, whatever becomes of it.
    pub(super) trace: Arc<Mutex<NodeTrace>>,
}

/// How a frame came to its end.
#[derive(Debug)]
pub(super) struct History {
    pub(super) duration: Duration,
    pub(super) attempts: u32,
    /// Longest time from enqueue to start among its jobs.
    pub(super) queue_ms: Option<u64>,
    pub(super) jobs: Vec<JobId>,
    pub(super) trace: Arc<Mutex<NodeTrace>>,
}

/// The value of a port.
pub(super) fn find<'o>(outputs: &'o [(Arc<str>, Cell)], port: &str) -> Option<&'o Cell> {
    outputs.iter().find(|(name, _)| &**name == port).map(|(_, cell)| cell)
}
