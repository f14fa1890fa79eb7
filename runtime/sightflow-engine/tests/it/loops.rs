//! Loops in plans: which nodes repeat, what waits for what, and what is refused.

use serde_json::{Map, Value, json};
use sightflow_engine::plan::PlanNode;
use sightflow_engine::{Compiled, Limits, Plan, compile};

use crate::script::{catalog, models};

/// The block, an output and an input of a node, by the first letter of its id.
fn block(id: &str) -> (&'static str, &'static str, &'static str) {
    match &id[..1] {
        "f" => ("foreach", "item", "items"),
        "c" => ("collect", "results", "item"),
        "k" => ("condition", "true", "value"),
        "n" => ("number", "number", ""),
        "l" => ("parameter_input", "value", ""),
        _ => ("echo", "value", "value"),
    }
}

/// A definition in short. Nodes are ids: `f`oreach, `c`ollect, `k` a condition, `n`umber, `e`cho, and `l` a list that the
/// run gives. Edges are `source>target`, and may name ports: `k1.false>e1.extra`.
fn graph(nodes: &str, edges: &str) -> Value {
    let nodes: Vec<Value> = nodes.split_whitespace().map(|id| json!({"id": id, "type": block(id).0})).collect();
    let edges = edges.split_whitespace().map(|edge| {
        let (source, target) = edge.split_once('>').expect("source>target");
        let (source, output) = source.split_once('.').unwrap_or((source, block(source).1));
        let (target, input) = target.split_once('.').unwrap_or((target, block(target).2));
        json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": input})
    });
    json!({"nodes": nodes, "edges": edges.collect::<Vec<_>>()})
}

/// The same with more in one node.
fn with(mut definition: Value, id: &str, key: &str, value: Value) -> Value {
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes.iter_mut().find(|node| node["id"] == id).expect("a node of this id")[key] = value;
    definition
}

fn compiled(definition: &Value) -> Compiled {
    compile(definition, &catalog(), &models(), &Limits::default())
}

fn names(plan: &Plan, nodes: &[usize]) -> String {
    nodes.iter().map(|&index| &*plan.nodes[index].id).collect::<Vec<_>>().join(" ")
}

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
fn check_consistent(plan: &Plan) {
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
fn values_leave_a_loop_through_its_collect() {
    let side_by_side = "l1>f1 l1>f2 f1>e1 f2>e2";
    let inner = graph("l1 f1 f2 e2 c2 c1", "l1>f1 f1>f2 f2>e2 e2>c2 c2>c1");
    let cases: Vec<(&str, Value, &str, &[&str])> = vec![
        (
            "two loops",
            graph("l1 f1 e1 f2 e2 e9", &format!("{side_by_side} e1>e9 e2>e9.extra")),
            "E-LOOP-ESCAPE /nodes/5",
            &["`e9`", "`f1`", "`f2`", "`e1`", "`e2`"],
        ),
        (
            "two loops in a collect",
            graph("l1 f1 e1 f2 e2 c1", &format!("{side_by_side} e1>c1 e2>c1")),
            "E-LOOP-ESCAPE /nodes/5",
            &["`c1`", "`f1`", "`f2`"],
        ),
        (
            "items of two loops",
            graph("l1 f1 e1 f2 c1 c2", "l1>f1 l1>f2 f2>e1 f1>e1.extra e1>c1 f2>c2"),
            "E-LOOP-ESCAPE /nodes/2",
            &["`e1`", "`f1`", "`f2`"],
        ),
        ("collect outside", graph("l1 c1", "l1>c1"), "E-LOOP-ESCAPE /nodes/1", &["`c1` stands outside of every loop"]),
        (
            "collect of a collect",
            graph("l1 f1 c1 c2", "l1>f1 f1>c1 c1>c2"),
            "E-LOOP-ESCAPE /nodes/3",
            &["`c2` stands outside"],
        ),
        (
            "a result goes back into its loop",
            graph("l1 f1 e1 c1 e2", "l1>f1 f1>e1 e1>c1 c1>e2 f1>e2.extra"),
            "E-LOOP-ESCAPE /nodes/4",
            &["`e2` is repeated by the loop `f1`", "uses `c1`"],
        ),
        (
            "on a detour",
            graph("l1 f1 e1 c1 e8 e2", "l1>f1 f1>e1 e1>c1 c1>e8 e8>e2 e1>e2.extra"),
            "E-LOOP-ESCAPE /nodes/5",
            &["`e2` is repeated by the loop `f1`", "uses `e8`"],
        ),
        (
            "into another collect of the loop",
            graph("l1 f1 e1 c1 c2", "l1>f1 f1>e1 e1>c1 e1>c2 c1>c2"),
            "E-LOOP-ESCAPE /nodes/4",
            &["`c2`", "uses `c1`"],
        ),
        (
            "by reference",
            with(
                graph("l1 f1 e1 c1", "l1>f1 f1>e1 e1>c1"),
                "c1",
                "config",
                json!({"unique_key": "{{ nodes.e1.value }}", "unique": true}),
            ),
            "E-LOOP-ESCAPE /nodes/3",
            &["the configuration of `c1` uses `e1`", "`f1`"],
        ),
        (
            "from deeper than the collect",
            with(inner, "c1", "config", json!({"flatten": "$nodes.f2.is_last"})),
            "E-LOOP-ESCAPE /nodes/5",
            &["the configuration of `c1` uses `f2`"],
        ),
        (
            "the outer item with two inner loops",
            graph("l1 f1 f2 f3 e9", "l1>f1 f1>f2 f1>f3 f2>e9 f3>e9.extra"),
            "E-LOOP-ESCAPE /nodes/4",
            &["`f2`", "`f3`"],
        ),
        (
            "item outside",
            with(graph("n1 e1", "n1>e1"), "e1", "config", json!({"text": "{{ item.a }}"})),
            "E-REFERENCE /nodes/1/config/text",
            &["`item`", "`e1`"],
        ),
        (
            "total for the loop itself",
            with(graph("l1 f1", "l1>f1"), "f1", "config", json!({"max_items": "{{ total }}"})),
            "E-REFERENCE /nodes/1/config/max_items",
            &["`total`"],
        ),
        (
            "index for a collect",
            with(graph("l1 f1 c1", "l1>f1 f1>c1"), "c1", "config", json!({"flatten": "{{ index > 0 }}"})),
            "E-REFERENCE /nodes/2/config/flatten",
            &["`index`"],
        ),
        (
            "unique_key alone",
            with(graph("l1 f1 c1", "l1>f1 f1>c1"), "c1", "config", json!({"unique_key": "a"})),
            "E-CONFIG /nodes/2/config/unique",
            &[],
        ),
        (
            "unique_key",
            with(graph("l1 f1 c1", "l1>f1 f1>c1"), "c1", "config", json!({"unique_key": "a[*]", "unique": true})),
            "E-CONFIG /nodes/2/config/unique_key",
            &[],
        ),
    ];
    for (name, definition, place, parts) in cases {
        let compiled = compiled(&definition);
        let found: Vec<String> =
            compiled.errors.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
        assert_eq!(found, [place], "{name}: {:?}", compiled.errors);
        for part in parts {
            assert!(compiled.errors[0].message.contains(part), "{name}: {part}: {}", compiled.errors[0].message);
        }
    }
}

/// Two loops side by side, each of which waits for the other's result.
#[test]
fn loops_cannot_wait_for_each_other() {
    let definition =
        graph("l1 f1 e1 c1 f2 e2 c2 e3 e4", "l1>f1 l1>f2 f1>e1 e1>c1 f2>e2 e2>c2 f1>e3 c2>e3.extra f2>e4 c1>e4.extra");
    let compiled = compiled(&definition);
    let found: Vec<&str> = compiled.errors.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(found, ["/nodes/7", "/nodes/8"], "{:?}", compiled.errors);
}

#[test]
fn loops_nest_four_deep() {
    let chain = |depth: usize| {
        let nodes: Vec<String> = (1..=depth).map(|at| format!("f{at}")).collect();
        let edges: Vec<String> = (2..=depth).map(|at| format!("f{}>f{at}", at - 1)).collect();
        graph(&format!("l1 {}", nodes.join(" ")), &format!("l1>f1 {}", edges.join(" ")))
    };
    for (depth, expected) in [(4, vec![]), (5, vec!["E-LOOP-NESTING /nodes/5"]), (7, vec!["E-LOOP-NESTING /nodes/5"])] {
        let found = compiled(&chain(depth)).errors;
        let found: Vec<String> = found.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
        assert_eq!(found, expected, "{depth}");
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

#[test]
fn branches_join_inside_of_loops_only() {
    let join = |edges: &str| graph("l1 f1 k1 e1 e2 c1 c2 e9", &format!("l1>f1 f1>k1 k1.true>e1 k1.false>e2 {edges}"));
    let errors = |definition: &Value| -> Vec<String> {
        compiled(definition).errors.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect()
    };
    assert_eq!(errors(&join("e1>e9 e2>e9 e9>c1 e9>c2")), [""; 0]);
    // A collect delivers whatever branches its items took.
    assert_eq!(errors(&join("e1>c1 e2>c2 c1>e9 c2>e9")), ["E-PORT-CONFLICT /nodes/7"]);
    // A loop on a branch is run or not.
    let branches = "n1>k1 k1.true>f1 k1.false>f2 f1>c1 f2>c2 c1>e9 c2>e9";
    assert_eq!(errors(&graph("n1 k1 f1 f2 c1 c2 e9", branches)), [""; 0]);
}

#[test]
fn what_outputs_read_is_kept_per_item() {
    let edges = "l1>f1 f1>e1 e1>f2 f2>e2 e2>c2 c2>c1 e1>e3";
    let base = graph("l1 f1 e1 f2 e2 c2 c1 e3", edges);
    let outputs = |sources: &[&str]| {
        let mut definition = base.clone();
        let list = sources.iter().map(|source| json!({"name": source.replace(['$', '.', '*'], "_"), "source": source}));
        definition["outputs"] = Value::Array(list.collect());
        definition
    };
    let cases: Vec<(&str, Value, [&str; 3])> = vec![
        // `count` and `results` are well known, and `e3` is terminal.
        ("automatic", base.clone(), ["c2 c1 e3", "c2 e3", ""]),
        ("the inner body", outputs(&["$nodes.e2.value"]), ["e2", "e2", "e2"]),
        ("the outer body and the result", outputs(&["$nodes.e1.value", "$nodes.c1.results"]), ["e1 c1", "e1", ""]),
        ("an item", outputs(&["$nodes.f2.item"]), ["f2", "f2", "f2"]),
        ("all of a node, by alias", outputs(&["$nodes.f1.current", "$nodes.e3.*"]), ["f1 e3", "f1 e3", ""]),
        ("nothing of the loops", outputs(&["$nodes.c1.count"]), ["c1", "", ""]),
    ];
    for (name, definition, expected) in cases {
        let compiled = compiled(&definition);
        assert_eq!(compiled.errors, [], "{name}");
        let plan = compiled.plan.expect("a plan");
        let found: Vec<String> = plan.scopes.iter().map(|scope| names(&plan, &scope.exports)).collect();
        assert_eq!(found, expected, "{name}");
    }
    let mut definition = base;
    definition["outputs"] = json!([{"name": "o", "source": "{{ item }}"}, {"name": "p", "source": "$item"}]);
    let found: Vec<String> =
        compiled(&definition).errors.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
    assert_eq!(found, ["E-REFERENCE /outputs/0/source", "E-REFERENCE /outputs/1/source"]);
}

#[test]
fn cases_are_outputs() {
    let node = |cases: Value| {
        let mut config = Map::new();
        config.insert("cases".to_owned(), cases);
        json!({"nodes": [
            {"id": "s", "type": "switch", "inputs": {"value": 1}, "config": config},
            {"id": "a", "type": "echo"}, {"id": "b", "type": "echo"}, {"id": "d", "type": "echo"}, {"id": "j", "type": "echo"}]})
    };
    let wired = |cases: Value, edges: &str| {
        let mut definition = node(cases);
        let edges = edges.split_whitespace().map(|edge| {
            let (source, target) = edge.split_once('>').expect("source>target");
            let (source, output) = source.split_once('.').unwrap_or((source, "value"));
            json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": "value"})
        });
        definition["edges"] = Value::Array(edges.collect());
        definition
    };
    let two = || json!([{"name": "low", "value": 1}, {"name": "high", "value": "$params.limit"}]);
    let limited = |mut definition: Value| {
        definition["parameters"] = json!([{"name": "limit", "type": "number"}]);
        definition
    };
    let fed = "s.low>a s.high>b s.default>d";
    let many: Vec<Value> = (0..64).map(|at| json!({"name": format!("c{at}")})).collect();
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("all meet", limited(wired(two(), &format!("{fed} a>j b>j d>j"))), vec![]),
        ("two cases meet, then the default", limited(wired(two(), "s.low>a s.high>a s.else>b a>d b>d d>j")), vec![]),
        ("a case and itself", limited(wired(two(), &format!("{fed} s.low>j a>j"))), vec!["E-PORT-CONFLICT /nodes/4"]),
        (
            "two cases met and one of them",
            limited(wired(two(), "s.low>a s.high>a s.high>b s.default>d a>j b>j")),
            vec!["E-PORT-CONFLICT /nodes/4"],
        ),
        (
            "unknown case",
            limited(wired(two(), "s.lwo>a s.high>b s.default>d d>j")),
            vec!["E-PORT-UNKNOWN /edges/0/sourceHandle", "E-PORT-REQUIRED /nodes/1"],
        ),
        (
            "a name twice",
            wired(json!([{"name": "low"}, {"name": "low"}]), "s.low>a s.low>b s.low>d s.low>j"),
            vec!["E-CONFIG /nodes/0/config/cases/1/name"],
        ),
        (
            "not a name",
            wired(json!([{"name": "low"}, {"name": "a-b"}]), "s.low>a s.low>b s.low>d s.low>j"),
            vec!["E-CONFIG /nodes/0/config/cases/1/name"],
        ),
        (
            "the default's name",
            wired(json!([{"name": "low"}, {"name": "else"}]), "s.low>a s.low>b s.low>d s.low>j"),
            vec!["E-CONFIG /nodes/0/config/cases/1/name"],
        ),
        (
            "a template as a name",
            wired(json!([{"name": "low"}, {"name": "$inputs.name"}]), "s.low>a s.low>b s.low>d s.low>j"),
            vec!["E-CONFIG /nodes/0/config/cases/1/name"],
        ),
        (
            "templates as all",
            wired(json!("$inputs.cases"), "s.default>a s.default>b s.default>d s.default>j"),
            vec!["E-CONFIG /nodes/0/config/cases"],
        ),
        (
            "no name",
            wired(json!([{"value": 1}]), "s.default>a s.default>b s.default>d s.default>j"),
            vec!["E-CONFIG /nodes/0/config/cases/0"],
        ),
        (
            "too many",
            wired(json!(many), "s.c0>a s.c63>b s.default>d s.default>j"),
            vec!["E-LIMIT /nodes/0/config/cases"],
        ),
    ];
    for (name, definition, expected) in cases {
        let found = compiled(&definition).errors;
        let short: Vec<String> = found.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
        assert_eq!(short, expected, "{name}: {found:?}");
    }
    let plan = compiled(&limited(wired(two(), &format!("{fed} a>j")))).plan.expect("a plan");
    let outputs: Vec<(&str, bool)> =
        plan.nodes[0].outputs().iter().map(|port| (port.name.as_str(), port.exclusive)).collect();
    assert_eq!(outputs, [("default", true), ("low", true), ("high", true)]);
}
