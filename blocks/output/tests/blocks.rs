//! The output blocks, called as the host calls them.

use serde_json::{Value, json};
use sightflow_block::testing::{Call, check, run_examples};
use sightflow_blocks_output::PACKAGE;

#[test]
fn examples_hold() {
    run_examples(PACKAGE);
}

#[test]
fn json_output_shapes_documents() {
    let data = json!({"detect": [{"id": 1, "x": {"y": 2}}, {"id": 2}], "image": {"$image": 0}, "n": null});
    for (config, expected) in [
        (json!({}), data.clone()),
        (
            json!({"flatten": true}),
            json!({"detect[0].id": 1, "detect[0].x.y": 2, "detect[1].id": 2, "image": {"$image": 0}, "n": null}),
        ),
        (json!({"fields": ["detect.id", "n"]}), json!({"detect": [{"id": 1}, {"id": 2}], "n": null})),
        (json!({"fields": ["detect[1].id"], "flatten": true}), json!({"detect[0].id": 2})),
        (json!({"fields": ["nowhere"]}), json!({})),
        (json!({"fields": ["nowhere"], "flatten": true}), json!({})),
        (
            json!({"include_metadata": true, "fields": ["n"]}),
            json!({"data": {"n": null}, "metadata": {"workflow_id": null, "execution_id": null, "version": null}}),
        ),
    ] {
        let answer =
            Call::new(PACKAGE, "json_output").config(config.clone()).input("data", data.clone()).run().unwrap();
        assert_eq!(*answer.value("json"), expected, "{config}");
    }
    for (data, expected) in
        [(json!([]), json!([])), (json!([1, {"id": 2, "x": 3}]), json!([{"id": 2}])), (json!("x"), json!({}))]
    {
        let call = Call::new(PACKAGE, "json_output").config(json!({"fields": ["id"]})).input("data", data.clone());
        assert_eq!(*call.run().unwrap().value("json"), expected, "{data}");
    }
}

#[test]
fn metadata_comes_from_the_context() {
    let entry = &PACKAGE[0];
    let context = json!({"workflow_id": "wf_1", "execution_id": "exe_1", "version": 3});
    let config = json!({"include_metadata": true, "$context": context}).to_string();
    let outputs: Value = serde_json::from_str(&(entry.run)(&config, r#"{"data": [1]}"#).unwrap()).unwrap();
    assert_eq!(outputs["json"], json!({"data": [1], "metadata": context}));
    let schema = (entry.manifest)().config;
    assert_eq!((&schema["x-context"], &schema["x-record-ports"]), (&json!(true), &json!(["data"])));
}

#[test]
fn problems_at_save() {
    for (config, expected) in [
        (json!({"fields": ["a", "b[*]", "c..d"]}), vec!["/config/fields/1", "/config/fields/2"]),
        (json!({"fields": ["a.b[0]", "[\"odd key\"]"]}), vec![]),
    ] {
        let found = check(PACKAGE, "json_output", &config, &["data"]);
        let found: Vec<&str> = found.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(found, expected, "{config}");
    }
}
