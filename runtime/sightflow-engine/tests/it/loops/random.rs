//! Graphs that nobody would draw: what is accepted can be walked, and its bodies are what the definition says.

use std::collections::BTreeSet;

use sightflow_engine::Plan;

use super::bodies::check_consistent;
use super::{compiled, graph};

/// A sequence of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

/// A graph without circles: each node is fed by one or two of those before it.
fn throw(dice: &mut Dice) -> (String, Vec<(String, String)>) {
    let mut nodes = vec!["l0".to_owned()];
    let mut edges = Vec::new();
    for at in 1..=3 + dice.below(10) {
        let block = ["e", "e", "f", "c"][dice.below(4)];
        let id = format!("{block}{at}");
        let recent = |dice: &mut Dice| nodes[nodes.len() - 1 - dice.below(nodes.len().min(4))].clone();
        edges.push((recent(dice), id.clone()));
        if block == "c" && dice.below(2) == 0 {
            edges.push((recent(dice), id.clone()));
        } else if block == "e" && dice.below(3) == 0 {
            edges.push((recent(dice), format!("{id}.extra")));
        }
        nodes.push(id);
    }
    (nodes.join(" "), edges)
}

/// Runs a scope in any order that its dependencies allow, and each body when its loop is reached.
fn walk(plan: &Plan, scope: usize) -> usize {
    let nodes = &plan.scopes[scope].nodes;
    let mut settled = BTreeSet::new();
    let mut walked = 0;
    while let Some(&next) = nodes.iter().find(|node| {
        !settled.contains(*node) && plan.nodes[**node].depends_on.iter().all(|source| settled.contains(source))
    }) {
        walked += 1 + plan.nodes[next].opens.map_or(0, |body| walk(plan, body));
        settled.insert(next);
    }
    walked
}

/// What a `foreach` repeats: everything behind it, up to the collects of its items.
fn behind(plan: &Plan, edges: &[(String, String)], opener: usize) -> BTreeSet<usize> {
    let index = |name: &str| plan.ids[name.split('.').next().expect("a node")];
    let mut found = BTreeSet::new();
    let mut open = vec![opener];
    while let Some(node) = open.pop() {
        let next = edges.iter().filter(|(source, _)| index(source) == node).map(|(_, target)| index(target));
        open.extend(next.filter(|&next| plan.nodes[next].gathers != plan.nodes[opener].opens && found.insert(next)));
    }
    found
}

fn within(plan: &Plan, mut scope: usize, outer: usize) -> bool {
    while plan.scopes[scope].depth > plan.scopes[outer].depth {
        scope = plan.scopes[scope].parent;
    }
    scope == outer
}

#[test]
fn what_is_accepted_can_be_walked() {
    let mut dice = Dice(7);
    let (mut accepted, mut nested, mut refused) = (0, 0, 0);
    for _ in 0..1_000 {
        let (nodes, edges) = throw(&mut dice);
        let text: Vec<String> = edges.iter().map(|(source, target)| format!("{source}>{target}")).collect();
        let Some(plan) = compiled(&graph(&nodes, &text.join(" "))).plan else {
            refused += 1;
            continue;
        };
        accepted += 1;
        nested += usize::from(plan.scopes.iter().any(|scope| scope.depth > 1));
        check_consistent(&plan);
        assert_eq!(walk(&plan, 0), plan.nodes.len(), "{nodes}: {text:?}");
        for (opener, body) in plan.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, node.opens?))) {
            let repeated = (0..plan.nodes.len()).filter(|&node| within(&plan, plan.nodes[node].scope, body));
            assert_eq!(repeated.collect::<BTreeSet<_>>(), behind(&plan, &edges, opener), "{nodes}: {text:?}");
        }
    }
    assert!(accepted > 100 && nested > 20 && refused > 100, "{accepted} accepted, {nested} nested, {refused} refused");
}
