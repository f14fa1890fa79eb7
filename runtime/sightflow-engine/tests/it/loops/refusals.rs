//! What is no loop.

use serde_json::{Value, json};

use super::{compiled, errors, graph, with};

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
        assert_eq!(errors(&definition), [place], "{name}");
        let message = &compiled(&definition).errors[0].message;
        for part in parts {
            assert!(message.contains(part), "{name}: {part}: {message}");
        }
    }
}

/// Two loops side by side, each of which waits for the other's result.
#[test]
fn loops_cannot_wait_for_each_other() {
    let definition =
        graph("l1 f1 e1 c1 f2 e2 c2 e3 e4", "l1>f1 l1>f2 f1>e1 e1>c1 f2>e2 e2>c2 f1>e3 c2>e3.extra f2>e4 c1>e4.extra");
    assert_eq!(errors(&definition), ["E-LOOP-ESCAPE /nodes/7", "E-LOOP-ESCAPE /nodes/8"]);
}

#[test]
fn loops_nest_four_deep() {
    let chain = |depth: usize| {
        let nodes: Vec<String> = (1..=depth).map(|at| format!("f{at}")).collect();
        let edges: Vec<String> = (2..=depth).map(|at| format!("f{}>f{at}", at - 1)).collect();
        graph(&format!("l1 {}", nodes.join(" ")), &format!("l1>f1 {}", edges.join(" ")))
    };
    for (depth, expected) in [(4, vec![]), (5, vec!["E-LOOP-NESTING /nodes/5"]), (7, vec!["E-LOOP-NESTING /nodes/5"])] {
        assert_eq!(errors(&chain(depth)), expected, "{depth}");
    }
}

#[test]
fn branches_join_inside_of_loops_only() {
    let join = |edges: &str| graph("l1 f1 k1 e1 e2 c1 c2 e9", &format!("l1>f1 f1>k1 k1.true>e1 k1.false>e2 {edges}"));
    assert_eq!(errors(&join("e1>e9 e2>e9 e9>c1 e9>c2")), [""; 0]);
    // A collect delivers whatever branches its items took.
    assert_eq!(errors(&join("e1>c1 e2>c2 c1>e9 c2>e9")), ["E-PORT-CONFLICT /nodes/7"]);
    // A loop on a branch is run or not.
    let branches = "n1>k1 k1.true>f1 k1.false>f2 f1>c1 f2>c2 c1>e9 c2>e9";
    assert_eq!(errors(&graph("n1 k1 f1 f2 c1 c2 e9", branches)), [""; 0]);
}
