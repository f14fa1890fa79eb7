//! A graph as read from a file: steps over numbered values, before it is prepared for a device.

mod fold;
mod fuse;
mod plan;

use std::collections::HashMap;

pub(crate) use plan::Limits;

use crate::ModelError;
use crate::onnx::{GraphProto, ModelProto, Node};
use crate::ops::{self, Op};
use crate::value::HostTensor;

/// Number of a value: the image, a constant or a result of a step.
pub(crate) type ValueId = usize;

/// Steps in an order in which every value is made before it is used.
pub(crate) struct Graph {
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: HashMap<ValueId, HostTensor>,
    pub(crate) input: ValueId,
    pub(crate) outputs: Vec<(String, ValueId)>,
    pub(crate) values: usize,
}

/// One operator with the values that it takes and makes.
pub(crate) struct Step {
    pub(crate) op: Op,
    /// The node's name in the file, for messages.
    pub(crate) name: String,
    /// None where an optional input is left out.
    pub(crate) inputs: Vec<Option<ValueId>>,
    pub(crate) outputs: Vec<ValueId>,
}

/// The newest version of the operator set whose semantics the runtime follows.
const NEWEST_OPSET: i64 = 22;
const OLDEST_OPSET: i64 = 7;

impl Graph {
    /// Reads a file's graph, folds constants and joins steps.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] with every operator and constant that the runtime does not take.
    pub(crate) fn build(model: &ModelProto) -> Result<Self, ModelError> {
        let proto = model.graph.as_ref().ok_or_else(|| ModelError::Malformed("it holds no graph".to_owned()))?;
        let mut reasons = Vec::new();
        let opset = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let opset = opset.map_or(0, |set| set.version);
        if !(OLDEST_OPSET..=NEWEST_OPSET).contains(&opset) {
            reasons.push(format!("it uses operator set {opset}; supported are {OLDEST_OPSET} to {NEWEST_OPSET}"));
        }
        let mut graph = Builder::default().read(proto, opset, &mut reasons)?;
        if !reasons.is_empty() {
            reasons.sort();
            reasons.dedup();
            return Err(ModelError::Unsupported(reasons));
        }
        graph.fold()?;
        graph.fuse();
        graph.drop_unused();
        Ok(graph)
    }

    /// How often each value is used, by steps and as an output.
    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values];
        let by_steps = self.steps.iter().flat_map(|step| step.inputs.iter().flatten());
        for id in by_steps.chain(self.outputs.iter().map(|(_, id)| id)) {
            uses[*id] += 1;
        }
        uses
    }

    /// Removes steps whose results nobody takes, and constants likewise.
    fn drop_unused(&mut self) {
        let mut needed = vec![false; self.values];
        for (_, id) in &self.outputs {
            needed[*id] = true;
        }
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            if step.outputs.iter().any(|id| needed[*id]) {
                step.inputs.iter().flatten().for_each(|id| needed[*id] = true);
                kept.push(step);
            }
        }
        kept.reverse();
        self.steps = kept;
        self.constants.retain(|id, _| needed[*id]);
    }
}

/// Numbers values while a file is read.
#[derive(Default)]
struct Builder<'a> {
    ids: HashMap<&'a str, ValueId>,
    constants: HashMap<ValueId, HostTensor>,
    count: usize,
}

impl<'a> Builder<'a> {
    fn define(&mut self, name: &'a str) -> ValueId {
        let id = self.count;
        self.count += 1;
        if !name.is_empty() {
            self.ids.insert(name, id);
        }
        id
    }

    fn read(mut self, proto: &'a GraphProto, opset: i64, reasons: &mut Vec<String>) -> Result<Graph, ModelError> {
        for tensor in &proto.initializer {
            let id = self.define(&tensor.name);
            match tensor.to_host() {
                Ok(constant) => drop(self.constants.insert(id, constant)),
                Err(reason) => reasons.push(reason),
            }
        }
        let image = proto.free_inputs().next().ok_or_else(|| ModelError::Malformed("it has no input".to_owned()))?;
        let input = self.define(&image.name);
        let mut steps = Vec::with_capacity(proto.node.len());
        for node in &proto.node {
            let node = Node { proto: node, opset };
            let inputs = self.inputs(&node)?;
            let op = match ops::parse(&node) {
                Ok(op) => op,
                Err(reason) => {
                    reasons.push(reason);
                    Op::Identity
                }
            };
            let outputs: Vec<_> = node.proto.output.iter().map(|name| self.define(name)).collect();
            if let (Op::Constant(constant), [id]) = (&op, outputs.as_slice()) {
                self.constants.insert(*id, constant.clone());
                continue;
            }
            steps.push(Step { op, name: node.title(), inputs, outputs });
        }
        let known = |name: &String| self.ids.get(name.as_str()).map(|id| (name.clone(), *id));
        let outputs = proto.output.iter().map(|output| {
            known(&output.name)
                .ok_or_else(|| ModelError::Malformed(format!("nothing makes the output `{}`", output.name)))
        });
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(Graph { steps, constants: self.constants, input, outputs, values: self.count })
    }

    fn inputs(&self, node: &Node<'_>) -> Result<Vec<Option<ValueId>>, ModelError> {
        let resolve = |name: &String| match (name.as_str(), self.ids.get(name.as_str())) {
            ("", _) => Ok(None),
            (_, Some(id)) => Ok(Some(*id)),
            (name, None) => Err(ModelError::Malformed(format!("{} takes `{name}`, which nothing makes", node.title()))),
        };
        node.proto.input.iter().map(resolve).collect()
    }
}

#[cfg(test)]
mod tests;
