//! How far a frame is, and what exists of it then.

use std::sync::Arc;
use std::time::Duration;

use sightflow_types::JobId;
use sightflow_types::error::RunError;
use tokio::time::Instant;

use super::frame::{Attempts, History, Outputs};
use super::jobs::JobOutcome;
use super::loops::{Loop, LoopResults};
use super::work::Work;
use crate::cell::Cell;

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

/// A frame that waits for its jobs. It needs neither a thread nor a task.
#[derive(Debug)]
pub(super) struct Inferring {
    pub(super) attempts: Attempts,
    /// Goes on with the outcomes.
    pub(super) work: Box<Work>,
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
