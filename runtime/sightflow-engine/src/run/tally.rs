//! How the frames of a node inside of a loop ended: the node's own record sums them up.

use std::sync::PoisonError;
use std::time::Duration;

use super::state::State;
use serde_json::{Map, Value, json};
use sightflow_types::NodeStatus;
use sightflow_types::error::RunError;

/// Sums over the frames of one node.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Frames in passes that there are now.
    pub(super) live: usize,
    completed: usize,
    skipped: usize,
    failed: usize,
    cancelled: usize,
    duration: Duration,
    attempts: u32,
    queue_ms: Option<u64>,
    cpu_us: u64,
    first_error: Option<RunError>,
}

impl Tally {
    /// Takes over how a frame ended.
    pub(super) fn add(&mut self, state: &State) {
        let history = match state {
            State::Completed(completed) => {
                self.completed += 1;
                &completed.history
            }
            State::Failed(failed) => {
                self.failed += 1;
                self.first_error.get_or_insert_with(|| failed.error.clone());
                &failed.history
            }
            State::Skipped(_) => {
                self.skipped += 1;
                return;
            }
            _ => {
                self.cancelled += 1;
                return;
            }
        };
        self.duration += history.duration;
        self.attempts = self.attempts.max(history.attempts);
        self.queue_ms = self.queue_ms.max(history.queue_ms);
        self.cpu_us += history.trace.lock().unwrap_or_else(PoisonError::into_inner).cpu_us();
    }

    /// The node's record. `open`: more items may come; `ended`: the run is over.
    pub(super) fn record(&self, block_type: &str, open: bool, ended: bool) -> Value {
        let settled = self.completed + self.skipped + self.failed + self.cancelled;
        let status = match () {
            () if (open || self.live > 0) && !ended && settled + self.live > 0 => NodeStatus::Running,
            () if open && !ended => NodeStatus::Pending,
            () if self.completed > 0 => NodeStatus::Completed,
            () if self.failed > 0 => NodeStatus::Failed,
            () if self.cancelled > 0 || open => NodeStatus::Cancelled,
            () => NodeStatus::Skipped,
        };
        let reason = match status {
            NodeStatus::Skipped if settled == 0 => Some("its loop ran for no item"),
            NodeStatus::Skipped => Some("it was skipped for every item"),
            _ => None,
        };
        let items = json!({
            "total": settled + self.live, "completed": self.completed, "skipped": self.skipped, "failed": self.failed,
            "cancelled": self.cancelled,
        });
        let mut record = Map::new();
        for (key, value) in [
            ("status", json!(status)),
            ("type", json!(block_type)),
            ("duration_ms", json!(u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX))),
            ("attempts", json!(self.attempts)),
            ("queue_ms", json!(self.queue_ms)),
            ("skip_reason", json!(reason)),
            ("error", json!(self.first_error)),
            ("items", items),
            ("block_cpu_us", json!(Some(self.cpu_us).filter(|cpu| *cpu > 0))),
        ] {
            if !value.is_null() {
                record.insert(key.to_owned(), value);
            }
        }
        Value::Object(record)
    }
}
