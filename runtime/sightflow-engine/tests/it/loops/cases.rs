//! Outputs that a configuration names.

use serde_json::{Map, Value, json};

use super::{compiled, errors};
use crate::script::Stage;

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
        assert_eq!(errors(&definition), expected, "{name}");
    }
    let plan = compiled(&limited(wired(two(), &format!("{fed} a>j")))).plan.expect("a plan");
    let outputs: Vec<(&str, bool)> =
        plan.nodes[0].outputs().iter().map(|port| (port.name.as_str(), port.exclusive)).collect();
    assert_eq!(outputs, [("default", true), ("low", true), ("high", true)]);
}

#[tokio::test]
async fn the_case_that_is_taken_runs_and_the_others_are_skipped() {
    let edges = [("s", "one", "a"), ("s", "two", "b"), ("s", "else", "d"), ("a", "value", "j"), ("b", "value", "j")];
    let edges: Vec<Value> = edges
        .iter()
        .map(|(source, output, target)| {
            json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": "value"})
        })
        .collect();
    let definition = json!({
        "nodes": [
            {"id": "s", "type": "switch", "inputs": {"value": "$inputs.number"},
             "config": {"cases": [{"name": "one", "value": 1}, {"name": "two", "value": "$inputs.two"}]}},
            {"id": "a", "type": "echo"}, {"id": "b", "type": "echo"}, {"id": "d", "type": "echo"}, {"id": "j", "type": "echo"}],
        "edges": edges,
        "outputs": [{"name": "joined", "source": "$nodes.j.value"}, {"name": "rest", "source": "$nodes.d.value"},
                    {"name": "switched", "source": "$nodes.s.*"}, {"name": "second", "source": "$nodes.s.two"}],
    });
    for (number, expected) in [
        (1, json!({"joined": 1, "rest": null, "switched": {"one": 1}, "second": null})),
        (2, json!({"joined": 2, "rest": null, "switched": {"two": 2}, "second": 2})),
        (3, json!({"joined": null, "rest": 3, "switched": {"default": 3}, "second": null})),
    ] {
        let outcome = Stage::new().run(definition.clone(), json!({"number": number, "two": 2}), json!({})).await;
        assert_eq!(outcome.outputs, expected, "{number}");
    }
}
