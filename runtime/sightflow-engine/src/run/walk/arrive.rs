//! What a node works with: its inputs as they arrived, and its resolved configuration.

use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Resolved, Root, TemplateError};
use sightflow_types::Problem;
use sightflow_types::document::Shape;
use sightflow_types::error::{RunError, code};

use super::scope::Scope;
use crate::cell::Cell;
use crate::images::{for_each_image, holds_image};
use crate::plan::{Dynamic, Feed, Plan, PlanInput, Wire};
use crate::weight::Room;

/// A node's inputs, by port.
pub(super) type Inputs = Vec<(Arc<str>, Cell)>;

/// A node's resolved configuration and, where nothing in it changed, its JSON text.
pub(super) type Resolution = (Arc<Map<String, Value>>, Option<Arc<str>>);

/// What reached a node.
pub(super) enum Arrival {
    /// It can run with these.
    All(Inputs),
    /// It is skipped, for this reason.
    Missing(String),
}

/// Gathers the inputs of a node from what its sources delivered. All are copied for it, at the latest as JSON. What a
/// `collect` takes from each item is not among them.
pub(super) fn inputs(index: usize, scope: Scope<'_>, room: &mut Room) -> Result<Arrival, RunError> {
    let node = &scope.plan().nodes[index];
    let mut found: Inputs = Vec::with_capacity(node.inputs.len());
    let mut edges = Edges::default();
    let (mut missing, mut arrived) = (None, false);
    let ports = || node.inputs.iter().filter(|input| node.gathers.is_none() || &*input.port != GATHERED);
    for input in ports() {
        let record = node.entry.schema.takes_record(&input.port);
        let cell = gather(input, scope, record, &mut edges, room)?;
        arrived |= cell.is_some();
        match cell {
            Some(cell) if cell.is_null() && input.required => {
                return Err(RunError::new(
                    code::BAD_INPUT,
                    format!("the required input `{}` is null ({})", input.port, source_of(scope.plan(), input)),
                ));
            }
            // On an optional port null is absent.
            Some(cell) if cell.is_null() => {}
            Some(cell) => {
                room.take_bytes(cell.weight()).map_err(no_room)?;
                found.push((Arc::clone(&input.port), cell));
            }
            None if input.required => {
                missing.get_or_insert_with(|| {
                    format!("the required input `{}` is absent: {}", input.port, source_of(scope.plan(), input))
                });
            }
            None => {}
        }
    }
    Ok(match missing {
        Some(reason) => Arrival::Missing(reason),
        None if edges.count > 0 && edges.present == 0 => {
            Arrival::Missing("nothing arrived on any of its edges".to_owned())
        }
        // A reference to a node is a dependency as an edge is.
        None if !arrived && ports().any(|input| refers(scope.plan(), input)) => {
            Arrival::Missing("nothing that it refers to arrived".to_owned())
        }
        None => Arrival::All(found),
    })
}

/// The port of a `collect` that takes a value from each item.
const GATHERED: &str = "item";

/// What a `collect` takes from the item at hand; nothing if nothing arrived.
pub(super) fn gathered(index: usize, scope: Scope<'_>, room: &mut Room) -> Result<Option<Cell>, RunError> {
    let node = &scope.plan().nodes[index];
    let Some(input) = node.inputs.iter().find(|input| &*input.port == GATHERED) else { return Ok(None) };
    let record = node.entry.schema.takes_record(&input.port);
    let found = gather(input, scope, record, &mut Edges::default(), room)?;
    Ok(found.filter(|cell| !cell.is_null()))
}

/// The nodes from which a `collect` takes.
pub(super) fn sources(plan: &Plan, collect: usize) -> Vec<usize> {
    let inputs = plan.nodes[collect].inputs.iter().filter(|input| &*input.port == GATHERED);
    let each = inputs.flat_map(|input| match &input.feed {
        Feed::First(wires) | Feed::Many(wires) => wires.iter().map(|wire| wire.node).collect(),
        Feed::Value(dynamic) => named(plan, dynamic),
    });
    each.collect()
}

fn refers(plan: &Plan, input: &PlanInput) -> bool {
    matches!(&input.feed, Feed::Value(dynamic) if !named(plan, dynamic).is_empty())
}

/// The nodes that a value names.
fn named(plan: &Plan, dynamic: &Dynamic) -> Vec<usize> {
    let nodes = dynamic.roots().into_iter().filter_map(|root| match root {
        Root::Port { node, .. } | Root::Node(node) => plan.ids.get(node.as_str()).copied(),
        Root::Input(_) | Root::Param(_) | Root::Item | Root::Index | Root::Total => None,
    });
    nodes.collect()
}

/// A node's edges, and those that delivered.
#[derive(Default)]
struct Edges {
    count: usize,
    present: usize,
}

/// The value of an input port.
fn gather(
    input: &PlanInput,
    scope: Scope<'_>,
    record: bool,
    edges: &mut Edges,
    room: &mut Room,
) -> Result<Option<Cell>, RunError> {
    let mut arrives = |wire: &Wire| {
        edges.count += 1;
        let open = wire.gate.as_ref().is_none_or(|gate| scope.output(wire.node, gate).is_some());
        let cell = scope.output(wire.node, &wire.port).filter(|_| open).map(|cell| wrap(cell, wire.wraps));
        edges.present += usize::from(cell.is_some());
        cell
    };
    match &input.feed {
        Feed::First(wires) => Ok(wires.iter().filter_map(&mut arrives).next()),
        Feed::Many(wires) if record => {
            let found: Vec<(&Wire, Cell)> = wires.iter().filter_map(|wire| Some((wire, arrives(wire)?))).collect();
            Ok(match found.as_slice() {
                [] => None,
                [(_, only)] if wires.len() == 1 => Some(only.clone()),
                _ => {
                    found.iter().try_for_each(|(_, cell)| room.take_bytes(cell.weight())).map_err(no_room)?;
                    Some(by_source(scope.plan(), wires, found))
                }
            })
        }
        Feed::Many(wires) => {
            let cells: Vec<Option<Cell>> = wires.iter().filter_map(&mut arrives).map(Some).collect();
            if cells.is_empty() {
                return Ok(None);
            }
            cells.iter().flatten().try_for_each(|cell| room.take_bytes(cell.weight())).map_err(no_room)?;
            Ok(Some(Cell::list(&cells)))
        }
        Feed::Value(dynamic) => {
            if let Some((node, port)) = dynamic.as_port() {
                return Ok(scope.port(node, port).map(|cell| wrap(cell, input.wraps)));
            }
            match dynamic.evaluate(&scope, room).map_err(template_error)? {
                Resolved::Value(value) => Ok(Some(Cell::new(value, &scope.walk.table))),
                Resolved::Absent => Ok(None),
            }
        }
    }
}

/// The node's configuration with templates resolved, canonical and validated again.
pub(super) fn config(index: usize, scope: Scope<'_>, context: &Value, room: &mut Room) -> Result<Resolution, RunError> {
    let node = &scope.plan().nodes[index];
    let schema = &node.entry.schema;
    let params = schema.wants_params && !scope.parameters().is_empty();
    let context = Some(context).filter(|context| schema.wants_context && !context.is_null());
    if node.config.dynamic.is_empty() && !params && context.is_none() {
        return Ok((Arc::clone(&node.config.fixed), node.config.text.clone()));
    }
    let mut config = (*node.config.fixed).clone();
    for (key, dynamic) in &node.config.dynamic {
        match dynamic.evaluate(&scope, room).map_err(template_error)? {
            Resolved::Value(value) if holds_image(&value) => {
                let message = format!("`{key}` resolved to an image; images reach a block through its inputs");
                return Err(RunError::new(code::BAD_CONFIG, message));
            }
            Resolved::Value(value) => {
                // Once more: it is sent as text.
                room.take(&value).map_err(no_room)?;
                config.insert(key.clone(), value);
            }
            Resolved::Absent => {}
        }
    }
    let mut canonical = schema.canonical_keys(config);
    schema.finish(&mut canonical, &[]);
    let broken: Vec<&Problem> = canonical.problems.iter().filter(|problem| problem.code.starts_with("E-")).collect();
    if let Some(first) = broken.first() {
        let mut error = RunError::new(code::BAD_CONFIG, format!("after its templates resolved: {}", first.message));
        error.cause = broken.iter().skip(1).map(|problem| problem.message.clone()).collect();
        return Err(error);
    }
    // Two keys go beside the configuration and are no part of it: the schema does not know them.
    let mut config = canonical.config;
    if params {
        config.insert("$params".to_owned(), without_images(scope.parameters()));
    }
    if let Some(context) = context {
        config.insert("$context".to_owned(), context.clone());
    }
    let text = serde_json::to_string(&config)
        .map_err(|error| RunError::new(code::INTERNAL, format!("the configuration is not JSON: {error}")))?;
    config.remove("$params");
    config.remove("$context");
    Ok((Arc::new(config), Some(Arc::from(text))))
}

/// A handle means nothing outside of the run's own values.
fn without_images(parameters: &Map<String, Value>) -> Value {
    let mut value = Value::Object(parameters.clone());
    let cleared: Result<(), std::convert::Infallible> = for_each_image(&mut value, &mut |place| {
        *place = Value::Null;
        Ok(())
    });
    match cleared {
        Ok(()) => value,
        Err(never) => match never {},
    }
}

fn no_room(message: String) -> RunError {
    RunError::new(code::BLOCK_LIMIT, message)
}

fn template_error(error: TemplateError) -> RunError {
    RunError::new(error.code, error.message)
}

fn wrap(cell: &Cell, wraps: bool) -> Cell {
    match cell.shape() {
        Shape::Object(_) if wraps => Cell::list(&[Some(cell.clone())]),
        _ => cell.clone(),
    }
}

/// `{source node: value}`, or `<node>.<port>` for a node that is wired more than once.
fn by_source(plan: &Plan, wires: &[Wire], found: Vec<(&Wire, Cell)>) -> Cell {
    let pictures = found.iter().flat_map(|(_, cell)| cell.pictures().iter().cloned()).collect();
    let record = found.into_iter().map(|(wire, cell)| {
        let id = &plan.nodes[wire.node].id;
        let alone = wires.iter().filter(|other| other.node == wire.node).count() == 1;
        let key = if alone { id.to_string() } else { format!("{id}.{}", wire.port) };
        (key, cell.into_value())
    });
    Cell::of(Value::Object(record.collect()), pictures)
}

fn source_of(plan: &Plan, input: &PlanInput) -> String {
    match &input.feed {
        Feed::First(wires) | Feed::Many(wires) => {
            let names: Vec<String> =
                wires.iter().map(|wire| format!("`{}.{}`", plan.nodes[wire.node].id, wire.port)).collect();
            format!("it comes from {}", names.join(" or "))
        }
        Feed::Value(dynamic) => {
            let names: Vec<String> = dynamic.roots().iter().map(|root| format!("`{root}`")).collect();
            if names.is_empty() { "it is a literal".to_owned() } else { format!("it comes from {}", names.join(", ")) }
        }
    }
}
