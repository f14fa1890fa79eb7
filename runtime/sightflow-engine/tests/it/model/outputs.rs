//! The outputs of a run, declared or automatic.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::graph::reference;
use super::pass::Pass;
use super::{Fate, Model};

impl Model {
    pub(super) fn outputs(&self) -> Map<String, Value> {
        if self.graph.outputs.is_empty() { self.automatic() } else { self.declared() }
    }

    fn declared(&self) -> Map<String, Value> {
        let outputs = self.graph.outputs.iter().map(|(name, source)| {
            let value = match (reference(source), source.strip_prefix("$inputs.")) {
                (Some((id, "*")), _) => self.graph.index(id).and_then(|node| self.result(node, None, &self.root)),
                (Some((id, port)), _) => {
                    self.graph.index(id).and_then(|node| self.result(node, Some(port), &self.root))
                }
                (None, input) => input.and_then(|input| self.input.get(input).cloned()),
            };
            (name.clone(), value.unwrap_or_default())
        });
        outputs.collect()
    }

    fn automatic(&self) -> Map<String, Value> {
        let mut outputs = Map::new();
        for (node, planned) in self.graph.nodes.iter().enumerate().filter(|(_, node)| node.terminal) {
            outputs.extend(self.result(node, None, &self.root).map(|value| (planned.id.clone(), value)));
        }
        for (key, kind) in [("result", "condition"), ("results", "collect"), ("count", "collect")] {
            let mut producers = (0..self.graph.nodes.len()).filter(|&node| self.graph.nodes[node].kind == kind);
            if let (Some(node), None) = (producers.next(), producers.next())
                && !outputs.contains_key(key)
            {
                outputs.extend(self.result(node, Some(key), &self.root).map(|value| (key.to_owned(), value)));
            }
        }
        outputs
    }

    /// What a node left, by item where loops repeat it: one port, or all as an object. Nothing: it is absent.
    fn result(&self, node: usize, port: Option<&str>, pass: &Rc<Pass>) -> Option<Value> {
        let held = self.graph.holds(node);
        if let Some(&opener) = held.get(pass.within.len()) {
            let Fate::Done(_) = self.fate(opener, pass) else { return None };
            let items = pass.loops.borrow()[&opener].clone();
            let each = items.iter().map(|item| {
                let left = Some(item).filter(|item| !item.lost());
                left.and_then(|item| self.result(node, port, &item.pass)).unwrap_or_default()
            });
            return Some(each.collect());
        }
        let outputs = match self.values(node, pass) {
            Some(outputs) if !outputs.is_empty() => outputs,
            _ => return None,
        };
        match port {
            None => Some(Value::Object(outputs)),
            Some(port) => outputs.get(port).cloned(),
        }
    }

    fn values(&self, node: usize, pass: &Rc<Pass>) -> Option<Map<String, Value>> {
        if self.graph.nodes[node].kind == "foreach" {
            return Some(pass.bindings.clone());
        }
        match self.fate(node, pass) {
            Fate::Done(outputs) => Some(outputs),
            _ => None,
        }
    }
}
