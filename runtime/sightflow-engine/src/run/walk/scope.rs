//! What a pass can see: the run's input, its own frames, and outwards those of the passes around it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Resolve, Root};

use super::Walk;
use crate::catalog::ports;
use crate::cell::Cell;
use crate::plan::{Plan, PlanNode};
use crate::run::frame::{Frame, PassId, find};

/// The view from one pass.
#[derive(Clone, Copy)]
pub(in crate::run) struct Scope<'w> {
    pub(in crate::run) walk: &'w Walk,
    pub(in crate::run) pass: PassId,
}

impl<'w> Scope<'w> {
    pub(in crate::run) fn plan(&self) -> &'w Plan {
        &self.walk.plan
    }

    pub(in crate::run) fn parameters(&self) -> &'w Map<String, Value> {
        &self.walk.parameters
    }

    /// What a node delivered, as far as it can be seen from here. A `foreach` delivers for the item at hand.
    pub(in crate::run) fn delivered(&self, node: usize) -> &'w [(Arc<str>, Cell)] {
        let planned = &self.walk.plan.nodes[node];
        let wanted = planned.opens.unwrap_or(planned.scope);
        let mut next = Some(self.pass);
        while let Some(pass) = next.and_then(|id| self.walk.passes.get(&id)) {
            if pass.scope == wanted {
                return if planned.opens.is_some() { &pass.bindings } else { pass.states[planned.slot].outputs() };
            }
            next = pass.opener.map(|Frame { pass, .. }| pass);
        }
        &[]
    }

    /// The cell of an output by its name.
    pub(in crate::run) fn output(&self, node: usize, port: &str) -> Option<&'w Cell> {
        find(self.delivered(node), port)
    }

    /// The cell of an output by name or alias, as a reference names it.
    pub(in crate::run) fn port(&self, node: &str, port: &str) -> Option<&'w Cell> {
        let index = *self.walk.plan.ids.get(node)?;
        self.output(index, canonical(&self.walk.plan.nodes[index], port))
    }

    /// What a root names, as it lies in the run.
    pub(in crate::run) fn find(&self, root: &Root) -> Option<Found<'w>> {
        match root {
            Root::Input(name) => self.walk.inputs.get(name).map(|cell| Found::borrowed(cell.value())),
            Root::Param(name) => self.parameters().get(name).map(Found::borrowed),
            Root::Port { node, port } => self.port(node, port).map(|cell| Found::borrowed(cell.value())),
            Root::Node(node) => {
                let delivered = self.delivered(*self.walk.plan.ids.get(node.as_str())?);
                (!delivered.is_empty()).then_some(Found::Ports(delivered))
            }
            Root::Item => self.binding("item"),
            Root::Index => self.binding("index"),
            Root::Total => self.binding("total"),
        }
    }

    /// What the innermost loop says about its item.
    fn binding(&self, port: &str) -> Option<Found<'w>> {
        let bindings = &self.walk.passes.get(&self.pass)?.bindings;
        find(bindings, port).map(|cell| Found::borrowed(cell.value()))
    }
}

impl Resolve for Scope<'_> {
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>> {
        self.find(root).map(Found::into_value)
    }
}

/// A value in a run, not copied.
pub(in crate::run) enum Found<'r> {
    Value(Cow<'r, Value>),
    /// What a node delivered; as a value an object by port.
    Ports(&'r [(Arc<str>, Cell)]),
}

impl<'r> Found<'r> {
    pub(in crate::run) fn borrowed(value: &'r Value) -> Self {
        Self::Value(Cow::Borrowed(value))
    }

    pub(in crate::run) fn into_value(self) -> Cow<'r, Value> {
        match self {
            Self::Value(value) => value,
            Self::Ports(ports) => Cow::Owned(object(ports)),
        }
    }
}

/// The name of the output that a reference names, perhaps by an alias.
pub(in crate::run) fn canonical<'n>(node: &'n PlanNode, named: &'n str) -> &'n str {
    ports::find(node.outputs(), named).map_or(named, |port| port.name.as_str())
}

/// Everything that a node delivered, by port.
pub(in crate::run) fn object(ports: &[(Arc<str>, Cell)]) -> Value {
    Value::Object(ports.iter().map(|(port, cell)| (port.to_string(), cell.value().clone())).collect())
}
