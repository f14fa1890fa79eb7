//! Order, cycles and branches that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use sightflow_types::manifest::Port;
use sightflow_types::{Problem, ProblemCode};

use super::draft::Draft;
use super::scopes::Scopes;
use super::{Feed, PlanInput, Wire};

/// Nodes by level, or a problem that names a cycle in order.
pub(super) fn levels(drafts: &[Draft], problems: &mut Vec<Problem>) -> Option<Vec<Vec<usize>>> {
    let mut level: Vec<Option<usize>> = vec![None; drafts.len()];
    let mut open: Vec<usize> = (0..drafts.len()).collect();
    let mut levels: Vec<Vec<usize>> = Vec::new();
    while !open.is_empty() {
        let (ready, waiting): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&index| drafts[index].depends_on().all(|source| level[source].is_some()));
        if ready.is_empty() {
            problems.push(cycle(drafts, &waiting));
            return None;
        }
        for &index in &ready {
            level[index] = Some(levels.len());
        }
        levels.push(ready);
        open = waiting;
    }
    Some(levels)
}

fn cycle(drafts: &[Draft], waiting: &[usize]) -> Problem {
    // Every waiting node depends on a waiting one, so walking back must come round.
    let stuck: BTreeSet<usize> = waiting.iter().copied().collect();
    let mut walk = vec![waiting[0]];
    let mut here = waiting[0];
    let round = loop {
        let Some(before) = drafts[here].depends_on().find(|source| stuck.contains(source)) else {
            break 0;
        };
        if let Some(at) = walk.iter().position(|&index| index == before) {
            break at;
        }
        walk.push(before);
        here = before;
    };
    let mut names: Vec<&str> = walk[round..].iter().rev().map(|&index| &*drafts[index].id).collect();
    if let Some(first) = (0..names.len()).min_by_key(|&at| drafts.iter().position(|draft| &*draft.id == names[at])) {
        names.rotate_left(first);
    }
    names.push(names[0]);
    let at = drafts.iter().find(|draft| &*draft.id == names[0]).map_or(0, |draft| draft.at);
    Problem::new(
        ProblemCode::Cycle,
        format!("/nodes/{at}"),
        format!("the nodes depend on each other in a circle: {}", names.join(" → ")),
    )
}

/// What must hold for a value to be there: of nodes with exclusive outputs, those outputs of which one delivers, as bits.
type Guards = BTreeMap<usize, u64>;

/// Several edges into one port are legal when their branches exclude each other.
pub(super) fn check_fan_in(drafts: &[Draft], levels: &[Vec<usize>], scopes: &Scopes, problems: &mut Vec<Problem>) {
    let mut guards: Vec<Guards> = vec![Guards::new(); drafts.len()];
    for &index in levels.iter().flatten() {
        for input in &drafts[index].inputs {
            if let Feed::First(wires) = &input.feed
                && let Some((one, other)) = conflict(drafts, &guards, wires)
            {
                let message = format!(
                    "`{}.{}` is fed by `{}` and `{}`, and both can be there at once; only branches of one condition or switch may meet in a port",
                    drafts[index].id, input.port, drafts[one].id, drafts[other].id
                );
                problems.push(Problem::new(ProblemCode::PortConflict, format!("/nodes/{}", drafts[index].at), message));
            }
        }
        // Whichever branches its items take, a loop that runs delivers its results.
        let opener = scopes.places[index].gathers.and_then(|body| scopes.scopes[body].opener);
        guards[index] = match opener {
            Some(opener) => guards[opener].clone(),
            None => node_guards(drafts, &guards, &drafts[index].inputs),
        };
    }
}

/// The bit of an exclusive output.
fn bit(outputs: &[Port], name: &str) -> Option<u64> {
    let place = outputs.iter().filter(|port| port.exclusive).position(|port| port.name == name)?;
    1_u64.checked_shl(u32::try_from(place).ok()?)
}

fn wire_guards(drafts: &[Draft], guards: &[Guards], wire: &Wire) -> Guards {
    let mut found = guards[wire.node].clone();
    for port in std::iter::once(&wire.port).chain(&wire.gate) {
        if let Some(bit) = bit(drafts[wire.node].outputs(), port) {
            *found.entry(wire.node).or_insert(u64::MAX) &= bit;
        }
    }
    found
}

/// Two wires that can both deliver.
fn conflict(drafts: &[Draft], guards: &[Guards], wires: &[Wire]) -> Option<(usize, usize)> {
    let all: Vec<Guards> = wires.iter().map(|wire| wire_guards(drafts, guards, wire)).collect();
    for (at, one) in all.iter().enumerate() {
        for (offset, other) in all[at + 1..].iter().enumerate() {
            if !one.iter().any(|(node, bits)| other.get(node).is_some_and(|others| bits & others == 0)) {
                return Some((wires[at].node, wires[at + 1 + offset].node));
            }
        }
    }
    None
}

/// What must hold for a node to run: everything that each required port needs, and what all its edges have in common.
fn node_guards(drafts: &[Draft], guards: &[Guards], inputs: &[PlanInput]) -> Guards {
    // One of several edges: what each of them asks for may be there.
    let either = |wires: &[Wire]| {
        let mut all = wires.iter().map(|wire| wire_guards(drafts, guards, wire));
        let first = all.next().unwrap_or_default();
        all.fold(first, |common, next| {
            common.into_iter().filter_map(|(node, bits)| Some((node, bits | next.get(&node)?))).collect()
        })
    };
    let mut found = Guards::new();
    let mut edges = Vec::new();
    let mut require = |more: Guards| {
        for (node, bits) in more {
            *found.entry(node).or_insert(u64::MAX) &= bits;
        }
    };
    for input in inputs {
        if let Feed::First(wires) | Feed::Many(wires) = &input.feed {
            if input.required {
                require(either(wires));
            }
            edges.extend(wires.iter().cloned());
        }
    }
    require(either(&edges));
    found
}
