//! A loop: the items of one `foreach` in one pass, and what comes out of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use sightflow_types::error::RunError;

use super::frame::{Attempts, Outputs, PassId};
use crate::cell::Cell;
use crate::native::LoopSpec;
use crate::plan::PlanScope;

/// A loop that runs.
#[derive(Debug)]
pub(super) struct Loop {
    /// The scope that it repeats.
    pub(super) scope: usize,
    /// How its `foreach` came to it.
    pub(super) attempts: Attempts,
    spec: LoopSpec,
    /// Loop indexes of its own pass, with a `/` behind them.
    prefix: String,
    /// Items that were begun.
    begun: usize,
    /// Passes that run.
    pub(super) open: BTreeSet<PassId>,
    pub(super) results: LoopResults,
}

/// What a loop makes of its items.
#[derive(Debug)]
pub(super) struct LoopResults {
    /// How many items there are.
    pub(super) items: usize,
    /// Place of the first item in the list that arrived.
    pub(super) first: usize,
    /// By `collect` of the scope, then by item: what it takes.
    pub(super) collected: Vec<Vec<Option<Cell>>>,
    /// Bytes of `collected` that the run keeps.
    pub(super) kept: u64,
    /// By exported node of the scope, then by item.
    pub(super) exports: Vec<(usize, Vec<Gathered>)>,
    /// Why items have no result.
    pub(super) errors: Vec<ItemError>,
}

/// Values of a node inside a loop, by item.
#[derive(Debug, Clone)]
pub(super) enum Gathered {
    /// It delivered nothing.
    Absent,
    /// What it delivered, by port.
    Ports(Outputs),
    /// What it delivered for each item of a loop inside.
    Items(Vec<Gathered>),
}

/// An item without a result.
#[derive(Debug, Clone)]
pub(super) struct ItemError {
    /// Its place in the list.
    pub(super) index: usize,
    pub(super) error: RunError,
}

/// An item that begins.
pub(super) struct Item {
    /// Its place in the list.
    pub(super) index: usize,
    /// Loop indexes: `3/1`.
    pub(super) path: Arc<str>,
    /// What the `foreach` delivers for it.
    pub(super) bindings: Outputs,
}

impl Loop {
    pub(super) fn new(spec: LoopSpec, attempts: Attempts, scope: usize, plan: &PlanScope, path: &str) -> Self {
        let count = spec.items.len();
        let results = LoopResults {
            items: count,
            first: spec.first,
            collected: vec![vec![None; count]; plan.collects.len()],
            kept: 0,
            exports: plan.exports.iter().map(|node| (*node, vec![Gathered::Absent; count])).collect(),
            errors: Vec::new(),
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Self { scope, attempts, spec, prefix, begun: 0, open: BTreeSet::new(), results }
    }

    /// The next item, if one may begin. `crowded`: the run has many passes; then one at a time.
    pub(super) fn next(&mut self, crowded: bool) -> Option<Item> {
        let most = if crowded { 1 } else { self.spec.concurrency };
        if self.begun >= self.spec.items.len() || self.open.len() >= most {
            return None;
        }
        let (at, total) = (self.begun, self.spec.items.len());
        let index = self.spec.first + at;
        let item = std::mem::replace(&mut self.spec.items[at], Cell::plain(Value::Null));
        self.begun += 1;
        let plain = |port: &str, value: Value| (Arc::from(port), Cell::plain(value));
        let mut bindings = vec![
            (Arc::from("item"), item),
            plain("index", json!(index)),
            plain("total", json!(total)),
            plain("is_first", json!(at == 0)),
            plain("is_last", json!(at + 1 == total)),
        ];
        bindings.extend(self.spec.context.clone().map(|context| (Arc::from("context"), context)));
        Some(Item { index, path: Arc::from(format!("{}{index}", self.prefix)), bindings })
    }

    /// Whether every item has come to its end.
    pub(super) fn done(&self) -> bool {
        self.begun >= self.spec.items.len() && self.open.is_empty()
    }

    /// Whether a failed item leaves the others alone.
    pub(super) fn skips(&self) -> bool {
        self.spec.skips
    }

    /// Items in all, and those that have ended.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.spec.items.len(), self.begun - self.open.len())
    }

    /// Bytes that the run keeps for it while it runs.
    pub(super) fn kept(&self) -> u64 {
        self.spec.kept
    }

    /// The place of an item among the results.
    pub(super) fn place(&self, index: usize) -> usize {
        index - self.spec.first
    }
}

impl LoopResults {
    /// The values of an exported node, taken out.
    pub(super) fn take_export(&mut self, node: usize) -> Gathered {
        let found = self.exports.iter_mut().find(|(exported, _)| *exported == node);
        found.map_or(Gathered::Absent, |(_, items)| Gathered::Items(std::mem::take(items)))
    }

    pub(super) fn export(&self, node: usize) -> Option<&[Gathered]> {
        self.exports.iter().find(|(exported, _)| *exported == node).map(|(_, items)| items.as_slice())
    }

    /// The errors as `collect` delivers them: `{index, node, code, message}`, in item order.
    pub(super) fn errors(&self) -> Value {
        let mut errors: Vec<&ItemError> = self.errors.iter().collect();
        errors.sort_by_key(|error| error.index);
        let each = errors.into_iter().map(|item| {
            let error = &item.error;
            json!({"index": item.index, "node": error.node_id, "code": error.code, "message": error.message})
        });
        Value::Array(each.collect())
    }
}

impl Gathered {
    /// Calls `visit` with the value of a port for every item, in order, loops inside included.
    pub(super) fn each(&self, visit: &mut impl FnMut(&Outputs)) {
        match self {
            Self::Absent => {}
            Self::Ports(ports) => visit(ports),
            Self::Items(items) => items.iter().for_each(|item| item.each(visit)),
        }
    }

    /// A tree of lists: what `leaf` makes of a node's ports, null where it delivered nothing.
    pub(super) fn tree(&self, leaf: &mut impl FnMut(&Outputs) -> Value) -> Value {
        match self {
            Self::Absent => Value::Null,
            Self::Ports(ports) => leaf(ports),
            Self::Items(items) => Value::Array(items.iter().map(|item| item.tree(leaf)).collect()),
        }
    }
}
