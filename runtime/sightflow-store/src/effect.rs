//! Calls that reach the outside world. Each is a row before it leaves, so that a run that is walked again does not repeat
//! what has an answer.

use serde_json::Value;
use sightflow_types::error::RunError;
use sightflow_types::{EffectId, Timestamp};

/// Most calls that are listed of one execution.
pub const MOST_LISTED_EFFECTS: u32 = 1000;

/// A call that is about to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// The node that calls.
    pub node_id: String,
    /// Loop indexes (`3/1`); empty outside of loops.
    pub item_path: String,
    /// Whether the same call may be made again where nobody knows whether it arrived.
    pub repeatable: bool,
}

/// What there is to do about a call.
#[derive(Debug, Clone, PartialEq)]
pub enum BegunEffect {
    /// Make it. It is recorded as sent.
    Send,
    /// It was made; this is what it answered.
    Done(Value),
    /// It failed for good, or it may have arrived and may not be repeated.
    Failed(RunError),
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum EffectEnd {
    /// It has an answer, in the engine's own form.
    Done(Value),
    /// It failed.
    Failed {
        /// Why.
        error: RunError,
        /// Whether it may be made again.
        again: bool,
    },
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectState {
    /// It failed and may be made again.
    Pending,
    /// It left, and has no answer yet.
    Sending,
    /// It has an answer.
    Done,
    /// It failed for good.
    Failed,
}

impl EffectState {
    /// `sending`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A call, without its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Its id.
    pub id: EffectId,
    /// The node that called.
    pub node_id: String,
    /// Loop indexes; empty outside of loops.
    pub item_path: String,
    /// How far it is.
    pub state: EffectState,
    /// How often it left.
    pub attempt: u32,
    /// Why it failed last.
    pub error: Option<RunError>,
    /// When it left first.
    pub created_at: Timestamp,
    /// When it was done or failed for good.
    pub completed_at: Option<Timestamp>,
}
