//! What changed between two versions of a definition.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use sightflow_types::pointer_token;
use utoipa::ToSchema;

/// The difference between two versions.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Diff {
    nodes: NodeDiff,
    edges: EdgeDiff,
    parameters: Vec<NamedChange>,
    outputs: Vec<NamedChange>,
    /// True when `viewport` or a node's `position` moved.
    layout_changed: bool,
}

/// Nodes by id.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
struct NodeDiff {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<ChangedNode>,
}

/// A node that both versions have.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct ChangedNode {
    id: String,
    changes: Vec<Change>,
}

/// One changed value; null where it was or became absent.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Change {
    /// Within the node.
    pointer: String,
    from: Value,
    to: Value,
}

/// Edges as they stand in the document, their `id` left aside when comparing.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
struct EdgeDiff {
    #[schema(value_type = Vec<Object>)]
    added: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    removed: Vec<Value>,
}

/// A changed parameter or output; null where it was or became absent.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct NamedChange {
    name: String,
    #[schema(value_type = Option<Object>)]
    from: Value,
    #[schema(value_type = Option<Object>)]
    to: Value,
}

/// Compares two definitions.
pub(crate) fn diff(from: &Value, to: &Value) -> Diff {
    let (old, new) = (by_key(from, "nodes", "id"), by_key(to, "nodes", "id"));
    let mut diff = Diff { layout_changed: from.get("viewport") != to.get("viewport"), ..Diff::default() };
    for (id, before) in &old {
        let Some(after) = new.get(id) else {
            diff.nodes.removed.push((*id).to_owned());
            continue;
        };
        diff.layout_changed |= before.get("position") != after.get("position");
        let mut changes = Vec::new();
        compare(Some(*before), Some(*after), "", &mut changes);
        changes.retain(|change| change.pointer != "/position" && !change.pointer.starts_with("/position/"));
        if !changes.is_empty() {
            diff.nodes.changed.push(ChangedNode { id: (*id).to_owned(), changes });
        }
    }
    diff.nodes.added = new.keys().filter(|id| !old.contains_key(*id)).map(|id| (*id).to_owned()).collect();
    diff.edges = EdgeDiff { added: missing(to, from), removed: missing(from, to) };
    diff.parameters = named(from, to, "parameters");
    diff.outputs = named(from, to, "outputs");
    diff
}

fn items<'a>(definition: &'a Value, key: &str) -> &'a [Value] {
    definition.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn by_key<'a>(definition: &'a Value, list: &str, key: &str) -> BTreeMap<&'a str, &'a Value> {
    items(definition, list).iter().filter_map(|item| Some((item.get(key)?.as_str()?, item))).collect()
}

fn compare(from: Option<&Value>, to: Option<&Value>, pointer: &str, changes: &mut Vec<Change>) {
    if from == to {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (from, to) {
        let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            compare(before.get(key), after.get(key), &format!("{pointer}/{}", pointer_token(key)), changes);
        }
        return;
    }
    changes.push(Change {
        pointer: pointer.to_owned(),
        from: from.cloned().unwrap_or_default(),
        to: to.cloned().unwrap_or_default(),
    });
}

/// Edges of `here` that `there` lacks.
fn missing(here: &Value, there: &Value) -> Vec<Value> {
    let known: Vec<Map<String, Value>> = items(there, "edges").iter().filter_map(wire).collect();
    items(here, "edges").iter().filter(|edge| wire(edge).is_some_and(|wire| !known.contains(&wire))).cloned().collect()
}

/// The part of an edge that decides what flows, in one spelling.
fn wire(edge: &Value) -> Option<Map<String, Value>> {
    let edge = edge.as_object()?;
    let keys = [
        ("source", "source"),
        ("target", "target"),
        ("sourceHandle", "source_handle"),
        ("targetHandle", "target_handle"),
        ("condition", "condition"),
    ];
    Some(
        keys.into_iter()
            .filter_map(|(key, alias)| Some((key.to_owned(), edge.get(key).or_else(|| edge.get(alias))?.clone())))
            .collect(),
    )
}

fn named(from: &Value, to: &Value, list: &str) -> Vec<NamedChange> {
    let (old, new) = (by_key(from, list, "name"), by_key(to, list, "name"));
    let mut names: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| old.get(name) != new.get(name))
        .map(|name| NamedChange {
            name: name.to_owned(),
            from: old.get(name).copied().cloned().unwrap_or_default(),
            to: new.get(name).copied().cloned().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_changed() {
        let from = json!({"nodes": [{"id": "detect", "type": "detection", "config": {"confidence": 0.5}, "position": {"x": 1}}, {"id": "old", "type": "crop"}],
            "edges": [{"source": "a", "target": "b", "source_handle": "x"}, {"source": "a", "target": "old"}], "parameters": [{"name": "p", "type": "number"}]});
        let to = json!({"nodes": [{"id": "blur", "type": "blur"}, {"id": "detect", "type": "detection", "config": {"confidence": 0.4, "k": 1}, "position": {"x": 2}}],
            "edges": [{"id": "e1", "source": "a", "target": "b", "sourceHandle": "x"}], "outputs": [{"name": "o", "source": "$nodes.detect.count"}]});
        assert_eq!(
            serde_json::to_value(diff(&from, &to)).unwrap(),
            json!({
                "nodes": {"added": ["blur"], "removed": ["old"], "changed": [{"id": "detect", "changes": [
                    {"pointer": "/config/confidence", "from": 0.5, "to": 0.4}, {"pointer": "/config/k", "from": null, "to": 1}]}]},
                "edges": {"added": [], "removed": [{"source": "a", "target": "old"}]},
                "parameters": [{"name": "p", "from": {"name": "p", "type": "number"}, "to": null}],
                "outputs": [{"name": "o", "from": null, "to": {"name": "o", "source": "$nodes.detect.count"}}],
                "layout_changed": true
            })
        );
        assert_eq!(diff(&from, &from), Diff::default());
    }
}
