//! Which nodes repeat, and what waits for what.

use serde_json::{Value, json};
use sightflow_engine::Plan;
use sightflow_engine::plan::PlanNode;

use super::{compiled, graph, names, with};

/// Scopes as `opener: nodes` with what is collected, then what waits for what.
fn described(plan: &Plan) -> (Vec<String>, String) {
    let scopes = plan.scopes.iter().map(|scope| {
        let opener = scope.opener.map_or("graph", |opener| &*plan.nodes[opener].id);
        let collects =
            if scope.collects.is_empty() { String::new() } else { format!(" → {}", names(plan, &scope.collects)) };
        format!("{opener}: {}{collects}", names(plan, &scope.nodes))
    });
    let waits = plan.nodes.iter().filter(|node| !node.depends_on.is_empty());
    let waits = waits.map(|node| format!("{}<{}", node.id, names(plan, &node.depends_on).replace(' ', ",")));
    (scopes.collect(), waits.collect::<Vec<_>>().join(" "))
}

/// What holds for every plan.
pub(crate) fn check_consistent(plan: &Plan) {
    for (index, scope) in plan.scopes.iter().enumerate() {
        for (slot, &node) in scope.nodes.iter().enumerate() {
            assert_eq!((plan.nodes[node].scope, plan.nodes[node].slot), (index, slot), "{}", plan.nodes[node].id);
        }
        if let Some(opener) = scope.opener {
            assert_eq!((plan.nodes[opener].opens, plan.nodes[opener].scope), (Some(index), scope.parent));
            assert!(scope.parent < index, "outer before inner");
            assert_eq!(scope.depth, plan.scopes[scope.parent].depth + 1);
        }
        for &collect in &scope.collects {
            assert_eq!((plan.nodes[collect].gathers, plan.nodes[collect].scope), (Some(index), scope.parent));
        }
    }
    let level = |node: usize| plan.levels.iter().position(|level| level.contains(&node));
    for (index, PlanNode { depends_on, dependents, scope, .. }) in plan.nodes.iter().enumerate() {
        for &source in depends_on {
            assert_eq!(plan.nodes[source].scope, *scope, "a node waits for its own scope only");
            assert!(plan.nodes[source].dependents.contains(&index));
            // A loop also waits for what its body needs, which the order of the whole graph does not say.
            assert!(plan.nodes[index].opens.is_some() || level(source) < level(index));
        }
        assert!(dependents.iter().all(|&dependent| plan.nodes[dependent].depends_on.contains(&index)));
    }
}

#[test]
fn bodies_follow_from_what_depends_on_what() {
    let nested = "l1>f1 f1>f2 f2>e2 e2>c2 c2>e1 e1>c1 c1>e9";
    let cases: Vec<(&str, Value, Vec<&str>, &str)> = vec![
        ("no loop", graph("n1 e1", "n1>e1"), vec!["graph: n1 e1"], "e1<n1"),
        (
            "one",
            graph("n1 l1 f1 e1 c1 e9", "l1>f1 f1>e1 e1>c1 c1>e9"),
            vec!["graph: n1 l1 f1 c1 e9", "f1: e1 → c1"],
            "f1<l1 c1<f1 e9<c1",
        ),
        (
            "in any order",
            graph("c1 e1 f1 l1", "l1>f1 f1>e1 e1>c1"),
            vec!["graph: c1 f1 l1", "f1: e1 → c1"],
            "c1<f1 f1<l1",
        ),
        ("items as they are", graph("l1 f1 c1", "l1>f1 f1>c1"), vec!["graph: l1 f1 c1", "f1:  → c1"], "f1<l1 c1<f1"),
        ("nothing is repeated", graph("l1 f1", "l1>f1"), vec!["graph: l1 f1", "f1: "], "f1<l1"),
        ("no collect", graph("l1 f1 e1 e2", "l1>f1 f1>e1 e1>e2"), vec!["graph: l1 f1", "f1: e1 e2"], "f1<l1 e2<e1"),
        (
            "nested",
            graph("l1 f1 f2 e2 c2 e1 c1 e9", nested),
            vec!["graph: l1 f1 c1 e9", "f1: f2 c2 e1 → c1", "f2: e2 → c2"],
            "f1<l1 c2<f2 e1<c2 c1<f1 e9<c1",
        ),
        (
            "a loop over the items of an item, one after another",
            graph("l1 f1 f2 c2 f3 c3 c1", "l1>f1 f1>f2 f2>c2 c2>f3 f3>c3 c3>c1"),
            vec!["graph: l1 f1 c1", "f1: f2 c2 f3 c3 → c1", "f2:  → c2", "f3:  → c3"],
            "f1<l1 c2<f2 f3<c2 c3<f3 c1<f1",
        ),
        (
            "in sequence",
            graph("l1 f1 e1 c1 f2 e2 c2", "l1>f1 f1>e1 e1>c1 c1>f2 f2>e2 e2>c2"),
            vec!["graph: l1 f1 c1 f2 c2", "f1: e1 → c1", "f2: e2 → c2"],
            "f1<l1 c1<f1 f2<c1 c2<f2",
        ),
        (
            "side by side",
            graph("l1 f1 e1 c1 f2 e2 c2 e9", "l1>f1 l1>f2 f1>e1 e1>c1 f2>e2 e2>c2 c1>e9 c2>e9.extra"),
            vec!["graph: l1 f1 c1 f2 c2 e9", "f1: e1 → c1", "f2: e2 → c2"],
            "f1<l1 c1<f1 f2<l1 c2<f2 e9<c1,c2",
        ),
        (
            "several collects",
            graph("l1 f1 e1 e2 c1 c2", "l1>f1 f1>e1 e1>e2 e1>c1 e2>c2"),
            vec!["graph: l1 f1 c1 c2", "f1: e1 e2 → c1 c2"],
            "f1<l1 e2<e1 c1<f1 c2<f1",
        ),
        (
            "several edges into a collect, one of them from outside",
            graph("n1 l1 f1 e1 e2 c1", "l1>f1 f1>e1 f1>e2 e1>c1 e2>c1 n1>c1"),
            vec!["graph: n1 l1 f1 c1", "f1: e1 e2 → c1"],
            "f1<n1,l1 c1<f1",
        ),
        (
            "a condition in a body",
            graph("l1 f1 k1 e1 e2 e3 c1", "l1>f1 f1>k1 k1.true>e1 k1.false>e2 e1>e3 e2>e3 e3>c1"),
            vec!["graph: l1 f1 c1", "f1: k1 e1 e2 e3 → c1"],
            "f1<l1 e1<k1 e2<k1 e3<e1,e2 c1<f1",
        ),
        (
            "what a body needs from outside",
            graph("n1 n2 l1 f1 e1 c1", "l1>f1 f1>e1 n1>e1.extra e1>c1"),
            vec!["graph: n1 n2 l1 f1 c1", "f1: e1 → c1"],
            "f1<n1,l1 c1<f1",
        ),
        (
            "what an inner body needs from outside of both",
            graph("n1 l1 f1 n3 e1 f2 e2 c2 c1", "l1>f1 f1>e1 e1>f2 f2>e2 n1>e2.extra e2>c2 c2>c1"),
            vec!["graph: n1 l1 f1 n3 c1", "f1: e1 f2 c2 → c1", "f2: e2 → c2"],
            "f1<n1,l1 f2<e1 c2<f2 c1<f1",
        ),
        (
            "what an inner body needs from the outer one",
            graph("l1 f1 e1 f2 e2 c2 c1", "l1>f1 f1>e1 f1>f2 f2>e2 e1>e2.extra e2>c2 c2>c1"),
            vec!["graph: l1 f1 c1", "f1: e1 f2 c2 → c1", "f2: e2 → c2"],
            "f1<l1 f2<e1 c2<f2 c1<f1",
        ),
        (
            "what an inner body needs of the outer item",
            graph("l1 f1 f2 e2 c2 c1", "l1>f1 f1>f2 f2>e2 f1>e2.extra e2>c2 c2>c1"),
            vec!["graph: l1 f1 c1", "f1: f2 c2 → c1", "f2: e2 → c2"],
            "f1<l1 c2<f2 c1<f1",
        ),
        (
            "a reference in a configuration puts a node into the body",
            with(
                with(graph("l1 f1 e1 c1", "l1>f1 e1>c1"), "e1", "inputs", json!({"value": 1})),
                "e1",
                "config",
                json!({"text": "{{ nodes.f1.index }}"}),
            ),
            vec!["graph: l1 f1 c1", "f1: e1 → c1"],
            "f1<l1 c1<f1",
        ),
        (
            "a reference in an input, and a configuration that needs the outside",
            with(
                with(graph("n1 l1 f1 e1 c1", "l1>f1 e1>c1"), "e1", "inputs", json!({"value": "$nodes.f1.item.sku"})),
                "e1",
                "config",
                json!({"text": "{{ nodes.n1.number }}"}),
            ),
            vec!["graph: n1 l1 f1 c1", "f1: e1 → c1"],
            "f1<n1,l1 c1<f1",
        ),
        (
            "a collect that is configured from outside",
            with(
                graph("n1 l1 f1 e1 c1", "l1>f1 f1>e1 e1>c1"),
                "c1",
                "config",
                json!({"flatten": "{{ nodes.n1.number > 0 }}"}),
            ),
            vec!["graph: n1 l1 f1 c1", "f1: e1 → c1"],
            "f1<l1 c1<n1,f1",
        ),
        (
            "a collect whose item is an expression",
            with(
                graph("n1 l1 f1 e1 c1", "l1>f1 f1>e1"),
                "c1",
                "inputs",
                json!({"item": "{{ [index, nodes.e1.value, nodes.n1.number] }}"}),
            ),
            vec!["graph: n1 l1 f1 c1", "f1: e1 → c1"],
            "f1<n1,l1 c1<f1",
        ),
    ];
    for (name, definition, scopes, waits) in cases {
        let compiled = compiled(&definition);
        assert_eq!(compiled.errors, [], "{name}");
        let plan = compiled.plan.expect("a plan");
        check_consistent(&plan);
        assert_eq!(described(&plan), (scopes.into_iter().map(str::to_owned).collect(), waits.to_owned()), "{name}");
    }
}

#[test]
fn loop_names_mean_the_innermost_loop() {
    let definition = graph("l1 f1 f2 e2 c2 c1", "l1>f1 f1>f2 f2>e2 e2>c2 c2>c1");
    let definition = with(definition, "e2", "config", json!({"text": "{{ item }} {{ index + 1 }} of {{ total }}"}));
    // One item of the outer loop: the configuration of the inner collect, and of the inner loop.
    let definition = with(definition, "c2", "config", json!({"flatten": "{{ item.deep }}"}));
    let definition = with(definition, "f2", "config", json!({"max_items": "{{ index + 1 }}"}));
    assert_eq!(compiled(&definition).errors, []);
}
