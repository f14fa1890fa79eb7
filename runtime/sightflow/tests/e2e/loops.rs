//! Loops with real components and models, and what a killed process leaves of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Client, photo};
use crate::server::Server;

fn wire(source: &str, target: &str) -> Value {
    let (source, output) = source.split_once('.').unwrap();
    let (target, input) = target.split_once('.').unwrap();
    json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": input})
}

fn detector(id: &str) -> Value {
    json!({"id": id, "type": "detection", "config": {"model_id": "nanodet-416", "confidence": 0.25}})
}

/// Everything that is found is cut out and named: one by one in a loop, and beside it all together. Only what is found with
/// enough confidence is named a second time: what is not has an empty list of names.
fn named_one_by_one() -> Value {
    let sorter = |id: &str| json!({"id": id, "type": "classification", "config": {"model_id": "efficientnet-lite0", "top_k": 2}});
    let crop = |id: &str| json!({"id": id, "type": "crop", "config": {"padding": 5}});
    json!({
        "nodes": [
            {"id": "photo", "type": "image_input"}, detector("find"), crop("crops"), sorter("together"),
            {"id": "each", "type": "foreach"}, crop("cut"), sorter("name"), {"id": "names", "type": "collect"},
            {"id": "sure", "type": "condition", "config": {"field": "confidence", "operator": ">=", "value": 0.4}},
            crop("chosen"), sorter("again"), {"id": "sure_names", "type": "collect"}],
        "edges": [
            wire("photo.image", "find.image"), wire("photo.image", "crops.image"), wire("find.detections", "crops.detections"),
            wire("crops.crops", "together.images"), wire("find.detections", "each.items"), wire("photo.image", "cut.image"),
            wire("each.item", "cut.detection"), wire("cut.crop", "name.image"), wire("name.label", "names.item"),
            wire("each.item", "sure.value"), wire("photo.image", "chosen.image"),
            wire("sure.true_output", "chosen.detection"), wire("chosen.crops", "again.images"), wire("again.labels", "sure_names.item")],
        "outputs": [
            {"name": "found", "source": "$nodes.find.detections"}, {"name": "together", "source": "$nodes.together.labels"},
            {"name": "names", "source": "$nodes.names.results"}, {"name": "sure", "source": "$nodes.sure_names.results"},
            {"name": "cuts", "source": "$nodes.cut.crop"}],
    })
}

#[test]
fn the_example_names_each_detection() {
    let server = Server::start();
    let workflow = server.save_example("09-name-each-detection");
    let outputs = server.run(&workflow, &photo("coffee.png"))["outputs"].clone();
    let length = |name: &str| outputs[name].as_array().map_or(0, Vec::len);
    assert!(length("found") >= 2, "{outputs}");
    assert_eq!((length("names"), length("cuts"), length("errors")), (length("found"), length("found"), 0));
    assert!(outputs["names"].as_array().unwrap().iter().all(|name| name.as_str().is_some_and(|name| !name.is_empty())));
}

#[test]
fn what_is_found_is_named_item_by_item() {
    let server = Server::start();
    let workflow = server.save(&named_one_by_one());
    let execution = server.run(&workflow, &photo("coffee.png"));
    let outputs = &execution["outputs"];
    let list = |name: &str| outputs[name].as_array().unwrap().clone();
    let (found, names) = (list("found"), list("names"));
    assert!(found.len() >= 2, "{found:#?}");
    assert_eq!(names, list("together"), "one by one they have the names that they have together");
    let sure = found.iter().zip(&names).map(|(found, name)| {
        let is = found["confidence"].as_f64().unwrap() >= 0.4;
        Value::from_iter(Some(name.clone()).filter(|_| is))
    });
    let sure: Vec<Value> = sure.collect();
    assert_eq!(list("sure"), sure);
    assert!(sure.contains(&json!([])) && sure.iter().any(|names| *names != json!([])), "both branches: {sure:?}");
    let widths: Vec<u64> = list("cuts").iter().map(|cut| cut["$image"]["width"].as_u64().unwrap()).collect();
    for (found, width) in found.iter().zip(widths) {
        let side = |key: &str| found["bbox_abs"][key].as_f64().unwrap();
        let plain = side("x2") - side("x1");
        assert!(width as f64 >= plain.floor() && width as f64 <= plain * 1.1 + 3.0, "{width} of {plain}");
    }
    let jobs = server.jobs(execution["id"].as_str().unwrap());
    let mut paths: Vec<&str> =
        jobs.iter().filter(|job| job["node_id"] == "name").map(|job| job["item"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, (0..found.len()).map(|index| index.to_string()).collect::<Vec<_>>());
    let items = &execution["node_metrics"]["name"]["items"];
    assert_eq!(
        (items["total"].as_u64(), items["completed"].as_u64()),
        (Some(found.len() as u64), Some(found.len() as u64))
    );
}

/// A list of lists of confidences; for each, what is found in the photograph with it is counted.
fn counted() -> Value {
    json!({
        "nodes": [
            {"id": "photo", "type": "image_input"}, {"id": "rows", "type": "foreach", "inputs": {"items": "$inputs.rows"}},
            {"id": "cells", "type": "foreach", "inputs": {"items": "$nodes.rows.item"}},
            {"id": "find", "type": "detection", "config": {"model_id": "nanodet-416", "confidence": "$nodes.cells.item"}},
            {"id": "row", "type": "collect"}, {"id": "table", "type": "collect"}],
        "edges": [wire("photo.image", "find.image"), wire("find.count", "row.item"), wire("row.results", "table.item")],
        "outputs": [{"name": "table", "source": "$nodes.table.results"}],
    })
}

fn start(server: &Client, workflow: &str, input: &Value) -> String {
    let (status, accepted) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &json!({"input": input}));
    assert_eq!(status, 202, "{accepted:#}");
    accepted["execution_id"].as_str().unwrap().to_owned()
}

/// Asks again and again until it is true.
fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if reached() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    panic!("it did not come to that in two minutes");
}

/// Those jobs of an execution that have ended: when, and at which attempt.
fn ended(server: &Client, execution: &str) -> BTreeMap<String, (Value, Value)> {
    let jobs = server.jobs(execution).into_iter().filter(|job| job["status"] == "completed");
    jobs.map(|job| (job["id"].as_str().unwrap().to_owned(), (job["completed_at"].clone(), job["attempt"].clone())))
        .collect()
}

/// It ended once, and nothing that had ended ran again.
fn ended_once(server: &Client, execution: &str, jobs: u64, before: &BTreeMap<String, (Value, Value)>) -> Value {
    let found = server.finished(execution);
    assert_eq!(found["status"], "completed", "{found:#}");
    assert_eq!(found["inference_jobs"], json!({"pending": 0, "completed": jobs, "failed": 0, "cancelled": 0}));
    let after = ended(server, execution);
    for (job, report) in before {
        assert_eq!(after.get(job), Some(report), "{job} of {execution}");
    }
    let events = server.events(execution);
    let sequence: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=events.len() as u64).collect::<Vec<_>>(), "dense and in order");
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count() as u64;
    assert_eq!((count("job.completed"), count("execution.completed")), (jobs, 1));
    found["outputs"].clone()
}

#[test]
fn a_nested_loop_survives_kill_9() {
    let mut server = Server::start_with(&["--workers", "1"]);
    let workflow = server.save(&counted());
    let image = server.upload(&photo("astronaut.png"));
    let rows = json!([[0.1, 0.2, 0.3], [], [0.4, 0.15, 0.25, 0.35], [0.5, 0.6, 0.7, 0.8, 0.05]]);
    let input = json!({"image": image, "rows": rows});
    let undisturbed = server.finished(&start(&server, &workflow, &input))["outputs"].clone();
    let id = start(&server, &workflow, &input);
    let completed = |server: &Server| {
        server.get(&format!("/api/v1/executions/{id}")).1["inference_jobs"]["completed"].as_u64().unwrap()
    };
    until(|| completed(&server) >= 2);
    let before = ended(&server, &id);
    server.kill_and_restart();
    assert!((2..12).contains(&before.len()), "{} of 12 jobs had ended", before.len());
    let outputs = ended_once(&server, &id, 12, &before);
    assert_eq!(outputs, undisturbed);
    let lengths: Vec<usize> =
        outputs["table"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().len()).collect();
    assert_eq!(lengths, [3, 0, 4, 5]);
}

/// `SIGHTFLOW_PARKED=1000` parks more of them.
#[test]
fn runs_that_only_wait_survive_kill_9() {
    let count: usize = std::env::var("SIGHTFLOW_PARKED").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    // Nobody works: all of them come to wait.
    let mut server = Server::start_with(&["--workers", "0"]);
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let accepted: Vec<String> = (0..count).map(|_| server.start(&workflow, &digest)).collect();
    let state = |server: &Server, id: &str| server.get(&format!("/api/v1/executions/{id}")).1["inference_jobs"].clone();
    until(|| accepted.iter().all(|id| state(&server, id)["pending"] == 1));
    // Those that wait keep nobody waiting.
    let logic = server.save(&crate::client::logic());
    let (status, answer) = server.post(&format!("/api/v1/workflows/{logic}/run"), &{
        let mut run = crate::client::logic_run();
        run["mode"] = json!("sync");
        run
    });
    assert_eq!((status, answer["status"].as_str()), (200, Some("completed")), "{answer:#}");
    server.kill_and_restart_with(&["--workers", "2"]);
    // Again in the middle of the work.
    until(|| accepted.iter().filter(|id| state(&server, id)["completed"] == 1).count() >= 5);
    let before: Vec<_> = accepted.iter().map(|id| ended(&server, id)).collect();
    server.kill_and_restart();
    assert!(before.iter().any(BTreeMap::is_empty), "all had ended before the process was killed");
    let outputs: Vec<Value> =
        accepted.iter().zip(&before).map(|(id, before)| ended_once(&server, id, 1, before)).collect();
    assert!(!outputs[0]["detections"].as_array().unwrap().is_empty());
    let same = |output: &Value| output["detections"] == outputs[0]["detections"];
    assert!(outputs.iter().all(same), "the same photograph, the same answer");
    let (_, found) = server.get(&format!("/api/v1/workflows/{workflow}"));
    assert_eq!(found["run_count"], count, "each ended once");
}
