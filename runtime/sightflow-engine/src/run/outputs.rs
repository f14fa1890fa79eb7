//! The result of a run: declared outputs, or automatic ones.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Reference, Root};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, IMAGE_KEY};

use super::RunLimits;
use super::frame::{Outputs, PassId, find};
use super::loops::Gathered;
use super::state::State;
use super::walk::Walk;
use super::walk::scope::{Scope, canonical, object};
use super::work::Ground;
use crate::cell::Cell;
use crate::images::{Picture, Purpose, any_image, export, for_each_image, holds_image};
use crate::plan::{PlanOutput, WELL_KNOWN};
use crate::weight::Room;

/// The outputs as they lie in the run, before images are stored.
pub(super) struct Raw {
    values: Vec<(String, Value)>,
    /// Keeps the images that they name.
    pictures: Vec<Arc<Picture>>,
    /// The first reason why something could not be resolved or does not fit: it is null.
    trouble: Option<RunError>,
}

/// Resolves the outputs.
pub(super) fn resolve(walk: &Walk, limits: &RunLimits) -> Raw {
    let mut trouble = None;
    let found = if walk.plan.outputs.is_empty() { automatic(walk) } else { explicit(walk) };
    let mut space = Space { json: limits.outputs, memory: Room::new(limits.values) };
    let (mut values, mut pictures) = (Vec::with_capacity(found.len()), Vec::new());
    for (name, output) in found {
        let value = match output.value(&name, &mut space, &mut pictures) {
            Ok(value) => value,
            Err(Misfit::Broken(error)) => {
                trouble.get_or_insert(error);
                Value::Null
            }
            Err(Misfit::Full) => {
                trouble.get_or_insert_with(|| {
                    let message = format!(
                        "the outputs do not fit into {} bytes of JSON; `{name}` is the first without room",
                        limits.outputs
                    );
                    RunError::new(code::BLOCK_LIMIT, message)
                });
                space.json = 0;
                Value::Null
            }
        };
        values.push((name, value));
    }
    Raw { values, pictures, trouble }
}

/// Stores the images of the outputs; they become references. The blobs, and the first reason why something is null.
pub(super) async fn store(raw: Raw, ground: &Ground) -> (Value, Vec<Digest>, Option<RunError>) {
    let Raw { values, pictures, mut trouble } = raw;
    let mut outputs = Map::new();
    let mut blobs = BTreeSet::new();
    for (name, value) in values {
        if !holds_image(&value) {
            outputs.insert(name, value);
            continue;
        }
        match export(value, &ground.table, ground.access(), Purpose::Output).await {
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
    drop(pictures);
    (Value::Object(outputs), blobs.into_iter().collect(), trouble)
}

/// Room for outputs. What does not fit is known before it is copied.
struct Space {
    /// Bytes of JSON that are left.
    json: usize,
    memory: Room,
}

/// Bytes of JSON of a stored image's reference, about; in a run an image is a short handle.
const REFERENCE_BYTES: usize = 256;

impl Space {
    fn takes(&mut self, value: &Value) -> bool {
        let mut images = 0_usize;
        any_image(value, &mut |_| {
            images += 1;
            false
        });
        let Some(left) = self.json.checked_sub(images.saturating_mul(REFERENCE_BYTES)) else { return false };
        self.json = left;
        serde_json::to_writer(&mut *self, value).is_ok() && self.memory.take(value).is_ok()
    }
}

impl Write for Space {
    /// Counts, and fails at the first byte that does not fit.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.json = self.json.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why an output is null.
enum Misfit {
    Broken(RunError),
    Full,
}

/// One output, not copied yet.
enum Output<'r> {
    Absent,
    /// A value, and the path below it.
    Cell(&'r Cell, Option<&'r Reference>),
    /// A parameter; its images are the run's.
    Plain(&'r Value, &'r Reference),
    /// Everything that a node delivered.
    Ports(&'r [(Arc<str>, Cell)]),
    /// A node inside of a loop, by item: one of its ports, or all.
    Items(&'r [Gathered], Option<&'r str>, Option<&'r Reference>),
}

impl Output<'_> {
    fn value(&self, name: &str, space: &mut Space, pictures: &mut Vec<Arc<Picture>>) -> Result<Value, Misfit> {
        let mut room = |value: &Value| if space.takes(value) { Ok(()) } else { Err(Misfit::Full) };
        let below = |value: &'_ Value, path: Option<&Reference>| match path {
            None => Ok(value.clone()),
            Some(path) => path.below(value).map(Cow::into_owned).map_err(|error| {
                Misfit::Broken(RunError::new(error.code, format!("the output `{name}`: {}", error.message)))
            }),
        };
        let whole = |path: Option<&Reference>| path.is_none_or(Reference::is_whole);
        match self {
            Self::Absent => Ok(Value::Null),
            Self::Cell(cell, path) => {
                pictures.extend(cell.pictures().iter().cloned());
                if whole(*path) {
                    room(cell.value())?;
                }
                let value = below(cell.value(), *path)?;
                if !whole(*path) {
                    room(&value)?;
                }
                Ok(value)
            }
            Self::Plain(value, path) => {
                let value = below(value, Some(path))?;
                room(&value)?;
                Ok(value)
            }
            Self::Ports(ports) => {
                for (port, cell) in *ports {
                    pictures.extend(cell.pictures().iter().cloned());
                    room(&Value::String(port.to_string()))?;
                    room(cell.value())?;
                }
                Ok(object(ports))
            }
            Self::Items(items, port, path) => {
                let mut failed = None;
                let list = Value::Array(
                    items
                        .iter()
                        .map(|item| {
                            item.tree(&mut |ports| {
                                if failed.is_some() {
                                    return Value::Null;
                                }
                                let one = match port {
                                    None => Output::Ports(ports),
                                    Some(port) => {
                                        find(ports, port).map_or(Output::Absent, |cell| Output::Cell(cell, *path))
                                    }
                                };
                                one.value(name, space, pictures).unwrap_or_else(|misfit| {
                                    failed = Some(misfit);
                                    Value::Null
                                })
                            })
                        })
                        .collect(),
                );
                failed.map_or(Ok(list), Err)
            }
        }
    }
}

type Found<'r> = Vec<(String, Output<'r>)>;

fn explicit(walk: &Walk) -> Found<'_> {
    let outputs = walk.plan.outputs.iter();
    outputs.map(|output| (output.name.clone(), named(walk, output).unwrap_or(Output::Absent))).collect()
}

fn named<'w>(walk: &'w Walk, output: &'w PlanOutput) -> Option<Output<'w>> {
    let view = Scope { walk, pass: PassId::ROOT };
    let source = &output.source;
    Some(match &source.root {
        Root::Port { node, port } => {
            let index = *walk.plan.ids.get(node.as_str())?;
            let port = canonical(&walk.plan.nodes[index], port);
            match by_item(walk, index) {
                Some(items) => Output::Items(items?, Some(port), Some(source)),
                None => Output::Cell(view.output(index, port)?, Some(source)),
            }
        }
        Root::Node(node) => {
            let index = *walk.plan.ids.get(node.as_str())?;
            match by_item(walk, index) {
                Some(items) => Output::Items(items?, None, None),
                None => Some(view.delivered(index)).filter(|ports| !ports.is_empty()).map(Output::Ports)?,
            }
        }
        Root::Input(name) => Output::Cell(walk.inputs.get(name)?, Some(source)),
        Root::Param(name) => Output::Plain(walk.parameters.get(name)?, source),
        Root::Item | Root::Index | Root::Total => return None,
    })
}

/// For a node whose values are kept by item: these, if its loop has run.
fn by_item(walk: &Walk, node: usize) -> Option<Option<&[Gathered]>> {
    let planned = &walk.plan.nodes[node];
    let mut inside = planned.opens.unwrap_or(planned.scope);
    if inside == 0 {
        return None;
    }
    while walk.plan.scopes[inside].parent != 0 {
        inside = walk.plan.scopes[inside].parent;
    }
    let results = || {
        let opener = walk.plan.scopes[inside].opener?;
        match &walk.passes.get(&PassId::ROOT)?.states[walk.plan.nodes[opener].slot] {
            State::Completed(completed) => completed.gathered.as_ref()?.export(node),
            _ => None,
        }
    };
    Some(results())
}

fn automatic(walk: &Walk) -> Found<'_> {
    let view = Scope { walk, pass: PassId::ROOT };
    let mut found: Found<'_> = Vec::new();
    for (index, node) in walk.plan.nodes.iter().enumerate().filter(|(_, node)| !node.has_outgoing_edge) {
        match by_item(walk, index) {
            Some(Some(items)) => found.push((node.id.to_string(), Output::Items(items, None, None))),
            Some(None) => {}
            None => {
                let ports = view.delivered(index);
                if !ports.is_empty() {
                    found.push((node.id.to_string(), Output::Ports(ports)));
                }
            }
        }
    }
    for key in WELL_KNOWN {
        // An optional output that was not delivered, such as the boxes of a resize without boxes, does not count.
        let mut producers = (0..walk.plan.nodes.len()).filter(|&index| {
            let port = walk.plan.nodes[index].outputs().iter().find(|port| port.name == key);
            port.is_some_and(|port| port.required || delivers(walk, index, key))
        });
        let (Some(index), None) = (producers.next(), producers.next()) else {
            continue;
        };
        if found.iter().any(|(name, _)| name == key) {
            continue;
        }
        match by_item(walk, index) {
            Some(Some(items)) => found.push((key.to_owned(), Output::Items(items, Some(key), None))),
            Some(None) => {}
            None => found.extend(view.output(index, key).map(|cell| (key.to_owned(), Output::Cell(cell, None)))),
        }
    }
    found
}

/// Whether a node delivered something that is not null on a port, for any item.
fn delivers(walk: &Walk, node: usize, port: &str) -> bool {
    match by_item(walk, node) {
        Some(items) => {
            let mut any = false;
            let mut look = |ports: &Outputs| any |= find(ports, port).is_some_and(|cell| !cell.is_null());
            items.unwrap_or_default().iter().for_each(|item| item.each(&mut look));
            any
        }
        None => Scope { walk, pass: PassId::ROOT }.output(node, port).is_some_and(|cell| !cell.is_null()),
    }
}
