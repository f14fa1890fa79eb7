//! What is told about frames: the records of the API, and a few words for the event stream. A field without a value is left
//! out of a record.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sightflow_types::NodeStatus;
use sightflow_types::document::Shape;

use super::Walk;
use crate::cell::Cell;
use crate::run::frame::{Frame, History, PassId};
use crate::run::report::{Record, Report};
use crate::run::state::State;
use crate::run::trace::NodeTrace;

/// Frames that run now and are named: an event has room for as many of the longest names.
const RUNNING_SHOWN: usize = 64;

/// The log and the processor time of a frame that has settled.
pub(super) fn trace(state: &State) -> Option<&Arc<Mutex<NodeTrace>>> {
    match state {
        State::Completed(completed) => Some(&completed.history.trace),
        State::Failed(failed) => Some(&failed.history.trace),
        _ => None,
    }
}

/// The record of a frame: of a node of the graph itself, or of one item of a node inside of a loop.
pub(super) fn of_frame(walk: &Walk, frame: Frame) -> Option<Record> {
    let pass = walk.passes.get(&frame.pass)?;
    let node = walk.node(frame);
    let mut record = Map::new();
    record.insert("type".to_owned(), json!(node.entry.block_type));
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            record.insert(key.to_owned(), value);
        }
    };
    let state = &pass.states[node.slot];
    let (status, history) = match state {
        State::Blocked(_) | State::Ready => (NodeStatus::Pending, None),
        State::Running(attempts) | State::Pausing(attempts) => {
            put("attempts", json!(attempts.count));
            (NodeStatus::Running, None)
        }
        State::Inferring(waiting) => {
            put("attempts", json!(waiting.attempts.count));
            put("job_ids", json!(waiting.jobs));
            (NodeStatus::Running, None)
        }
        State::Looping(running) => {
            let (total, ended) = running.progress();
            put("items", json!({"total": total, "ended": ended, "failed": running.results.errors.len()}));
            (NodeStatus::Running, None)
        }
        State::Completed(completed) => {
            if let Some(results) = &completed.gathered {
                put("items", json!({"total": results.items, "ended": results.items, "failed": results.errors.len()}));
            }
            (NodeStatus::Completed, Some(&completed.history))
        }
        State::Skipped(reason) => {
            put("skip_reason", json!(reason));
            (NodeStatus::Skipped, None)
        }
        State::Failed(failed) => {
            put("error", json!(failed.error));
            (NodeStatus::Failed, Some(&failed.history))
        }
        State::Cancelled(duration) => {
            put("duration_ms", json!(duration.map(|duration| duration.as_millis() as u64)));
            (NodeStatus::Cancelled, None)
        }
    };
    put("status", json!(status));
    if let Some(history) = history {
        let History { attempts, queue_ms, jobs, trace, .. } = history;
        put("duration_ms", json!(history.duration_ms()));
        put("attempts", json!(attempts));
        put("queue_ms", json!(queue_ms));
        put("job_ids", if jobs.is_empty() { Value::Null } else { json!(jobs) });
        trace.lock().unwrap_or_else(PoisonError::into_inner).report(&mut record);
    }
    Some(Record { node_id: node.id.to_string(), item_path: pass.path.to_string(), record: Value::Object(record) })
}

impl Walk {
    /// What changed since the last report.
    pub(in crate::run) fn report(&mut self) -> Report {
        let touched = std::mem::take(&mut self.touched);
        let mut records = std::mem::take(&mut self.records);
        records.extend(touched.iter().filter_map(|frame| of_frame(self, *frame)));
        // The nodes of loops whose items have news. When the run has ended, theirs are there already.
        if self.end().is_none() {
            let items = records.iter().filter(|record| !record.item_path.is_empty());
            let nodes: BTreeSet<&str> = items.map(|record| &*record.node_id).collect();
            let sums: Vec<Record> = nodes.into_iter().filter_map(|id| self.sum(*self.plan.ids.get(id)?)).collect();
            records.extend(sums);
        }
        Report { records, progress: self.progress(), block_cpu_us: std::mem::take(&mut self.block_cpu_us) }
    }

    /// The record of a node inside of a loop as a whole.
    pub(super) fn sum(&self, node: usize) -> Option<Record> {
        let planned = &self.plan.nodes[node];
        if planned.scope == 0 {
            return None;
        }
        let (open, ended) = (self.may_come(node), self.end().is_some());
        let record = self.tallies[node].record(&planned.entry.block_type, open, ended);
        Some(Record { node_id: planned.id.to_string(), item_path: String::new(), record })
    }

    /// Whether the outermost loop around a node has not ended.
    fn may_come(&self, node: usize) -> bool {
        self.outermost(node).is_some_and(|state| !state.settled())
    }

    /// The state of the frame of the graph itself that decides about a node: its own, or that of the outermost loop around it.
    fn outermost(&self, node: usize) -> Option<&State> {
        let mut at = node;
        while let Some(opener) = self.plan.scopes[self.plan.nodes[at].scope].opener {
            at = opener;
        }
        Some(&self.passes.get(&PassId::ROOT)?.states[self.plan.nodes[at].slot])
    }

    fn progress(&self) -> Value {
        let total = self.plan.nodes.len();
        let (mut done, mut parts) = (0, 0.0);
        for node in 0..total {
            match self.outermost(node) {
                Some(state) if state.settled() => done += 1,
                Some(State::Looping(running)) => {
                    let (items, ended) = running.progress();
                    parts += ended as f64 / items.max(1) as f64;
                }
                _ => {}
            }
        }
        let percent = if total == 0 { 100 } else { ((done as f64 + parts) * 100.0 / total as f64) as u64 };
        let name = |frame: &Frame| {
            let id = &self.node(*frame).id;
            match self.passes.get(&frame.pass).map(|pass| &*pass.path) {
                None | Some("") => id.to_string(),
                Some(path) => format!("{id}[{}]", path.replace('/', ",")),
            }
        };
        let shown: Vec<String> = self.active.iter().take(RUNNING_SHOWN).map(name).collect();
        json!({"percent": percent, "completed_nodes": done, "total_nodes": total, "running_nodes": self.active.len(), "running": shown})
    }
}

/// A few words about each output, for the event stream.
pub(super) fn summary(outputs: &[(Arc<str>, Cell)]) -> Value {
    let short = outputs.iter().take(32).map(|(port, cell)| {
        let value = match cell.shape() {
            Shape::Array(length) => json!({"length": length}),
            Shape::Object(1) if !cell.pictures().is_empty() => json!("image"),
            Shape::Object(keys) => json!({"keys": keys}),
            Shape::Null | Shape::Scalar => match cell.value() {
                Value::String(text) if text.chars().count() > 80 => json!(text.chars().take(80).collect::<String>()),
                other => other.clone(),
            },
        };
        (port.to_string(), value)
    });
    Value::Object(short.collect())
}
