//! What the outputs of a run read.

use serde_json::{Value, json};

use super::{compiled, errors, graph, names};

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
    assert_eq!(errors(&definition), ["E-REFERENCE /outputs/0/source", "E-REFERENCE /outputs/1/source"]);
}
