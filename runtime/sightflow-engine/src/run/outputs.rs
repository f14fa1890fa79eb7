//! The result of a run: declared outputs, or automatic ones.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sightflow_expressions::reference::Root;
use sightflow_types::error::RunError;
use sightflow_types::manifest::Port;
use sightflow_types::{Digest, IMAGE_KEY};

use super::values::Scope;
use crate::images::{ImageIo, ImageTable, Purpose, export, for_each_image, holds_image};
use crate::plan::{Plan, PlanNode};

/// Keys that are offered at the top level when one node alone produces them.
const WELL_KNOWN: [&str; 13] = [
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

/// Whether the run's outputs read a port of a node: its images are then needed to the end.
pub(super) fn reads(plan: &Plan, node: &PlanNode, port: &str) -> bool {
    if plan.outputs.is_empty() {
        return !node.has_outgoing_edge || WELL_KNOWN.contains(&port);
    }
    plan.outputs.iter().any(|output| match &output.source.root {
        Root::Node(id) => **id == *node.id,
        Root::Port { node: id, port: named } => {
            let mut ports = node.entry.manifest.outputs.iter();
            let own = |own: &&Port| own.name == port && own.aliases.iter().any(|alias| alias == named);
            **id == *node.id && (named == port || ports.any(|port| own(&port)))
        }
        Root::Input(_) | Root::Param(_) => false,
    })
}

/// Resolves the outputs; images become stored references. What cannot be resolved is null, and the first reason is
/// returned beside it.
pub(super) async fn assemble(
    scope: &Scope<'_>,
    table: &ImageTable,
    io: &dyn ImageIo,
) -> (Value, Vec<Digest>, Option<RunError>) {
    let mut trouble = None;
    let raw = if scope.plan.outputs.is_empty() { automatic(scope) } else { explicit(scope, &mut trouble) };
    let mut outputs = Map::new();
    let mut blobs = BTreeSet::new();
    for (name, value) in raw {
        if !holds_image(&value) {
            outputs.insert(name, value);
            continue;
        }
        match export(&value, table, io, Purpose::Output).await {
            Ok(mut stored) => {
                let collected: Result<(), RunError> = for_each_image(&mut stored, &mut |place| {
                    let digest = place.get(IMAGE_KEY).and_then(|inside| inside.get("digest")).and_then(Value::as_str);
                    blobs.extend(digest.and_then(|digest| digest.parse::<Digest>().ok()));
                    Ok(())
                });
                trouble = trouble.or(collected.err());
                outputs.insert(name, stored);
            }
            Err(error) => {
                trouble.get_or_insert(error);
                outputs.insert(name, Value::Null);
            }
        }
    }
    (Value::Object(outputs), blobs.into_iter().collect(), trouble)
}

fn explicit(scope: &Scope<'_>, trouble: &mut Option<RunError>) -> Vec<(String, Value)> {
    use sightflow_expressions::reference::Resolve;
    let resolve =
        |output: &crate::plan::PlanOutput, trouble: &mut Option<RunError>| match scope.resolve(&output.source.root) {
            None => Value::Null,
            Some(value) => match output.source.below(&value) {
                Ok(found) => found.into_owned(),
                Err(error) => {
                    trouble.get_or_insert_with(|| {
                        RunError::new(error.code, format!("the output `{}`: {}", output.name, error.message))
                    });
                    Value::Null
                }
            },
        };
    scope.plan.outputs.iter().map(|output| (output.name.clone(), resolve(output, trouble))).collect()
}

fn automatic(scope: &Scope<'_>) -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = Vec::new();
    for (node, record) in scope.plan.nodes.iter().zip(scope.records) {
        if !node.has_outgoing_edge && !record.outputs.is_empty() {
            let all = record.outputs.iter().map(|(port, cell)| (port.clone(), (*cell.value).clone()));
            found.push((node.id.to_string(), Value::Object(all.collect())));
        }
    }
    for key in WELL_KNOWN {
        // An optional output that was not delivered, such as the boxes of a resize without boxes, does not count.
        let mut producers = scope.plan.nodes.iter().zip(scope.records).filter(|(node, record)| {
            let port = node.entry.manifest.outputs.iter().find(|port| port.name == key);
            port.is_some_and(|port| port.required || record.output(key).is_some_and(|cell| !cell.value.is_null()))
        });
        let (Some((_, record)), None) = (producers.next(), producers.next()) else {
            continue;
        };
        if let Some(cell) = record.output(key).filter(|_| !found.iter().any(|(name, _)| name == key)) {
            found.push((key.to_owned(), (*cell.value).clone()));
        }
    }
    found
}
