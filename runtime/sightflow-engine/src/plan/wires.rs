//! Edges and `inputs`: which output feeds which input.

use std::collections::HashMap;
use std::sync::Arc;

use sightflow_expressions::reference::nearest;
use sightflow_types::manifest::{Port, PortKind};
use sightflow_types::{Problem, ProblemCode};

use super::document::{Document, RawEdge};
use super::draft::Draft;
use super::dynamic::{Dynamic, Misfit};
use super::names::Names;
use super::{Feed, PlanInput, Wire};
use crate::catalog::ports::find;
use crate::catalog::{BlockEntry, pointer_token};

/// An edge with its ends resolved.
struct Ends<'d> {
    edge: &'d RawEdge,
    source: usize,
    target: usize,
}

pub(super) fn connect(document: &Document, drafts: &mut [Draft], problems: &mut Vec<Problem>) {
    let mut taken: HashMap<(usize, String), Vec<(usize, Wire)>> = HashMap::new();
    let mut open = Vec::new();
    for edge in &document.edges {
        let Some(ends) = ends(document, edge, problems) else {
            continue;
        };
        drafts[ends.source].has_outgoing_edge = true;
        drafts[ends.target].fed_by.insert(ends.source);
        let (Some(from), Some(to)) = (&drafts[ends.source].entry, &drafts[ends.target].entry) else {
            continue;
        };
        let outputs = drafts[ends.source].outputs();
        let Ok(gate) = gate(&ends, from, outputs, problems) else {
            continue;
        };
        let source_port = match (&edge.source_handle, gate) {
            (Some((name, key)), _) => {
                match named(from, outputs, name, &format!("/edges/{}/{key}", edge.at), "output", problems) {
                    Some(port) => Some(port),
                    None => continue,
                }
            }
            (None, Some(gate)) => find(outputs, gate),
            (None, None) => None,
        };
        let target_port = match &edge.target_handle {
            Some((name, key)) => {
                match named(to, &to.manifest.inputs, name, &format!("/edges/{}/{key}", edge.at), "input", problems) {
                    Some(port) => Some(image_for_images(to, port, source_port)),
                    None => continue,
                }
            }
            None => None,
        };
        match (source_port, target_port) {
            (Some(source), Some(target)) => {
                let wire = wire(&ends, source, target, gate);
                // A misfit counts as wired all the same: one mistake, one problem.
                check_kinds(&ends, source, target, problems);
                taken.entry((ends.target, target.name.clone())).or_default().push((edge.at, wire));
            }
            _ => open.push((
                ends,
                Arc::clone(to),
                source_port.map(|port| port.name.clone()),
                target_port.map(|port| port.name.clone()),
                gate,
            )),
        }
    }
    // Inference sees every port that is named somewhere as taken.
    for (ends, to, source, target, gate) in open {
        let free = |input: &&Port| {
            input.many
                || (!taken.contains_key(&(ends.target, input.name.clone()))
                    && !document.nodes[ends.target]
                        .inputs
                        .keys()
                        .any(|key| find(&to.manifest.inputs, key).is_some_and(|port| port.name == input.name)))
        };
        let outputs: Vec<&Port> = drafts[ends.source]
            .outputs()
            .iter()
            .filter(|port| source.as_ref().is_none_or(|name| *name == port.name))
            .collect();
        let inputs: Vec<&Port> = match &target {
            Some(name) => to.manifest.inputs.iter().filter(|port| port.name == *name).collect(),
            None => to.manifest.inputs.iter().filter(free).collect(),
        };
        match infer(&outputs, &inputs) {
            Ok((output, input)) => {
                let wire = wire(&ends, output, input, gate);
                taken.entry((ends.target, input.name.clone())).or_default().push((ends.edge.at, wire));
            }
            Err(candidates) => {
                let (source, target) = (&ends.edge.source, &ends.edge.target);
                let message = if candidates.is_empty() {
                    format!("no output of `{source}` fits a free input of `{target}`")
                } else {
                    format!(
                        "the edge from `{source}` to `{target}` does not say which ports it joins; possible are {}",
                        candidates.join(", ")
                    )
                };
                problems.push(Problem::new(ProblemCode::HandleAmbiguous, format!("/edges/{}", ends.edge.at), message));
            }
        }
    }
    for (index, draft) in drafts.iter_mut().enumerate() {
        let Some(entry) = draft.entry.clone() else {
            continue;
        };
        for port in &entry.manifest.inputs {
            let Some(mut wires) = taken.remove(&(index, port.name.clone())) else {
                continue;
            };
            wires.sort_by_key(|(at, _)| *at);
            let wires: Vec<Wire> = wires.into_iter().map(|(_, wire)| wire).collect();
            let feed = if port.many { Feed::Many(wires) } else { Feed::First(wires) };
            draft.inputs.push(PlanInput {
                port: Arc::from(port.name.as_str()),
                required: port.required,
                feed,
                wraps: false,
            });
        }
    }
}

fn ends<'d>(document: &Document, edge: &'d RawEdge, problems: &mut Vec<Problem>) -> Option<Ends<'d>> {
    let mut end = |id: &str, code: ProblemCode, key: &str| {
        let found = document.ids.get(id).copied();
        if found.is_none() {
            let near = nearest(id, document.ids.keys().map(String::as_str));
            problems.push(
                Problem::new(code, format!("/edges/{}/{key}", edge.at), format!("there is no node `{id}`"))
                    .suggest(near),
            );
        }
        found
    };
    let source = end(&edge.source, ProblemCode::EdgeSource, "source");
    let target = end(&edge.target, ProblemCode::EdgeTarget, "target");
    Some(Ends { edge, source: source?, target: target? })
}

/// The gating port of an edge with `condition`.
fn gate(
    ends: &Ends<'_>,
    from: &BlockEntry,
    outputs: &[Port],
    problems: &mut Vec<Problem>,
) -> Result<Option<&'static str>, ()> {
    let Some(side) = ends.edge.condition else {
        return Ok(None);
    };
    let gates = ["true_output", "false_output"];
    if !gates.iter().all(|gate| outputs.iter().any(|port| port.exclusive && port.name == *gate)) {
        let message = format!(
            "`condition` belongs on an edge that leaves a `condition` node; `{}` is `{}`",
            ends.edge.source, from.block_type
        );
        problems.push(Problem::new(ProblemCode::EdgeSource, format!("/edges/{}/condition", ends.edge.at), message));
        return Err(());
    }
    Ok(Some(if side { gates[0] } else { gates[1] }))
}

fn named<'p>(
    entry: &BlockEntry,
    ports: &'p [Port],
    name: &str,
    pointer: &str,
    what: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'p Port> {
    if let Some(found) = find(ports, name) {
        if found.name != name {
            let message = format!("the {what} `{name}` is written `{}` now", found.name);
            problems.push(Problem::new(ProblemCode::Alias, pointer, message).suggest(Some(found.name.as_str())));
        }
        return Some(found);
    }
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let listed = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    let message = format!("`{}` has no {what} `{name}`; {listed}", entry.block_type);
    problems.push(Problem::new(ProblemCode::PortUnknown, pointer, message).suggest(nearest(name, names.into_iter())));
    None
}

/// One image wired into `images` of a block that also takes `image` means the latter.
fn image_for_images<'p>(entry: &'p BlockEntry, target: &'p Port, source: Option<&Port>) -> &'p Port {
    if target.kind == PortKind::Images && !target.many && source.is_some_and(|source| source.kind == PortKind::Image) {
        return entry.manifest.inputs.iter().find(|port| port.name == "image").unwrap_or(target);
    }
    target
}

fn wire(ends: &Ends<'_>, source: &Port, target: &Port, gate: Option<&'static str>) -> Wire {
    let gate = gate.filter(|gate| *gate != source.name).map(Arc::from);
    let wraps = source.kind == PortKind::Detection && target.kind == PortKind::Detections;
    Wire { node: ends.source, port: Arc::from(source.name.as_str()), gate, wraps }
}

fn fits(source: &Port, target: &Port) -> bool {
    // What arrives at a `many` port is one element of its list.
    source.kind.connects_to(target.kind)
        || (target.many && target.kind == PortKind::Images && source.kind == PortKind::Image)
}

fn check_kinds(ends: &Ends<'_>, source: &Port, target: &Port, problems: &mut Vec<Problem>) {
    if fits(source, target) {
        return;
    }
    let message = format!(
        "`{}.{}` is of type {}, which does not fit `{}.{}` of type {}",
        ends.edge.source, source.name, source.kind, ends.edge.target, target.name, target.kind
    );
    problems.push(Problem::new(ProblemCode::PortType, format!("/edges/{}", ends.edge.at), message));
}

/// The only fitting pair, required inputs first; otherwise the candidates.
fn infer<'p>(outputs: &[&'p Port], inputs: &[&'p Port]) -> Result<(&'p Port, &'p Port), Vec<String>> {
    for required in [true, false] {
        let targets = inputs.iter().filter(|input| input.required == required);
        let pairs: Vec<(&Port, &Port)> = targets
            .flat_map(|input| outputs.iter().filter(|output| fits(output, input)).map(|output| (*output, *input)))
            .collect();
        match pairs.as_slice() {
            [] => {}
            [pair] => return Ok(*pair),
            several => {
                return Err(several
                    .iter()
                    .map(|(output, input)| format!("{} → {}", output.name, input.name))
                    .collect());
            }
        }
    }
    Err(Vec::new())
}

/// `inputs` entries: literals, references and templates; they win over edges.
pub(super) fn read_inputs(names: &Names<'_>, drafts: &mut [Draft], problems: &mut Vec<Problem>) {
    for (index, raw) in names.nodes().enumerate() {
        let Some(entry) = drafts[index].entry.clone() else {
            continue;
        };
        for (key, value) in &raw.inputs {
            let pointer = format!("/nodes/{}/inputs/{}", raw.at, pointer_token(key));
            let Some(port) = named(&entry, &entry.manifest.inputs, key, &pointer, "input", problems) else {
                continue;
            };
            let mut misfits: Vec<Misfit> = Vec::new();
            let mut dynamic = Dynamic::compile(value, &pointer, &mut misfits);
            if port.kind == PortKind::Image
                && let Some(image) = dynamic.fixed().and_then(crate::images::literal)
            {
                dynamic = Dynamic::Fixed(Arc::new(image));
            }
            for Misfit { pointer, error } in misfits {
                problems.push(Problem::new(error.code, pointer, error.message).suggest(error.suggestion));
            }
            let found = names.of(&dynamic, true, drafts, &pointer, problems);
            drafts[index].fed_by.extend(found.sources);
            drafts[index].loop_names.extend(found.loop_names);
            let wraps = check_reference_kind(&dynamic, names, drafts, port, &pointer, problems);
            check_literal(&dynamic, port, &pointer, problems);
            let feed = PlanInput {
                port: Arc::from(port.name.as_str()),
                required: port.required,
                feed: Feed::Value(dynamic),
                wraps,
            };
            let inputs = &mut drafts[index].inputs;
            if let Some(at) = inputs.iter().position(|input| *input.port == *port.name) {
                let message = format!("`inputs.{key}` wins over the edge into `{}`", port.name);
                problems.push(Problem::new(ProblemCode::InputWins, &pointer, message));
                inputs[at] = feed;
            } else {
                inputs.push(feed);
            }
        }
    }
}

fn check_reference_kind(
    dynamic: &Dynamic,
    names: &Names<'_>,
    drafts: &[Draft],
    target: &Port,
    pointer: &str,
    problems: &mut Vec<Problem>,
) -> bool {
    let Some((node, port)) = dynamic.as_port() else {
        return false;
    };
    let source = names.index(node).and_then(|index| find(drafts[index].outputs(), port));
    let Some(source) = source else { return false };
    if !fits(source, target) {
        let message = format!(
            "`$nodes.{node}.{port}` is of type {}, which does not fit `{}` of type {}",
            source.kind, target.name, target.kind
        );
        problems.push(Problem::new(ProblemCode::PortType, pointer, message));
    }
    source.kind == PortKind::Detection && target.kind == PortKind::Detections
}

fn check_literal(dynamic: &Dynamic, target: &Port, pointer: &str, problems: &mut Vec<Problem>) {
    let Some(value) = dynamic.fixed() else { return };
    let fits = match target.kind.base() {
        PortKind::Array => value.is_array() || (target.many && !value.is_null()),
        PortKind::Object => value.is_object(),
        PortKind::Number => value.is_number(),
        PortKind::String => value.is_string(),
        PortKind::Boolean => value.is_boolean(),
        PortKind::Image => crate::images::literal(value).is_some(),
        _ => true,
    };
    let left_out = value.is_null() && !target.required;
    if !fits && !left_out {
        let mut given = value.to_string();
        if given.len() > 60 {
            given = given.chars().take(60).collect();
        }
        problems.push(Problem::new(
            ProblemCode::PortType,
            pointer,
            format!("`{}` takes {}, not {given}", target.name, target.kind),
        ));
    }
}

/// Required ports need an edge or an `inputs` entry; `image` or `images` of a model, one of both.
pub(super) fn check_required(drafts: &[Draft], problems: &mut Vec<Problem>) {
    for draft in drafts {
        let Some(entry) = &draft.entry else { continue };
        let fed = |name: &str| draft.inputs.iter().any(|input| &*input.port == name);
        for port in entry.manifest.inputs.iter().filter(|port| port.required && !fed(&port.name)) {
            let message =
                format!("`{}` ({}) needs its input `{}` ({})", draft.id, entry.block_type, port.name, port.kind);
            problems.push(
                Problem::new(ProblemCode::PortRequired, format!("/nodes/{}", draft.at), message)
                    .suggest(Some(port.name.as_str())),
            );
        }
        let has = |name: &str| entry.manifest.inputs.iter().any(|port| port.name == name);
        if entry.engine() == crate::catalog::EngineKind::Model
            && has("image")
            && has("images")
            && fed("image") == fed("images")
        {
            let message = format!("`{}` ({}) needs either `image` or `images`", draft.id, entry.block_type);
            let code = if fed("image") { ProblemCode::PortConflict } else { ProblemCode::PortRequired };
            problems.push(Problem::new(code, format!("/nodes/{}", draft.at), message));
        }
    }
}
