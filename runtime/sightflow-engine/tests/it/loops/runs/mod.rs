//! What loops deliver: tables of small workflows, each compared with the model and with what a person expects.

mod errors;
mod flow;
mod together;
mod told;
mod values;

use serde_json::{Map, Value, json};
use sightflow_engine::RunOutcome;

use super::graph;
use crate::model::{Model, compare};
use crate::script::Stage;

/// What is different in one node: its id, a key, the value.
type Change = (&'static str, &'static str, Value);

/// A workflow in short, as [`graph`] has it; its lists `l1`, `l2` are those of the input.
struct Case {
    name: &'static str,
    nodes: &'static str,
    edges: &'static str,
    changes: Vec<Change>,
    input: Value,
    /// The outputs by what they read: `c1.results`.
    outputs: Value,
}

fn case(name: &'static str, nodes: &'static str, edges: &'static str, input: Value, outputs: Value) -> Case {
    Case { name, nodes, edges, changes: Vec::new(), input, outputs }
}

impl Case {
    fn with(mut self, id: &'static str, key: &'static str, value: Value) -> Self {
        self.changes.push((id, key, value));
        self
    }

    fn definition(&self) -> Value {
        let outputs = self.outputs.as_object().into_iter().flat_map(|outputs| outputs.keys());
        let mut definition = runnable(self.nodes, self.edges, &self.changes);
        definition["outputs"] = outputs.map(|key| json!({"name": key, "source": format!("$nodes.{key}")})).collect();
        definition
    }

    async fn run(&self) -> RunOutcome {
        Stage::new().run(self.definition(), self.input.clone(), json!({})).await
    }

    /// Runs it; the outputs are those that are stated, and everything is as the model says.
    async fn check(&self) {
        let outcome = self.run().await;
        assert_eq!(outcome.outputs, self.outputs, "{}: {:?}", self.name, outcome.end);
        let model = Model::run(&self.definition(), &self.input);
        assert_eq!(compare(&model, &outcome), Ok(()), "{}", self.name);
    }
}

/// A graph whose lists are those of the input.
pub(crate) fn runnable(nodes: &str, edges: &str, changes: &[Change]) -> Value {
    let mut definition = graph(nodes, edges);
    for node in definition["nodes"].as_array_mut().expect("nodes") {
        let id = node["id"].as_str().expect("an id").to_owned();
        if id.starts_with('l') {
            node["type"] = json!("echo");
            node["inputs"] = json!({"value": format!("$inputs.{id}")});
        }
        for (_, key, value) in changes.iter().filter(|(changed, ..)| *changed == id) {
            node[*key] = value.clone();
        }
    }
    definition
}

/// Numbers from 0 on.
pub(crate) fn numbers(count: usize) -> Value {
    (0..count).collect()
}

/// One record of every node, by node and item: its status.
fn statuses(outcome: &RunOutcome) -> Map<String, Value> {
    let each = outcome.report.records.iter().map(|record| {
        let place = format!("{} {}", record.node_id, record.item_path);
        (place.trim_end().to_owned(), record.record["status"].clone())
    });
    each.collect()
}
