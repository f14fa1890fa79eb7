//! Workers, models, inference jobs.

use serde_json::json;
use sightflow_store::NewJob;
use sightflow_types::{ModelSource, Task};

use crate::support::{TestApp, settings_graph};

#[tokio::test]
async fn workers() {
    let app = TestApp::new().await;
    let list = app.get("/api/v1/workers").await.ok(200);
    let worker = &list["items"][0];
    assert_eq!(
        (&worker["role"], &worker["state"], &worker["name"], &worker["running_jobs"]),
        (&json!("engine"), &json!("ready"), &json!("test"), &json!(0))
    );
    assert_eq!((&worker["labels"], list.get("total")), (&json!({}), None));
    assert_eq!(app.get("/api/v1/workers?total=true&limit=1").await.ok(200)["total"], 1);
    app.get("/api/v1/workers?limit=0").await.error(400, "invalid_field");
    let id = worker["id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/api/v1/workers/{id}")).await.ok(200)["id"], id);
    app.get("/api/v1/workers/wrk_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1").await.error(404, "not_found");
}

#[tokio::test]
async fn models() {
    let app = TestApp::new().await;
    for id in ["b", "a", "c"] {
        app.model(id, Task::Detection, json!({"unreadable": true})).await;
    }
    app.model("d", Task::Embedding, json!({})).await;
    let ids = |page: &serde_json::Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = app.get("/api/v1/models?limit=2&task=detection").await.ok(200);
    assert_eq!(ids(&first), ["a", "b"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = app.get(&format!("/api/v1/models?limit=2&task=detection&cursor={cursor}")).await.ok(200);
    assert_eq!((ids(&rest), &rest["next_cursor"]), (vec!["c".to_owned()], &json!(null)));
    assert_eq!(app.get("/api/v1/models?limit=1&total=true").await.ok(200)["total"], 4);
    app.get("/api/v1/models?source=").await.error(400, "invalid_field");
    assert_eq!(ids(&app.get("/api/v1/models?search=D&state=available").await.ok(200)), ["d"]);
    let model = app.get("/api/v1/models/a").await.ok(200);
    assert_eq!(
        (&model["name"], &model["state"], &model["classes"], &model["spec"], &model["loaded_on"]),
        (&json!("A"), &json!("available"), &json!([]), &json!({"unreadable": true}), &json!([]))
    );
    app.get("/api/v1/models/x").await.error(404, "not_found");
    app.get("/api/v1/models?task=poetry").await.error(400, "invalid_field");
}

#[tokio::test]
async fn inference_jobs() {
    let app = TestApp::new().await;
    app.model("m", Task::Detection, json!({})).await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let run = app.start().await;
    let new = NewJob {
        node_id: "detect".into(),
        item_path: String::new(),
        task: Task::Detection,
        model_id: "m".into(),
        model_source: ModelSource::Pretrained,
        model_digest: None,
        params: json!({}),
        input: json!({}),
        pixels: 1,
        vt: 0,
        timeout_ms: 60_000,
    };
    let job = app.store.enqueue_jobs(run.lease(), vec![new]).await.unwrap().remove(0);
    let read = app.get(&format!("/api/v1/inference-jobs/{}", job.id)).await.ok(200);
    for (key, expected) in [
        ("id", json!(job.id)),
        ("execution_id", json!(execution)),
        ("workflow_id", json!(id)),
        ("node_id", json!("detect")),
        ("item", json!("")),
        ("task", json!("detection")),
        ("model_id", json!("m")),
        ("model_source", json!("pretrained")),
        ("status", json!("queued")),
        ("progress", json!(0)),
        ("priority", json!(5)),
        ("attempt", json!(0)),
        ("max_attempts", json!(4)),
        ("worker_id", json!(null)),
        ("started_at", json!(null)),
        ("duration_ms", json!(null)),
        ("result", json!(null)),
        ("error_code", json!(null)),
        ("metadata", json!({})),
    ] {
        assert_eq!(read.get(key), Some(&expected), "{key}");
    }
    for (query, count) in [
        (format!("execution_id={execution}"), 1),
        ("status=queued&task=detection&node_id=detect".into(), 1),
        ("status=failed".into(), 0),
        ("model_id=other".into(), 0),
        ("total=true".into(), 1),
    ] {
        let page = app.get(&format!("/api/v1/inference-jobs?{query}")).await.ok(200);
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(page.get("total").is_some(), query.starts_with("total"), "{query}");
        assert!(page["items"].as_array().unwrap().iter().all(|job| job.get("result").is_none()));
    }
    assert_eq!(
        app.get(&format!("/api/v1/executions/{execution}")).await.ok(200)["inference_jobs"],
        json!({"pending": 1, "completed": 0, "failed": 0, "cancelled": 0})
    );
    assert_eq!(
        app.get(&format!("/api/v1/executions/{execution}/nodes")).await.ok(200)["items"][0]["job_ids"],
        json!([]),
        "the job belongs to another node"
    );
    app.get("/api/v1/inference-jobs/job_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1").await.error(404, "not_found");
    app.get("/api/v1/inference-jobs/1").await.error(400, "invalid_id");
}
