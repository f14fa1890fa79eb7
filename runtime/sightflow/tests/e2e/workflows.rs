//! The eight example workflows on real photographs, asserted on content.

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::client::{example, photo};
use crate::scenes::{SCENES, iou, read_box};
use crate::server::Server;

#[test]
fn detect_finds_what_a_person_sees() {
    let server = Server::start();
    let workflow = server.save_example("01-detect");
    for scene in SCENES {
        let execution = server.run(&workflow, &photo(scene.photo));
        let found = execution["outputs"]["detections"].as_array().unwrap();
        assert_eq!(found.len(), scene.objects.len(), "{}: {found:#?}", scene.photo);
        for (name, marked) in scene.objects {
            let best = found
                .iter()
                .filter(|f| f["class_name"] == *name)
                .map(|f| iou(read_box(f, "bbox_abs"), *marked))
                .fold(0.0, f64::max);
            assert!(best > 0.5, "{}: {name} overlaps its marked box by {best}", scene.photo);
        }
    }
}

#[test]
fn draw_paints_outlines_and_labels_and_nothing_else() {
    let server = Server::start();
    let mut definition = example("02-detect-and-draw")["definition"].clone();
    // The older name of the key must keep working.
    let config = definition["nodes"][2]["config"].as_object_mut().unwrap();
    let width = config.remove("line_width").unwrap();
    config.insert("box_thickness".into(), width);
    let execution = server.run(&server.save(&definition), &photo("astronaut.png"));
    let found = execution["outputs"]["detections"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{found:#?}");
    let (status, png) =
        server.bytes(&format!("/api/v1/executions/{}/outputs/annotated_image", execution["id"].as_str().unwrap()));
    assert_eq!(status, 200);
    let (before, after) = (rgb(&photo("astronaut.png")), rgb(&png));
    assert_eq!(before.dimensions(), after.dimensions());

    // Corners are truncated, clamped and painted; width 2 paints one pixel on each side of the line.
    let [x1, y1, x2, y2] = read_box(&found[0], "bbox_abs").map(|side| side.trunc().clamp(0.0, 511.0) as i64);
    let on_outline = |x: i64, y: i64| {
        let inside = |grow: i64| x >= x1 - grow && x <= x2 + grow && y >= y1 - grow && y <= y2 + grow;
        inside(1) && !inside(-2)
    };
    // A label stands on the top edge or, without room there, hangs from it.
    let in_label_zone = |x: i64, y: i64| (y - y1).abs() <= 30 && x >= x1 - 1 && x <= x1 + 140;
    let person = Rgb([0xFF, 0x3B, 0x30]);
    let mut label_pixels = 0;
    for (x, y, pixel) in after.enumerate_pixels() {
        let (column, row) = (i64::from(x), i64::from(y));
        if in_label_zone(column, row) {
            label_pixels += usize::from(pixel != before.get_pixel(x, y));
        } else if on_outline(column, row) {
            assert_eq!(*pixel, person, "outline at {x},{y}");
        } else {
            assert_eq!(pixel, before.get_pixel(x, y), "{x},{y} lies outside outline and label");
        }
    }
    assert!(label_pixels > 500, "the label is drawn: {label_pixels}");
}

fn rgb(encoded: &[u8]) -> RgbImage {
    image::load_from_memory(encoded).unwrap().to_rgb8()
}

fn as_jpeg(encoded: &[u8]) -> Vec<u8> {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    rgb(encoded).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    jpeg.into_inner()
}

#[test]
fn embeddings_are_unit_vectors_that_know_their_scene() {
    let server = Server::start();
    let workflow = server.save_example("03-embed");
    let embed = |bytes: &[u8]| -> Vec<f64> {
        let execution = server.run(&workflow, bytes);
        let vector = &execution["outputs"]["embed"]["embedding"];
        vector.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (original, again, other) =
        (embed(&photo("chelsea.png")), embed(&as_jpeg(&photo("chelsea.png"))), embed(&photo("coffee.png")));
    assert_eq!(original.len(), 1280);
    for vector in [&original, &again, &other] {
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-4, "length² {}", cosine(vector, vector));
    }
    assert!(cosine(&original, &again) >= 0.95, "{}", cosine(&original, &again));
    assert!(cosine(&original, &other) < cosine(&original, &again) - 0.2, "{}", cosine(&original, &other));
}

#[test]
fn three_detectors_overlap_in_time_and_agree_with_themselves_alone() {
    let server = Server::start();
    // The first run loads the model; the second shows the overlap of a warm fleet.
    server.run_example("04-three-detectors", "coffee.png");
    let execution = server.run_example("04-three-detectors", "coffee.png");
    let jobs = server.jobs(execution["id"].as_str().unwrap());
    assert_eq!(jobs.len(), 3, "{jobs:#?}");
    let time = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
    let overlaps = |a: &Value, b: &Value| {
        time(a, "started_at") < time(b, "completed_at") && time(b, "started_at") < time(a, "completed_at")
    };
    let pairs = [(0, 1), (0, 2), (1, 2)].iter().filter(|(a, b)| overlaps(&jobs[*a], &jobs[*b])).count();
    assert!(pairs >= 1, "none of the three overlaps another: {jobs:#?}");

    let together = &execution["outputs"];
    for (node, threshold, expected) in
        [("strict", 0.6, &[][..]), ("usual", 0.4, &["dining table"]), ("generous", 0.25, &["dining table", "cup"])]
    {
        let found = together[node]["detections"].as_array().unwrap();
        assert!(found.iter().all(|f| f["confidence"].as_f64().unwrap() >= threshold), "{node}: {found:#?}");
        assert!(expected.iter().all(|name| found.iter().any(|f| f["class_name"] == *name)), "{node}: {found:#?}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{node}: {found:#?}");
    }
    let definition = &example("04-three-detectors")["definition"];
    for node in definition["nodes"].as_array().unwrap().iter().skip(1) {
        let id = node["id"].as_str().unwrap();
        let mut alone = definition.clone();
        alone["nodes"].as_array_mut().unwrap().retain(|other| other["id"] == "photo" || other["id"] == id);
        alone["edges"].as_array_mut().unwrap().retain(|edge| edge["target"] == id);
        let execution = server.run(&server.save(&alone), &photo("coffee.png"));
        assert_eq!(execution["outputs"][id]["detections"], together[id]["detections"], "{id}");
    }
}

#[test]
fn what_is_queued_for_one_model_runs_as_a_batch() {
    let server = Server::start_with(&["--workers", "1"]);
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let executions: Vec<String> = (0..8).map(|_| server.start(&workflow, &digest)).collect();
    let sizes: Vec<u64> = executions
        .iter()
        .map(|id| {
            assert_eq!(server.finished(id)["outputs"]["detect"]["labels"], json!(["dining table"]));
            server.jobs(id)[0]["batch_size"].as_u64().unwrap()
        })
        .collect();
    assert!(sizes.iter().any(|size| *size > 1), "the only worker loaded its model while seven waited: {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 4), "{sizes:?}");
}

#[test]
fn classify_names_the_scene() {
    let server = Server::start();
    let workflow = server.save_example("05-classify");
    for (name, expected) in [("chelsea.png", "tiger cat"), ("coffee.png", "espresso")] {
        let execution = server.run(&workflow, &photo(name));
        let top = &execution["outputs"]["classify"]["top_prediction"]["top_k"];
        let names: Vec<_> = top.as_array().unwrap().iter().map(|p| p["class_name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 5);
        assert!(names.contains(&expected), "{name}: {names:?}");
    }
}

#[test]
fn crops_are_classified_one_by_one_and_a_decision_sees_every_class() {
    let server = Server::start();
    let node = |id: &str, config: Value| {
        let mut config = config;
        config["model_id"] = json!(if id == "detect" { "nanodet-416" } else { "efficientnet-lite0" });
        json!({"id": id, "type": if id == "detect" { "detection" } else { "classification" }, "config": config})
    };
    let edge = |from: &str, output: &str, to: &str, input: &str| json!({"source": from, "sourceHandle": output, "target": to, "targetHandle": input});
    let definition = json!({
        "nodes": [
            {"id": "photo", "type": "image_input"}, {"id": "crop", "type": "crop", "config": {"padding": 5}},
            node("detect", json!({"confidence": 0.25})), node("each", json!({"top_k": 2})),
            node("coffee", json!({"decision_mode": "binary_decision", "target_class": "espresso", "top_k": 1})),
        ],
        "edges": [
            edge("photo", "image", "detect", "image"), edge("photo", "image", "crop", "image"), edge("detect", "detections", "crop", "detections"),
            edge("crop", "crops", "each", "images"), edge("photo", "image", "coffee", "image"),
        ],
        "outputs": [{"name": "labels", "source": "$nodes.each.labels"}, {"name": "coffee", "source": "$nodes.coffee.decision"},
                    {"name": "count", "source": "$nodes.detect.count"}],
    });
    let workflow = server.save(&definition);
    for (name, coffee) in [("coffee.png", true), ("chelsea.png", false)] {
        let execution = server.run(&workflow, &photo(name));
        let outputs = &execution["outputs"];
        assert_eq!(outputs["coffee"], json!(coffee), "{name}: the target is far from the best class of the cat");
        let labels = outputs["labels"].as_array().unwrap();
        assert_eq!(json!(labels.len()), outputs["count"], "{name}: one classification a crop");
        assert!(!labels.is_empty(), "{name}");
        let jobs = server.jobs(execution["id"].as_str().unwrap());
        assert_eq!(jobs.len(), labels.len() + 2, "{name}");
    }
}

#[test]
fn filter_divides_detections_by_the_rule() {
    let server = Server::start();
    let workflow = server.save_example("06-filter-by-confidence");
    let execution = server.run(&workflow, &photo("astronaut.png"));
    let list = |name: &str| execution["outputs"][name].as_array().unwrap().clone();
    let (all, passed, rejected) = (list("all"), list("passed"), list("rejected"));
    let confidence = |found: &Value| found["confidence"].as_f64().unwrap();
    assert!(!passed.is_empty() && !rejected.is_empty(), "{all:#?}");
    assert_eq!(passed, all.iter().filter(|f| confidence(f) >= 0.7).cloned().collect::<Vec<_>>());
    assert_eq!(rejected, all.iter().filter(|f| confidence(f) < 0.7).cloned().collect::<Vec<_>>());
}

#[test]
fn detection_behind_resize_and_normalize_finds_the_same_boxes() {
    let server = Server::start();
    for scene in SCENES.iter().filter(|scene| !scene.objects.is_empty()) {
        let direct = server.run_example("01-detect", scene.photo);
        let behind = server.run_example("07-resize-normalize-detect", scene.photo);
        let (direct, behind) = (&direct["outputs"]["detections"][0], &behind["outputs"]["detections"][0]);
        assert_eq!(direct["class_name"], behind["class_name"], "{}", scene.photo);
        let overlap = iou(read_box(direct, "bbox"), read_box(behind, "bbox"));
        assert!(overlap > 0.9, "{}: {overlap}", scene.photo);
    }
}

#[test]
fn json_output_records_several_sources_and_passes_one_on() {
    let server = Server::start();
    let source = |node: &str, port: &str| json!({"source": node, "sourceHandle": port, "target": "report", "targetHandle": "data"});
    let definition = |edges: Value| {
        json!({"nodes": [{"id": "photo", "type": "image_input"}, {"id": "again", "type": "image_input"}, {"id": "report", "type": "json_output"}],
        "edges": edges, "outputs": [{"name": "report", "source": "$nodes.report.json"}]})
    };
    let run = |edges: Value| {
        let workflow = server.save(&definition(edges));
        let digest = server.upload(&photo("coffee.png"));
        let request = json!({"input": {"images": {"photo": digest, "again": digest}}, "mode": "sync"});
        let (status, execution) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &request);
        assert_eq!(status, 200, "{execution:#}");
        execution["outputs"]["report"].clone()
    };
    assert_eq!(run(json!([source("photo", "width")])), json!(600));
    assert_eq!(run(json!([source("photo", "width"), source("again", "height")])), json!({"photo": 600, "again": 400}));
}

#[test]
fn condition_takes_one_branch_and_skips_the_other() {
    let server = Server::start();
    let workflow = server.save_example("08-branch-on-detections");
    for (name, found, ran, skipped) in
        [("astronaut.png", true, "report", "nothing"), ("rocket.jpg", false, "nothing", "report")]
    {
        let execution = server.run(&workflow, &photo(name));
        let outputs = &execution["outputs"];
        assert_eq!(outputs["found"], json!(found), "{name}");
        assert_eq!(outputs[ran].as_array().unwrap().is_empty(), !found, "{name}: {outputs:#}");
        assert_eq!(outputs[skipped], Value::Null, "{name}");
        let metrics = &execution["node_metrics"];
        assert_eq!(metrics[ran]["status"], "completed");
        assert_eq!(metrics[skipped]["status"], "skipped");
        assert!(!metrics[skipped]["skip_reason"].as_str().unwrap().is_empty());
        let events = server.events(execution["id"].as_str().unwrap());
        assert!(events.iter().any(|event| event["node_id"] == skipped && event["reason"].is_string()), "{events:#?}");
    }
}

#[test]
fn switch_takes_the_first_case_that_is_true() {
    let server = Server::start();
    let case = |name: &str, operator: &str, value: u32| json!({"name": name, "field": "length", "operator": operator, "value": value});
    let join = |output: &str, target: &str| json!({"source": "crowd", "sourceHandle": output, "target": target, "targetHandle": "value"});
    let keep = |id: &str| json!({"id": id, "type": "condition", "config": {"operator": "exists"}});
    let definition = json!({
        "nodes": [
            {"id": "crowd", "type": "switch_case", "inputs": {"value": "$inputs.people"},
             "config": {"cases": [case("nobody", "==", 0), case("few", "<", 3)]}},
            keep("quiet"), keep("busy")],
        "edges": [join("nobody", "quiet"), join("few", "quiet"), join("default", "busy")],
        "outputs": [{"name": "quiet", "source": "$nodes.quiet.true_output"}, {"name": "busy", "source": "$nodes.busy.true_output"}],
    });
    let workflow = server.save(&definition);
    for (people, quiet) in [(json!([]), true), (json!(["a", "b"]), true), (json!(["a", "b", "c"]), false)] {
        let request = json!({"input": {"people": people}, "mode": "sync"});
        let (status, execution) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &request);
        assert_eq!(status, 200, "{execution:#}");
        let expected =
            if quiet { json!({"quiet": people, "busy": null}) } else { json!({"quiet": null, "busy": people}) };
        assert_eq!(execution["outputs"], expected);
    }
    let mut broken = definition;
    broken["nodes"][0]["config"]["cases"] = json!([case("few", "=<", 3), case("few", "<", 3), case("a-b", "<", 3)]);
    let (status, refusal) = server.post("/api/v1/workflows", &json!({"name": "broken", "definition": broken}));
    assert_eq!(status, 422, "{refusal:#}");
    let found =
        refusal["error"]["details"].as_array().unwrap().iter().map(|detail| detail["pointer"].as_str().unwrap());
    let expected = [
        "/nodes/0/config/cases/1/name",
        "/nodes/0/config/cases/2/name",
        "/edges/0/sourceHandle",
        "/nodes/0/config/cases/0/operator",
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected, "{refusal:#}");
}
