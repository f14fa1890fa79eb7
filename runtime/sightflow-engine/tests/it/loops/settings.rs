//! Configuration and spellings of `foreach` and `collect`.

use serde_json::{Value, json};

use super::{compiled, graph, with};

/// The loop's and the collect's configuration after compiling, or the first error's place.
fn settings(id: &str, config: &Value) -> Result<Value, String> {
    let compiled = compiled(&with(graph("l1 f1 c1", "l1>f1 f1>c1"), id, "config", config.clone()));
    match (compiled.plan, compiled.errors.first()) {
        (Some(plan), None) => Ok(Value::Object((*plan.nodes[plan.ids[id]].config.fixed).clone())),
        (_, error) => Err(error.map(|problem| format!("{} {}", problem.code, problem.pointer)).unwrap_or_default()),
    }
}

#[test]
fn settings_have_defaults_aliases_and_ranges() {
    let all = json!({"iteration_mode": "parallel", "max_concurrency": 16, "start_index": 0, "max_items": 0, "on_error": "fail"});
    for (config, expected) in [
        (json!({}), Ok(json!({}))),
        (json!({"parallel": false}), Ok(json!({"iteration_mode": "sequential"}))),
        (json!({"parallel": true, "max_concurrency": 256}), Ok(json!({"max_concurrency": 256}))),
        (json!({"iteration_mode": "batch"}), Ok(json!({}))),
        (json!({"max_iterations": 5, "start_index": 2}), Ok(json!({"max_items": 5, "start_index": 2}))),
        (json!({"on_error": "collect_errors"}), Ok(json!({"on_error": "skip"}))),
        (json!({"on_error": "continue"}), Ok(json!({"on_error": "skip"}))),
        (json!({"on_error": "stop"}), Ok(json!({}))),
        (json!({"batch_size": 8}), Ok(json!({}))),
        (json!({"max_concurrency": 0}), Err("E-CONFIG /nodes/1/config/max_concurrency")),
        (json!({"max_concurrency": 257}), Err("E-CONFIG /nodes/1/config/max_concurrency")),
        (json!({"start_index": -1}), Err("E-CONFIG /nodes/1/config/start_index")),
        (json!({"iteration_mode": "backwards"}), Err("E-CONFIG /nodes/1/config/iteration_mode")),
        (json!({"parallel": false, "iteration_mode": "parallel"}), Err("E-CONFIG /nodes/1/config/parallel")),
        (json!({"max_item": 3}), Err("E-CONFIG-KEY /nodes/1/config/max_item")),
    ] {
        let expected = expected.map_err(str::to_owned).map(|changed: Value| {
            let mut all = all.clone();
            changed.as_object().into_iter().flatten().for_each(|(key, value)| all[key] = value.clone());
            all
        });
        assert_eq!(settings("f1", &config), expected, "{config}");
    }
    let all = json!({"flatten": false, "filter_nulls": false, "unique": false});
    assert_eq!(settings("c1", &json!({})), Ok(all));
    let all = json!({"flatten": true, "filter_nulls": true, "unique": true, "unique_key": "a.b"});
    assert_eq!(settings("c1", &all), Ok(all.clone()));
}

#[test]
fn accepted_spellings_are_those_of_the_reference() {
    let definition = json!({
        "nodes": [{"id": "l", "type": "parameter_input"}, {"id": "f", "type": "for_each"}, {"id": "c", "type": "collect"}],
        "edges": [
            {"source": "l", "sourceHandle": "value", "target": "f", "targetHandle": "data"},
            {"source": "f", "sourceHandle": "current", "target": "c", "targetHandle": "item"}]});
    let compiled = compiled(&definition);
    assert_eq!(compiled.errors, []);
    let found: Vec<String> =
        compiled.warnings.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
    assert_eq!(found, ["W-ALIAS /nodes/1/type", "W-ALIAS /edges/0/targetHandle", "W-ALIAS /edges/1/sourceHandle"]);
}
