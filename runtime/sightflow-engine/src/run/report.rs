//! What others hear of a run.

use serde_json::Value;

/// Hears what happens in a run. Must not block.
pub trait Observer: Send + Sync {
    /// False: nothing is told, and nothing is made to be told.
    fn listens(&self) -> bool;
    /// An event of [`sightflow_types::event`].
    fn event(&self, kind: &'static str, payload: Value);
    /// Something changed that [`Run::report`](super::Run::report) tells.
    fn changed(&self);
}

/// An observer that hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn listens(&self) -> bool {
        false
    }
    fn event(&self, _: &'static str, _: Value) {}
    fn changed(&self) {}
}

/// What changed since the last report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Records of nodes and items, each once.
    pub records: Vec<Record>,
    /// `percent`, `completed_nodes`, `total_nodes`, `running_nodes`, and `running`: names of the first of those that run.
    pub progress: Value,
    /// Processor time of component blocks, µs.
    pub block_cpu_us: u64,
}

/// What is known about a node, or about one item of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The node.
    pub node_id: String,
    /// Loop indexes (`3/1`); empty for the node as a whole.
    pub item_path: String,
    /// The API's record.
    pub record: Value,
}
