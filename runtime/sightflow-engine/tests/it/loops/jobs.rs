//! Inference jobs of loop bodies.

use serde_json::{Value, json};
use sightflow_engine::End;
use sightflow_store::Store;
use sightflow_types::{ExecutionStatus, JobStatus};

use super::runs::numbers;
use crate::script::Stage;
use crate::server::{Server, TENANT};

pub(crate) const PHOTO: &str = "https://example.com/a.png";

/// A photograph and a list; for each item, as many things are found as it says.
pub(crate) fn finding(foreach: Value, find: Value) -> Value {
    let mut find = find;
    find["id"] = json!("find");
    find["type"] = json!("detection");
    find["config"] = json!({"model_id": "finder", "confidence": "{{ nodes.f.item / 100 }}"});
    json!({
        "nodes": [{"id": "photo", "type": "image_input"}, find, {"id": "c", "type": "collect"},
                  {"id": "f", "type": "foreach", "config": foreach, "inputs": {"items": "$inputs.items"}}],
        "edges": [{"source": "photo", "sourceHandle": "image", "target": "find", "targetHandle": "image"},
                  {"source": "find", "sourceHandle": "count", "target": "c", "targetHandle": "item"}],
        "outputs": [{"name": "counts", "source": "$nodes.c.results"}, {"name": "errors", "source": "$nodes.c.errors"},
                    {"name": "width", "source": "$nodes.photo.width"}],
    })
}

/// The same with a loop in the loop: the input is a list of lists.
pub(crate) fn finding_in_lists() -> Value {
    let mut definition = finding(json!({}), json!({}));
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes[3]["inputs"] = json!({"items": "$nodes.g.item"});
    nodes.push(json!({"id": "g", "type": "foreach", "inputs": {"items": "$inputs.items"}}));
    nodes.push(json!({"id": "d", "type": "collect", "inputs": {"item": "$nodes.c.results"}}));
    definition["outputs"] = json!([{"name": "counts", "source": "$nodes.d.results"}]);
    definition
}

pub(crate) fn input(items: Value) -> Value {
    json!({"image_url": PHOTO, "items": items})
}

#[tokio::test]
async fn jobs_of_running_items_are_enqueued_together() {
    for (config, most) in
        [(json!({}), 5), (json!({"max_concurrency": 50}), 2), (json!({"iteration_mode": "sequential"}), 50)]
    {
        let stage = Stage::new();
        let mut definition = finding(config.clone(), json!({}));
        definition["nodes"][0] = json!({"id": "photo", "type": "paint"});
        definition["outputs"] = json!([{"name": "counts", "source": "$nodes.c.results"}]);
        let outcome = stage.run(definition, json!({"items": numbers(50)}), json!({})).await;
        assert_eq!((outcome.end, outcome.outputs), (End::Completed, json!({"counts": vec![2; 50]})));
        let rounds = stage.jobs.rounds.lock().unwrap().clone();
        assert!(rounds.len() <= most && rounds.iter().sum::<usize>() == 50, "{config}: {rounds:?}");
    }
}

#[tokio::test]
async fn a_job_names_its_item_and_its_image() {
    let nested = json!({
        "nodes": [
            {"id": "f1", "type": "foreach", "inputs": {"items": "$inputs.items"}},
            {"id": "f2", "type": "foreach", "inputs": {"items": "$nodes.f1.item"}},
            {"id": "p", "type": "paint", "config": {"width": "$nodes.f2.item"}}, {"id": "i", "type": "list"},
            {"id": "sort", "type": "classification", "config": {"model_id": "sorter"}}],
        "edges": [
            {"source": "p", "sourceHandle": "image", "target": "i", "targetHandle": "items"},
            {"source": "p", "sourceHandle": "image", "target": "i", "targetHandle": "items"},
            {"source": "i", "sourceHandle": "items", "target": "sort", "targetHandle": "images"}],
        "outputs": [{"name": "labels", "source": "$nodes.sort.labels"}],
    });
    let stage = Stage::new();
    let outcome = stage.run(nested, json!({"items": [[7], [], [8, 9]]}), json!({})).await;
    let two = json!(["cat", "cat"]);
    assert_eq!(outcome.outputs["labels"], json!([[two], [], [two, two]]), "{:?}", outcome.end);
    let jobs = stage.jobs.seen.lock().unwrap();
    let mut seen: Vec<(&str, u32)> = jobs.iter().map(|job| (job.item_path.as_str(), job.input.width)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("0/0#0", 7), ("0/0#1", 7), ("2/0#0", 8), ("2/0#1", 8), ("2/1#0", 9), ("2/1#1", 9)]);
}

#[tokio::test]
async fn results_are_in_item_order_whatever_ends_first() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let items: Vec<usize> = (0..50).map(|n| n % 7).collect();
    let id = server.submit(finding(json!({}), json!({})), input(json!(items))).await;
    server.pending(id, 16).await;
    // The last first.
    let mut first = server.take(8).await;
    let second = server.take(8).await;
    first.reverse();
    assert_eq!(server.answer(&second).await + server.answer(&first).await, 16);
    server.answer_all(34).await;
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    assert_eq!(execution.outputs.expect("outputs"), json!({"counts": items, "errors": [], "width": 8}));
    let jobs = server.jobs_of(id).await;
    let mut paths: Vec<usize> = jobs.iter().map(|job| job.item_path.parse().expect("an index")).collect();
    paths.sort_unstable();
    assert_eq!(paths, (0..50).collect::<Vec<_>>());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_failed_job_costs_its_item() {
    for (mode, on_error, status, counts) in [
        ("skip", "fail", ExecutionStatus::Completed, json!([1, null, 3])),
        ("fail", "continue", ExecutionStatus::Completed, json!([1, null, 3])),
        ("fail", "fail", ExecutionStatus::Failed, Value::Null),
    ] {
        let server = Server::new().await;
        let engine = server.engine().await;
        let definition = finding(json!({"on_error": mode}), json!({"on_error": on_error}));
        let id = server.submit(definition, input(json!([1, 2, 3]))).await;
        server.pending(id, 3).await;
        let claimed = server.take(8).await;
        let (bad, good): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|claimed| claimed.job.item_path == "1");
        server.answer(&good).await;
        server.spoil(&bad).await;
        let execution = server.ended(id).await;
        assert_eq!(
            (execution.status, execution.outputs.as_ref().expect("outputs")["counts"].clone()),
            (status, counts)
        );
        match status {
            ExecutionStatus::Failed => {
                let error = execution.error.expect("an error");
                assert_eq!(
                    (error.code.as_str(), error.node_id.as_deref(), error.item.as_deref()),
                    ("E-JOB-FAILED", Some("find"), Some("1"))
                );
            }
            _ if mode == "skip" => {
                let errors = &execution.outputs.expect("outputs")["errors"];
                assert_eq!(
                    *errors,
                    json!([{"index": 1, "node": "find", "code": "E-JOB-FAILED", "message": "the picture is bad"}])
                );
            }
            _ => assert_eq!(execution.outputs.expect("outputs")["errors"], json!([])),
        }
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn time_runs_out_for_nodes_and_runs_in_loops() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let definition = finding(json!({"on_error": "skip"}), json!({"timeout_ms": 200}));
    let id = server.submit(definition, input(json!([1, 2]))).await;
    server.pending(id, 2).await;
    let quick: Vec<_> = server.take(8).await.into_iter().filter(|claimed| claimed.job.item_path == "0").collect();
    server.answer(&quick).await;
    let execution = server.ended(id).await;
    let outputs = execution.outputs.expect("outputs");
    assert_eq!((execution.status, outputs["counts"].clone()), (ExecutionStatus::Completed, json!([1, null])));
    assert_eq!(
        (outputs["errors"][0]["index"].clone(), outputs["errors"][0]["code"].clone()),
        (json!(1), json!("E-TIMEOUT"))
    );
    // The run's own time.
    let id = server.submit_for(1, finding(json!({"on_error": "skip"}), json!({})), input(json!([1, 2]))).await;
    let execution = server.ended(id).await;
    let error = execution.error.expect("an error");
    assert_eq!((execution.status, error.code.as_str(), error.node_id), (ExecutionStatus::Failed, "E-TIMEOUT", None));
    assert_eq!(execution.outputs.expect("outputs"), json!({"counts": null, "errors": null, "width": 8}));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_cancel_takes_the_jobs_of_all_items_back() {
    let server = Server::new().await;
    let engine = server.engine().await;
    let id = server.submit(finding(json!({}), json!({})), input(numbers(20))).await;
    server.pending(id, 16).await;
    server.answer(&server.take(3).await).await;
    server.store.cancel(TENANT, id).await.unwrap();
    assert_eq!(server.ended(id).await.status, ExecutionStatus::Cancelled);
    engine.shutdown().await;
    let jobs = server.jobs_of(id).await;
    let of = |status: JobStatus| jobs.iter().filter(|job| job.status == status).count();
    assert_eq!((of(JobStatus::Completed), of(JobStatus::Cancelled) + 3), (3, jobs.len()));
}
