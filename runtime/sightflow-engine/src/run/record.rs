//! What is remembered about each node of a run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sightflow_types::error::RunError;
use sightflow_types::{JobId, NodeStatus};
use tokio::time::Instant;

use super::cell::Cell;
use super::trace::NodeTrace;
use crate::images::{any_image, handle};

/// The state of one node.
#[derive(Debug)]
pub(super) struct NodeRecord {
    pub(super) status: NodeStatus,
    pub(super) started: Option<Instant>,
    pub(super) duration: Option<Duration>,
    pub(super) attempts: u32,
    pub(super) queue_ms: Option<u64>,
    pub(super) skip_reason: Option<String>,
    pub(super) error: Option<RunError>,
    pub(super) job_ids: Vec<JobId>,
    /// Bytes of what it was given, while it runs.
    pub(super) given: u64,
    /// What it delivered, by port.
    pub(super) outputs: Vec<(String, Cell)>,
    /// Written by the node's task, whatever becomes of it.
    pub(super) trace: Arc<Mutex<NodeTrace>>,
}

impl Default for NodeRecord {
    fn default() -> Self {
        Self {
            status: NodeStatus::Pending,
            started: None,
            duration: None,
            attempts: 0,
            queue_ms: None,
            skip_reason: None,
            error: None,
            job_ids: Vec::new(),
            given: 0,
            outputs: Vec::new(),
            trace: Arc::default(),
        }
    }
}

impl NodeRecord {
    pub(super) fn output(&self, port: &str) -> Option<&Cell> {
        self.outputs.iter().find(|(name, _)| name == port).map(|(_, cell)| cell)
    }

    pub(super) fn settled(&self) -> bool {
        matches!(self.status, NodeStatus::Completed | NodeStatus::Skipped | NodeStatus::Failed)
    }

    /// Handles of the images that it delivered, with their ports.
    pub(super) fn images(&self) -> Vec<(&str, usize)> {
        let mut found = Vec::new();
        for (port, cell) in self.outputs.iter().filter(|(_, cell)| cell.images) {
            any_image(&cell.value, &mut |image| {
                found.extend(handle(image).map(|handle| (port.as_str(), handle)));
                false
            });
        }
        found
    }

    /// The API's record of a node.
    pub(super) fn metrics(&self, block_type: &str) -> Value {
        let mut metrics = json!({
            "status": self.status,
            "type": block_type,
            "duration_ms": self.duration.map(|duration| duration.as_millis() as u64),
            "attempts": self.attempts,
            "queue_ms": self.queue_ms,
            "skip_reason": self.skip_reason,
            "error": self.error,
            "job_ids": self.job_ids,
            "items": null,
        });
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).report(&mut metrics);
        metrics
    }

    /// A few words about each output, for the event stream.
    pub(super) fn summary(&self) -> Value {
        let short = self.outputs.iter().take(32).map(|(port, cell)| {
            let value = match &*cell.value {
                Value::Array(items) => json!({"length": items.len()}),
                Value::Object(object) if cell.images && object.len() == 1 => json!("image"),
                Value::Object(object) => json!({"keys": object.len()}),
                Value::String(text) if text.chars().count() > 80 => {
                    json!(text.chars().take(80).collect::<String>())
                }
                other => other.clone(),
            };
            (port.clone(), value)
        });
        Value::Object(short.collect())
    }
}
