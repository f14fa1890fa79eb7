//! The unit that waits, holds values, runs and reports: a node in one pass over its scope.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sightflow_types::JobId;
use sightflow_types::error::RunError;
use tokio::time::Instant;

use super::jobs::JobOutcome;
use super::loops::{Loop, LoopResults};
use super::task::Task;
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

/// How far a frame is. Each state carries what exists in it.
#[derive(Debug)]
pub(super) enum State {
    /// So many nodes that it depends on have not settled.
    Blocked(usize),
    /// Waits for its turn.
    Ready,
    /// Its work is under way.
    Running(Attempts),
    /// Its inference jobs are under way.
    Inferring(Box<Inferring>),
    /// It failed and is repeated at a time that the walk knows.
    Pausing(Attempts),
    /// A `foreach` whose items run.
    Looping(Box<Loop>),
    /// It delivered.
    Completed(Box<Completed>),
    /// It did not run, for this reason.
    Skipped(String),
    /// It failed.
    Failed(Box<Failed>),
    /// The run or its item ended before it did.
    Cancelled(Option<Duration>),
}

/// Work that was begun, over all its attempts.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    pub(super) started: Instant,
    /// Attempts so far, this one included.
    pub(super) count: u32,
    /// Written by the task, whatever becomes of it.
    pub(super) trace: Arc<Mutex<NodeTrace>>,
}

/// A frame that waits for its jobs. It needs neither a thread nor a task.
#[derive(Debug)]
pub(super) struct Inferring {
    pub(super) attempts: Attempts,
    /// Goes on with the outcomes.
    pub(super) task: Box<Task>,
    pub(super) jobs: Vec<JobId>,
    pub(super) outcomes: Vec<Option<JobOutcome>>,
    /// Outcomes that are open.
    pub(super) open: usize,
}

/// What a frame leaves behind when it delivered.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) outputs: Outputs,
    pub(super) history: History,
    /// What a `foreach` gathered from its items.
    pub(super) gathered: Option<Box<LoopResults>>,
}

/// What a frame leaves behind when it failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: RunError,
    pub(super) history: History,
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

impl State {
    pub(super) fn settled(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Skipped(_) | Self::Failed(_) | Self::Cancelled(_))
    }

    /// When its work began, if it is under way.
    pub(super) fn began(&self) -> Option<Instant> {
        match self {
            Self::Running(attempts) | Self::Pausing(attempts) => Some(attempts.started),
            Self::Inferring(waiting) => Some(waiting.attempts.started),
            Self::Looping(running) => Some(running.attempts.started),
            _ => None,
        }
    }

    /// What it delivered; nothing unless it completed.
    pub(super) fn outputs(&self) -> &[(Arc<str>, Cell)] {
        match self {
            Self::Completed(completed) => &completed.outputs,
            _ => &[],
        }
    }
}

/// The value of a port.
pub(super) fn find<'o>(outputs: &'o [(Arc<str>, Cell)], port: &str) -> Option<&'o Cell> {
    outputs.iter().find(|(name, _)| &**name == port).map(|(_, cell)| cell)
}
