//! Where images come from, how long they stay, and what never becomes one.

use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_engine::{End, RunOutcome};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_types::Digest;

use crate::script::Stage;

async fn stored(stage: &Stage) -> Digest {
    let pixels = Pixels::filled(5, 3, PixelFormat::Rgb8, &[9, 8, 7]).unwrap();
    let bytes: Bytes = encode(&Image::from_pixels(pixels), EncodeFormat::Png).unwrap();
    stage.blobs.put(bytes).await.unwrap()
}

fn code(outcome: &RunOutcome) -> (&str, &str) {
    match &outcome.end {
        End::Failed(error) => (&error.code, error.node_id.as_deref().unwrap_or_default()),
        End::Completed => ("completed", ""),
        End::Stopped => ("stopped", ""),
    }
}

/// `draw_boxes` fed by `image`, which is an entry of `inputs`; the run's parameters are a text, an image and a number.
fn fed(image: &Value) -> Value {
    let set = |id: &str, name: &str| json!({"id": id, "type": "parameter_input", "config": {"parameter_name": name}});
    json!({
        "nodes": [set("text", "text"), set("image", "image"),
                  {"id": "use", "type": "draw_boxes", "inputs": {"image": image, "detections": []}}],
        "parameters": [{"name": "text", "type": "string"}, {"name": "image", "type": "image"}, {"name": "number", "type": "integer"}],
    })
}

#[tokio::test]
async fn no_text_becomes_an_image() {
    let stage = Stage::new();
    let digest = stored(&stage).await;
    // What feeds the port; how it ends.
    let cases = [
        // A literal of the definition, in both forms.
        (json!(digest), ("completed", "")),
        (json!({"$image": {"digest": digest}}), ("completed", "")),
        // A parameter that is an image is checked when the run is accepted.
        (json!("$nodes.image.value"), ("completed", "")),
        (json!("$params.image"), ("completed", "")),
        // A text is a text.
        (json!("$nodes.text.value"), ("E-BAD-INPUT", "use")),
        (json!("$params.text"), ("E-BAD-INPUT", "use")),
        (json!("$inputs.x"), ("E-BAD-INPUT", "use")),
        (json!("{{ params.text }}"), ("E-BAD-INPUT", "use")),
        (json!("{{ {'$image': {'digest': params.text}} }}"), ("E-EXPRESSION", "use")),
        (json!("{{ {'$image': params.text} }}"), ("E-EXPRESSION", "use")),
        (json!("$params.number"), ("E-BAD-INPUT", "use")),
    ];
    for (image, expected) in cases {
        let parameters = json!({"text": digest, "image": digest, "number": 7});
        let outcome = stage.run(fed(&image), json!({"x": digest}), parameters).await;
        assert_eq!(code(&outcome), expected, "{image}: {:?}", outcome.end);
    }
    // Text inside of a reference does not become one either: that is said when the definition is saved.
    for image in
        [json!({"$image": {"digest": "{{ params.text }}"}}), json!({"$image": "$params.text"}), json!({"$image": 0})]
    {
        let compiled = crate::script::compiled(&fed(&image));
        let found: Vec<_> =
            compiled.errors.iter().map(|problem| (problem.code.as_str(), problem.pointer.as_str())).collect();
        assert!(found.contains(&("E-REFERENCE", "/nodes/2/inputs/image")), "{image}: {found:?}");
    }
}

#[tokio::test]
async fn an_image_lives_until_its_last_reader_has_run() {
    let mut nodes = vec![json!({"id": "p0", "type": "paint"})];
    let mut edges = Vec::new();
    for at in 1..8 {
        nodes.push(json!({"id": format!("p{at}"), "type": "paint"}));
        edges.push(json!({"source": format!("p{}", at - 1), "sourceHandle": "image", "target": format!("p{at}"), "targetHandle": "image"}));
    }
    // An output of the run; images that are alive when the last node paints: the one that it reads, and those outputs.
    let cases = [("$nodes.p0.alive", 1), ("$nodes.p0.image", 2), ("$nodes.p0.*", 2), ("$nodes.p6.image", 1)];
    for (output, alive) in cases {
        let outputs = json!([{"name": "alive", "source": "$nodes.p7.alive"}, {"name": "other", "source": output}]);
        let definition = json!({"nodes": nodes, "edges": edges, "outputs": outputs});
        let outcome = Stage::new().run(definition, json!({}), json!({})).await;
        assert_eq!((code(&outcome).0, outcome.outputs["alive"].as_u64()), ("completed", Some(alive)), "{output}");
    }
    // Without outputs of its own a run shows the last node, and what only one node has.
    let outcome = Stage::new().run(json!({"nodes": nodes, "edges": edges}), json!({}), json!({})).await;
    assert_eq!(outcome.outputs["p7"]["image"]["$image"]["width"], 11);
}

#[tokio::test]
async fn a_run_that_waits_holds_no_stored_pixels() {
    let stage = Stage::new();
    let definition = json!({
        "nodes": [{"id": "p", "type": "paint"}, {"id": "find", "type": "detection", "config": {"model_id": "finder"}}, {"id": "draw", "type": "draw_boxes"}],
        "edges": [{"source": "p", "target": "find", "sourceHandle": "image"}, {"source": "p", "sourceHandle": "image", "target": "draw", "targetHandle": "image"},
                  {"source": "find", "sourceHandle": "detections", "target": "draw", "targetHandle": "detections"}],
        "outputs": [{"name": "drawn", "source": "$nodes.draw.image"}, {"name": "count", "source": "$nodes.draw.count"}],
    });
    let outcome = stage.run(definition, json!({}), json!({})).await;
    assert_eq!(code(&outcome).0, "completed", "{:?}", outcome.end);
    assert_eq!(*stage.jobs.alive.lock().unwrap(), [0]);
    // It was opened again, as it was: with its alpha.
    let digest: Digest = outcome.outputs["drawn"]["$image"]["digest"].as_str().unwrap().parse().unwrap();
    let bytes = stage.blobs.get(&digest).await.unwrap();
    assert!(sightflow_images::probe(&bytes).unwrap().has_alpha);
    assert_eq!(outcome.outputs["count"], 2);
}

#[tokio::test]
async fn a_handle_cannot_come_from_outside() {
    let stage = Stage::new();
    let digest = stored(&stage).await;
    let definition = fed(&json!({"$image": {"digest": digest}}));
    let plan = crate::script::plan(&definition);
    let given = |text: &str| serde_json::from_str::<Value>(text).unwrap().as_object().cloned().unwrap();
    for text in [r#"{"x": {"$image": 0}}"#, r#"{"x": [{"\u0024image": 0}]}"#, r#"{"x": {"$image": {"digest": "no"}}}"#]
    {
        let problems = sightflow_engine::validate_run(&plan, &given(text), &given("{}")).unwrap_err();
        assert_eq!((problems[0].code.as_str(), problems[0].pointer.as_str()), ("E-BAD-INPUT", "/input/x"), "{text}");
    }
    let parameters = given(r#"{"text": {"$image": 1}}"#);
    let problems = sightflow_engine::validate_run(&plan, &given("{}"), &parameters).unwrap_err();
    assert_eq!(problems[0].pointer, "/parameters/text");
    // What the definition names is known before the run.
    assert_eq!(plan.stored_images(), [("/nodes/2/inputs/image".to_owned(), digest)]);
}
