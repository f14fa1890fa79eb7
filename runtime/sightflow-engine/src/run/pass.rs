//! One pass over the nodes of a scope: the graph itself, or one item of a loop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::frame::{Frame, Outputs};
use super::state::State;
use crate::plan::Plan;

/// The frames of one pass.
#[derive(Debug)]
pub(super) struct Pass {
    /// Index in the plan.
    pub(super) scope: usize,
    /// The `foreach` that it belongs to; none for the graph itself.
    pub(super) opener: Option<Frame>,
    /// The item's place in its list.
    pub(super) index: usize,
    /// Loop indexes: `3/1`; empty for the graph itself.
    pub(super) path: Arc<str>,
    /// What the `foreach` delivers for this item.
    pub(super) bindings: Outputs,
    /// By place of the node in the scope.
    pub(super) states: Vec<State>,
    /// Nodes of the scope that still read the outputs, by place.
    pub(super) readers: Vec<usize>,
    /// Frames that have not settled.
    pub(super) unsettled: usize,
    /// Bytes of the values that its frames delivered and that are kept.
    pub(super) kept: u64,
    /// Takes back the work of this pass.
    pub(super) cancel: CancellationToken,
}

impl Pass {
    /// A pass over a scope, with every frame waiting for what it depends on.
    pub(super) fn new(plan: &Plan, scope: usize, cancel: CancellationToken) -> Self {
        let nodes = &plan.scopes[scope].nodes;
        Self {
            scope,
            opener: None,
            index: 0,
            path: Arc::from(""),
            bindings: Vec::new(),
            states: nodes.iter().map(|&node| State::Blocked(plan.nodes[node].depends_on.len())).collect(),
            readers: nodes.iter().map(|&node| plan.nodes[node].dependents.len()).collect(),
            unsettled: nodes.len(),
            kept: 0,
            cancel,
        }
    }
}
