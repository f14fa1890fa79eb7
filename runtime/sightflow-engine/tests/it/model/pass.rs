//! One pass over a scope, and what its nodes come to.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::graph::{Feed, Node};
use super::{Fate, Model, Trouble};
use crate::blocks::pure;

/// Jobs that are to find so many things fail.
pub(crate) const SPOILED: usize = 7;

/// The graph itself, or an item of a loop.
pub(crate) struct Pass {
    /// The pass around it.
    around: Option<Rc<Pass>>,
    pub(super) within: Vec<usize>,
    pub(super) path: String,
    /// What the `foreach` delivers for the item.
    pub(super) bindings: Map<String, Value>,
    fates: RefCell<BTreeMap<usize, Fate>>,
    /// By `foreach` that ran.
    pub(super) loops: RefCell<BTreeMap<usize, Vec<Item>>>,
    /// Why it is lost.
    pub(super) troubles: RefCell<Vec<Trouble>>,
}

/// An item that was begun.
#[derive(Clone)]
pub(crate) struct Item {
    index: usize,
    pub(super) pass: Rc<Pass>,
}

impl Item {
    pub(super) fn lost(&self) -> bool {
        !self.pass.troubles.borrow().is_empty()
    }
}

/// Something before was fatal.
pub(super) struct Never;

#[derive(Default)]
struct Count {
    edges: usize,
    present: usize,
}

impl Pass {
    pub(super) fn root() -> Rc<Self> {
        Rc::new(Self::new(None, Vec::new(), String::new(), Map::new()))
    }

    fn new(around: Option<Rc<Self>>, within: Vec<usize>, path: String, bindings: Map<String, Value>) -> Self {
        let (fates, loops, troubles) = Default::default();
        Self { around, within, path, bindings, fates, loops, troubles }
    }

    /// What became of a node of this scope.
    pub(super) fn fate(&self, node: usize) -> Option<Fate> {
        self.fates.borrow().get(&node).cloned()
    }
}

impl Model {
    /// Brings every node of a pass to its end.
    pub(super) fn walk(&self, pass: &Rc<Pass>) {
        (0..self.graph.nodes.len()).filter(|&node| self.graph.nodes[node].within == pass.within).for_each(|node| {
            self.fate(node, pass);
        });
    }

    pub(super) fn fate(&self, node: usize, pass: &Rc<Pass>) -> Fate {
        let known = pass.fates.borrow().get(&node).cloned();
        known.unwrap_or_else(|| {
            let fate = self.settle(node, pass).unwrap_or(Fate::Never);
            pass.fates.borrow_mut().insert(node, fate.clone());
            fate
        })
    }

    fn settle(&self, node: usize, pass: &Rc<Pass>) -> Result<Fate, Never> {
        let planned = &self.graph.nodes[node];
        if let Some(opener) = planned.ends {
            return match self.fate(opener, pass) {
                Fate::Done(_) => Ok(Fate::Done(self.collect(planned, &pass.loops.borrow()[&opener])?)),
                Fate::Fatal | Fate::Never => Err(Never),
                Fate::Skipped | Fate::Failed => Ok(Fate::Skipped),
            };
        }
        let (mut inputs, mut count, mut missing, mut null) = (Map::new(), Count::default(), false, false);
        for (port, feed) in &planned.feeds {
            let required = !matches!(port.as_str(), "extra" | "context");
            match self.arrives(planned, port, feed, pass, &mut count)? {
                Some(Value::Null) => null |= required,
                Some(value) => drop(inputs.insert(port.clone(), value)),
                None => missing |= required,
            }
        }
        if null {
            return Ok(self.fails(planned, pass, "E-BAD-INPUT"));
        }
        if missing || (count.edges > 0 && count.present == 0) {
            return Ok(Fate::Skipped);
        }
        if planned.kind == "foreach" {
            return Ok(self.repeat(node, &inputs, pass));
        }
        if planned.kind == "detection" {
            let count = inputs["count"].clone();
            return Ok(match count == SPOILED {
                true => self.fails(planned, pass, "E-JOB-FAILED"),
                false => Fate::Done(Map::from_iter([("count".to_owned(), count)])),
            });
        }
        if planned.kind == "image_input" {
            let outputs = json!({"image": "a photograph", "width": 8});
            return Ok(Fate::Done(outputs.as_object().cloned().expect("an object")));
        }
        Ok(match pure(&planned.kind, &configured(planned, pass), &inputs) {
            Some(Ok(answer)) => Fate::Done(answer.as_object().cloned().unwrap_or_default()),
            Some(Err(_)) => self.fails(planned, pass, "E-BLOCK-FAILED"),
            None => panic!("the model has no block `{}`", planned.kind),
        })
    }

    fn fails(&self, node: &Node, pass: &Pass, code: &'static str) -> Fate {
        if node.continues {
            return Fate::Failed;
        }
        pass.troubles.borrow_mut().push(Trouble { node: node.id.clone(), item: pass.path.clone(), code });
        Fate::Fatal
    }

    /// The value of a port, nothing if it is absent.
    fn arrives(
        &self,
        node: &Node,
        port: &str,
        feed: &Feed,
        pass: &Rc<Pass>,
        count: &mut Count,
    ) -> Result<Option<Value>, Never> {
        let edges = match feed {
            Feed::Reference(source, output) => return self.delivered(*source, output, pass),
            Feed::Input(name) => return Ok(self.input.get(name).cloned()),
            Feed::Literal(value) => return Ok(Some(value.clone())),
            Feed::Edges(edges) => edges,
        };
        let mut found = Vec::new();
        for edge in edges {
            let open = edge.gate.map_or(Ok(Some(Value::Null)), |gate| self.delivered(edge.source, gate, pass))?;
            let value = self.delivered(edge.source, &edge.port, pass)?.filter(|_| open.is_some());
            found.extend(value.map(|value| (edge, value)));
        }
        (count.edges, count.present) = (count.edges + edges.len(), count.present + found.len());
        if found.is_empty() {
            return Ok(None);
        }
        Ok(match node.kind.as_str() {
            "list" => Some(found.into_iter().map(|(_, value)| value).collect()),
            "collect" if edges.len() > 1 => {
                let key = |source: usize, output: &str| {
                    let twice = edges.iter().filter(|edge| edge.source == source).count() > 1;
                    let id = &self.graph.nodes[source].id;
                    if twice { format!("{id}.{output}") } else { id.clone() }
                };
                let record = found.into_iter().map(|(edge, value)| (key(edge.source, &edge.port), value));
                Some(Value::Object(record.collect()))
            }
            _ => {
                assert_eq!((port, found.len()), (port, 1), "branches exclude each other");
                found.pop().map(|(_, value)| value)
            }
        })
    }

    /// What a node delivers on a port, as seen from a pass.
    fn delivered(&self, node: usize, port: &str, pass: &Rc<Pass>) -> Result<Option<Value>, Never> {
        let held = self.graph.holds(node);
        let mut at = Rc::clone(pass);
        while at.within.len() > held.len() {
            at = Rc::clone(at.around.as_ref().expect("an item lies in a pass"));
        }
        if self.graph.nodes[node].kind == "foreach" {
            return Ok(at.bindings.get(port).cloned());
        }
        match self.fate(node, &at) {
            Fate::Done(outputs) => Ok(outputs.get(port).cloned()),
            Fate::Skipped | Fate::Failed => Ok(None),
            Fate::Fatal | Fate::Never => Err(Never),
        }
    }

    fn repeat(&self, node: usize, inputs: &Map<String, Value>, pass: &Rc<Pass>) -> Fate {
        let planned = &self.graph.nodes[node];
        let config = &planned.config;
        let number = |key: &str| config.get(key).and_then(Value::as_u64).map_or(0, |number| number as usize);
        let Some(list) = inputs["items"].as_array() else { return self.fails(planned, pass, "E-BAD-INPUT") };
        let first = number("start_index").min(list.len());
        let limit = if number("max_items") == 0 { list.len() } else { number("max_items") };
        let items: Vec<&Value> = list.iter().skip(first).take(limit).collect();
        if items.len() > self.most {
            return self.fails(planned, pass, "E-BLOCK-LIMIT");
        }
        let is = |key: &str, value: Value| config.get(key) == Some(&value);
        let skips = is("on_error", json!("skip"));
        let one_by_one = is("iteration_mode", json!("sequential")) || is("max_concurrency", json!(1));
        let (mut begun, mut troubles, total) = (Vec::<Item>::new(), Vec::new(), items.len());
        for (at, item) in items.into_iter().enumerate() {
            let index = first + at;
            let bindings =
                json!({"item": item, "index": index, "total": total, "is_first": at == 0, "is_last": at + 1 == total});
            let mut bindings = bindings.as_object().cloned().expect("an object");
            bindings.extend(inputs.get("context").map(|context| ("context".to_owned(), context.clone())));
            let path = if pass.path.is_empty() { index.to_string() } else { format!("{}/{index}", pass.path) };
            let inner = Rc::new(Pass::new(Some(Rc::clone(pass)), self.graph.holds(node), path, bindings));
            self.walk(&inner);
            let item = Item { index, pass: inner };
            let stops = item.lost() && !skips;
            if stops {
                troubles.extend(item.pass.troubles.borrow().iter().cloned());
            }
            begun.push(item);
            if stops && one_by_one {
                break;
            }
        }
        pass.loops.borrow_mut().insert(node, begun);
        if troubles.is_empty() {
            return Fate::Done(Map::new());
        }
        if planned.continues {
            return Fate::Failed;
        }
        pass.troubles.borrow_mut().extend(troubles);
        Fate::Fatal
    }

    fn collect(&self, node: &Node, items: &[Item]) -> Result<Map<String, Value>, Never> {
        let is = |key: &str| node.config.get(key) == Some(&json!(true));
        let mut entries: Vec<(usize, Value)> = Vec::new();
        let mut errors = Vec::new();
        for item in items {
            if item.lost() {
                let troubles = item.pass.troubles.borrow();
                let nodes: Vec<&str> = troubles.iter().map(|trouble| trouble.node.as_str()).collect();
                errors.push(json!({"index": item.index, "node": nodes}));
                entries.push((item.index, Value::Null));
                continue;
            }
            let (_, feed) = node.feeds.iter().find(|(port, _)| port == "item").expect("an item");
            let value = self.arrives(node, "item", feed, &item.pass, &mut Count::default())?.unwrap_or_default();
            match value {
                Value::Array(list) if is("flatten") => {
                    entries.extend(list.into_iter().map(|entry| (item.index, entry)));
                }
                value => entries.push((item.index, value)),
            }
        }
        if is("filter_nulls") {
            entries.retain(|(_, value)| !value.is_null());
        }
        if is("unique") {
            let mut seen = HashSet::new();
            entries.retain(|(_, value)| seen.insert(value.to_string()));
        }
        let (indexes, results): (Vec<usize>, Vec<Value>) = entries.into_iter().unzip();
        let outputs = json!({"count": results.len(), "results": results, "indexes": indexes, "errors": errors});
        Ok(outputs.as_object().cloned().expect("an object"))
    }
}

/// The configuration, with what an item puts into `text`.
fn configured(node: &Node, pass: &Pass) -> Value {
    let defaults = match node.kind.as_str() {
        "echo" => json!({"text": "none"}),
        "number" | "fail_if" => json!({"is": 0}),
        _ => json!({}),
    };
    let mut config = defaults.as_object().cloned().unwrap_or_default();
    config.extend(node.config.clone());
    if let Some(text) = config.get("text").and_then(Value::as_str) {
        let mut text = text.to_owned();
        for name in ["index", "total"] {
            let value = pass.bindings.get(name).map(Value::to_string).unwrap_or_default();
            text = text.replace(&format!("{{{{ {name} }}}}"), &value);
        }
        config.insert("text".to_owned(), text.into());
    }
    Value::Object(config)
}
