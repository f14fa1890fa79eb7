//! A definition as it is read by somebody who has never seen a plan.

use serde_json::{Map, Value};

/// A workflow.
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    /// Name and source of each declared output.
    pub(crate) outputs: Vec<(String, String)>,
}

/// A node.
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) config: Map<String, Value>,
    pub(crate) continues: bool,
    pub(crate) feeds: Vec<(String, Feed)>,
    /// No edge leaves it.
    pub(crate) terminal: bool,
    /// The loops around it, the outermost first.
    pub(crate) within: Vec<usize>,
    /// A `collect`: the loop that it ends.
    pub(crate) ends: Option<usize>,
}

/// What feeds a port.
pub(crate) enum Feed {
    Edges(Vec<Edge>),
    Reference(usize, String),
    Input(String),
    Literal(Value),
}

pub(crate) struct Edge {
    pub(crate) source: usize,
    pub(crate) port: String,
    /// The branch of a condition that must have been taken as well.
    pub(crate) gate: Option<&'static str>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Canonical names for the short ones that tests write.
fn port(name: &str) -> String {
    match name {
        "true" => "true_output",
        "false" => "false_output",
        other => other,
    }
    .to_owned()
}

/// `$nodes.<id>.<port>`; nothing for anything else.
pub(crate) fn reference(source: &str) -> Option<(&str, &str)> {
    source.strip_prefix("$nodes.")?.split_once('.')
}

impl Graph {
    pub(crate) fn read(definition: &Value) -> Self {
        let list = |key: &str| definition[key].as_array().cloned().unwrap_or_default();
        let ids: Vec<String> = list("nodes").iter().map(|node| text(&node["id"])).collect();
        let index = |id: &str| ids.iter().position(|known| known == id).expect("a node of this id");
        let written = list("nodes");
        let nodes = written.iter().map(|node| {
            let id = text(&node["id"]);
            let mut feeds: Vec<(String, Feed)> = Vec::new();
            for (name, value) in node["inputs"].as_object().into_iter().flatten() {
                let source = value.as_str().unwrap_or_default();
                let feed = match (reference(source), source.strip_prefix("$inputs.")) {
                    (Some((from, output)), _) => Feed::Reference(index(from), port(output)),
                    (None, Some(input)) => Feed::Input(input.to_owned()),
                    (None, None) => Feed::Literal(value.clone()),
                };
                feeds.push((name.clone(), feed));
            }
            for edge in list("edges").iter().filter(|edge| edge["target"] == node["id"]) {
                let gate = match edge["condition"].as_str() {
                    Some("true") => Some("true_output"),
                    Some("false") => Some("false_output"),
                    _ => None,
                };
                let output = edge["sourceHandle"].as_str().map_or_else(|| gate.unwrap_or_default().to_owned(), port);
                let target = text(&edge["targetHandle"]);
                let edge = Edge { source: index(&text(&edge["source"])), port: output, gate };
                match feeds.iter_mut().find(|(name, _)| *name == target) {
                    Some((_, Feed::Edges(edges))) => edges.push(edge),
                    _ => feeds.push((target, Feed::Edges(vec![edge]))),
                }
            }
            // A detection finds as many things as a node says that its configuration names.
            if let Some(named) = node["config"]["confidence"].as_str() {
                let id = named.trim_start_matches("{{ nodes.").split('.').next().unwrap_or_default();
                feeds.push(("count".to_owned(), Feed::Reference(index(id), "value".to_owned())));
            }
            Node {
                kind: text(&node["type"]),
                config: node["config"].as_object().cloned().unwrap_or_default(),
                continues: node["on_error"] == "continue",
                feeds,
                terminal: !list("edges").iter().any(|edge| edge["source"] == node["id"]),
                within: Vec::new(),
                ends: None,
                id,
            }
        });
        let outputs = list("outputs").iter().map(|output| (text(&output["name"]), text(&output["source"]))).collect();
        let mut graph = Self { nodes: nodes.collect(), outputs };
        let mut known = vec![false; graph.nodes.len()];
        (0..known.len()).for_each(|node| graph.surround(node, &mut known));
        graph
    }

    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The loops whose items hold what a node delivers: an item lies in its loop, the result of a loop outside of it.
    pub(crate) fn holds(&self, node: usize) -> Vec<usize> {
        let mut within = self.nodes[node].within.clone();
        within.extend(Some(node).filter(|&node| self.nodes[node].kind == "foreach"));
        within
    }

    /// Finds the loops around a node: those that hold what it depends on, up to the one that it ends.
    fn surround(&mut self, node: usize, known: &mut [bool]) {
        if std::mem::replace(&mut known[node], true) {
            return;
        }
        let mut within: Vec<usize> = Vec::new();
        for source in self.sources(node) {
            self.surround(source, known);
            let held = self.holds(source);
            if held.len() > within.len() {
                within = held;
            }
        }
        if self.nodes[node].kind == "collect" {
            self.nodes[node].ends = within.pop();
        }
        self.nodes[node].within = within;
    }

    fn sources(&self, node: usize) -> Vec<usize> {
        let mut sources = Vec::new();
        for (_, feed) in &self.nodes[node].feeds {
            match feed {
                Feed::Edges(edges) => sources.extend(edges.iter().map(|edge| edge.source)),
                Feed::Reference(source, _) => sources.push(*source),
                Feed::Input(_) | Feed::Literal(_) => {}
            }
        }
        sources
    }
}
