//! A node between the planner's stages.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::Root;
use sightflow_types::manifest::{Port, Role};

use super::PlanInput;
use super::config::ConfigDraft;
use crate::catalog::{BlockEntry, EngineKind};

/// A node between the stages.
pub(super) struct Draft {
    /// Position in the document.
    pub(super) at: usize,
    pub(super) id: Arc<str>,
    /// None: its type is unknown, which was reported.
    pub(super) entry: Option<Arc<BlockEntry>>,
    pub(super) config: ConfigDraft,
    /// Outputs, where the configuration names some of them.
    pub(super) named_outputs: Option<Vec<Port>>,
    pub(super) inputs: Vec<PlanInput>,
    /// Nodes that its inputs come from.
    pub(super) fed_by: BTreeSet<usize>,
    /// Nodes that its configuration names.
    pub(super) configured_by: BTreeSet<usize>,
    /// Where it asks what a loop is at.
    pub(super) loop_names: Vec<LoopName>,
    pub(super) has_outgoing_edge: bool,
}

/// A use of `item`, `index` or `total`.
pub(super) struct LoopName {
    pub(super) root: Root,
    pub(super) pointer: String,
    /// In an input, not in the configuration.
    pub(super) fed: bool,
}

/// A component's own check, to be made after the pure part.
pub(crate) struct PendingCheck {
    pub(crate) node: usize,
    pub(crate) entry: Arc<BlockEntry>,
    pub(crate) config: Map<String, Value>,
    pub(crate) wired: Vec<String>,
    pub(crate) dynamic: Vec<String>,
}

impl Draft {
    /// Its output ports, as far as its type is known.
    pub(super) fn outputs(&self) -> &[Port] {
        let own = || self.entry.as_ref().map_or(&[][..], |entry| &entry.manifest.outputs);
        self.named_outputs.as_deref().unwrap_or_else(own)
    }

    pub(super) fn plays(&self, role: Role) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.plays(role))
    }

    /// Nodes that must settle first, some of them twice.
    pub(super) fn depends_on(&self) -> impl Iterator<Item = usize> {
        self.fed_by.iter().chain(&self.configured_by).copied()
    }

    /// What its block has to be asked.
    pub(super) fn pending_check(&self) -> Option<PendingCheck> {
        let entry = self.entry.as_ref().filter(|entry| entry.engine() == EngineKind::Component)?;
        Some(PendingCheck {
            node: self.at,
            entry: Arc::clone(entry),
            config: self.config.canonical.clone(),
            wired: self.inputs.iter().map(|input| input.port.to_string()).collect(),
            dynamic: self.config.dynamic.iter().map(|(_, (key, _))| key.clone()).collect(),
        })
    }
}
