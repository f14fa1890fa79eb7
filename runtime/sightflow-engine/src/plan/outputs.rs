//! Which nodes a run's outputs read.

use sightflow_expressions::reference::Root;

use super::scopes::delivers_in;
use super::{Plan, PlanNode, PlanOutput, PlanScope};
use crate::catalog::ports;

/// Keys that are offered at the top level when one node alone produces them.
pub(crate) const WELL_KNOWN: [&str; 13] = [
    "detections",
    "annotated_image",
    "predictions",
    "label",
    "count",
    "crops",
    "image",
    "results",
    "json",
    "embeddings",
    "class_counts",
    "confidence",
    "result",
];

impl Plan {
    /// Whether the run's outputs read a port of a node: its images are then needed to the end.
    pub fn reads(&self, node: &PlanNode, port: &str) -> bool {
        reads(&self.outputs, node, port)
    }
}

fn reads(outputs: &[PlanOutput], node: &PlanNode, port: &str) -> bool {
    if outputs.is_empty() {
        return !node.has_outgoing_edge || WELL_KNOWN.contains(&port);
    }
    outputs.iter().any(|output| match &output.source.root {
        Root::Node(id) => **id == *node.id,
        Root::Port { node: id, port: named } => {
            **id == *node.id && ports::find(node.outputs(), named).is_some_and(|found| found.name == port)
        }
        Root::Input(_) | Root::Param(_) | Root::Item | Root::Index | Root::Total => false,
    })
}

/// Fills the exports of each scope.
pub(super) fn export(scopes: &mut [PlanScope], nodes: &[PlanNode], outputs: &[PlanOutput]) {
    for (index, node) in nodes.iter().enumerate() {
        if !node.outputs().iter().any(|port| reads(outputs, node, &port.name)) {
            continue;
        }
        let mut scope = delivers_in(node.scope, node.opens);
        loop {
            scopes[scope].exports.push(index);
            if scope == 0 {
                break;
            }
            scope = scopes[scope].parent;
        }
    }
}
