//! Output ports: those of a block, and those that a node's configuration names.

use sightflow_types::manifest::{Port, PortKind};

use super::BlockEntry;

/// Most outputs that exclude each other; which of them may deliver is one word of bits.
pub const MOST_EXCLUSIVE: usize = 64;

/// The port of this name or alias.
pub fn find<'p>(ports: &'p [Port], name: &str) -> Option<&'p Port> {
    ports
        .iter()
        .find(|port| port.name == name)
        .or_else(|| ports.iter().find(|port| port.aliases.iter().any(|alias| alias == name)))
}

impl BlockEntry {
    /// The outputs of a node whose configuration names further ones: those of the block, then one for each name.
    pub fn with_named<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Port> {
        let named = names.into_iter().map(|name| Port {
            name: name.to_owned(),
            kind: PortKind::Any,
            required: false,
            many: false,
            exclusive: true,
            aliases: Vec::new(),
            description: String::new(),
        });
        self.manifest.outputs.iter().cloned().chain(named).collect()
    }
}
