//! Loops in plans: which nodes repeat, what waits for what, and what is refused.

mod bodies;
mod cases;
mod exports;
mod jobs;
mod random;
mod refusals;
mod resumed;
mod runs;
mod settings;
mod time;

pub(crate) use jobs::{PHOTO, finding, input};
use serde_json::{Value, json};
use sightflow_engine::{Compiled, DefinitionLimits, Plan, compile};

use crate::script::{catalog, models};

/// The block, an output and an input of a node, by the first letter of its id.
fn block(id: &str) -> (&'static str, &'static str, &'static str) {
    match &id[..1] {
        "f" => ("foreach", "item", "items"),
        "c" => ("collect", "results", "item"),
        "k" => ("condition", "true", "value"),
        "n" => ("number", "number", ""),
        "l" => ("parameter_input", "value", ""),
        "a" => ("add", "value", "value"),
        "x" => ("fail_if", "value", "value"),
        "z" => ("slow", "value", "value"),
        "y" => ("nap", "value", "value"),
        "r" => ("range", "items", "value"),
        "i" => ("list", "items", "items"),
        "s" => ("switch", "default", "value"),
        _ => ("echo", "value", "value"),
    }
}

/// A definition in short. Nodes are ids: `f`oreach, `c`ollect, `k` a condition, `s`witch, `n`umber, `e`cho, `a`dd, `r`ange,
/// `i` a list of its edges, `x` fails if, `z` is slow, `y` takes a nap, and `l` a list that the run gives. Edges are `source>target`, and may name ports: `k1.false>e1.extra`.
pub(crate) fn graph(nodes: &str, edges: &str) -> Value {
    let nodes: Vec<Value> = nodes.split_whitespace().map(|id| json!({"id": id, "type": block(id).0})).collect();
    let edges = edges.split_whitespace().map(|edge| {
        let (source, target) = edge.split_once('>').expect("source>target");
        let (source, output) = source.split_once('.').unwrap_or((source, block(source).1));
        let (target, input) = target.split_once('.').unwrap_or((target, block(target).2));
        json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": input})
    });
    json!({"nodes": nodes, "edges": edges.collect::<Vec<_>>()})
}

/// The same with more in one node.
pub(crate) fn with(mut definition: Value, id: &str, key: &str, value: Value) -> Value {
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes.iter_mut().find(|node| node["id"] == id).expect("a node of this id")[key] = value;
    definition
}

fn compiled(definition: &Value) -> Compiled {
    compile(definition, &catalog(), &models(), &DefinitionLimits::default())
}

fn names(plan: &Plan, nodes: &[usize]) -> String {
    nodes.iter().map(|&index| &*plan.nodes[index].id).collect::<Vec<_>>().join(" ")
}

/// Every error as `code pointer`.
fn errors(definition: &Value) -> Vec<String> {
    compiled(definition).errors.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect()
}
