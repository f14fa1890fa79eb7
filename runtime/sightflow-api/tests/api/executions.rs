use axum::http::Method;
use serde_json::json;
use sightflow_memory::MemoryPool;
use sightflow_types::error::RunError;
use tower::ServiceExt;

use crate::support::{TestApp, photo_graph, png, request, settings_graph};

#[tokio::test]
async fn an_execution_carries_every_field_and_both_names() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let path = format!("/api/v1/executions/{execution}");
    let pending = app.get(&path).await;
    for key in [
        "id",
        "execution_id",
        "workflow_id",
        "workflow_name",
        "workflow_version",
        "status",
        "mode",
        "priority",
        "input",
        "parameters",
        "outputs",
        "output_data",
        "error",
        "progress",
        "inference_jobs",
        "node_metrics",
        "cost",
        "batch_id",
        "replayed_from",
        "resume_count",
        "metadata",
        "trace_id",
        "timeout_seconds",
        "max_retries",
        "created_at",
        "started_at",
        "completed_at",
        "duration_ms",
    ] {
        assert!(pending.ok(200).get(key).is_some(), "{key}");
    }
    assert_eq!(
        pending.ok(200)["progress"],
        json!({"percent": 0, "completed_nodes": 0, "total_nodes": 0, "running": []})
    );
    assert_eq!(app.get_with(&path, &[("if-none-match", pending.header("etag"))]).await.status, 304);
    app.delete(&path).await.error(409, "not_terminal");

    let run = app.start().await;
    let error = RunError {
        item: Some("3".into()),
        cause: vec!["why".into()],
        ..RunError::new("E-IMAGE", "broken").at_node("detect")
    };
    app.finish(&run, json!({"people": 2}), Some(error)).await;
    let failed = app.get_with(&path, &[("if-none-match", pending.header("etag"))]).await.ok(200);
    assert_eq!(
        failed["error"],
        json!({"code": "E-IMAGE", "message": "broken", "node_id": "detect", "item": "3", "cause": ["why"]})
    );
    assert_eq!(
        (&failed["status"], &failed["outputs"], &failed["output_data"]),
        (&json!("failed"), &json!({"people": 2}), &json!({"people": 2}))
    );
    let cost = json!({"amount_micros": null, "currency": null, "gpu_ms": 0, "worker_cpu_ms": 0, "block_cpu_ms": 3});
    assert_eq!((&pending.ok(200)["cost"], &failed["cost"]), (&json!(null), &cost));
    assert_eq!(
        failed["node_metrics"],
        json!({"photo": {"status": "completed", "type": "image_input", "duration_ms": 3, "items": null, "error": null, "queue_ms": null, "skip_reason": null}})
    );
    assert_eq!(app.get(&format!("{path}/outputs")).await.ok(200), json!({"outputs": {"people": 2}, "complete": false}));

    app.request(Method::POST, &format!("{path}/cancel"), &[], "").await.error(409, "already_terminal");
    assert_eq!(app.delete(&path).await.ok(200), json!({"id": execution, "deleted": true}));
    app.get(&path).await.error(404, "not_found");
}

#[tokio::test]
async fn cancelling_is_effective_when_answered() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    app.start().await;
    let cancelled = app.request(Method::POST, &format!("/api/v1/executions/{execution}/cancel"), &[], "").await.ok(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert!(cancelled["completed_at"].is_string());
}

#[tokio::test]
async fn waiting_ends_with_the_execution() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let run = app.start().await;
    let path = format!("/api/v1/executions/{execution}?wait=20s");
    let (answer, ()) = tokio::join!(app.get(&path), app.finish(&run, json!({}), None));
    assert_eq!(answer.ok(200)["status"], "completed");
    for wait in ["soon", "61s", "", "-1"] {
        app.get(&format!("/api/v1/executions/{execution}?wait={wait}")).await.error(400, "invalid_field");
    }
}

#[tokio::test]
async fn image_outputs_are_bytes_and_others_json() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let picture = png(8, 6);
    let digest = app.request(Method::POST, "/api/v1/blobs", &[], picture.clone()).await.ok(201)["digest"].clone();
    let execution = app.run(&id, &json!({"input": {"image": digest}})).await;
    let run = app.start().await;
    let whole = json!({"$image": {"digest": digest, "width": 8, "height": 6, "format": "png"}});
    let part = json!({"$image": {"digest": digest, "width": 2, "height": 3, "format": "png", "view": {"x": 1, "y": 1, "width": 2, "height": 3}}});
    app.finish(&run, json!({"safe": whole, "part": part, "people": {"count": 2}}), None).await;
    let path = format!("/api/v1/executions/{execution}");

    let bytes = app.get(&format!("{path}/outputs/safe")).await;
    assert_eq!((bytes.status.as_u16(), bytes.header("content-type"), &bytes.body), (200, "image/png", &picture));
    let crop = app.get(&format!("{path}/outputs/part")).await;
    let probe = sightflow_images::probe(&crop.body).unwrap();
    assert_eq!((probe.width, probe.height), (2, 3));
    assert_eq!(app.get(&format!("{path}/outputs/people")).await.ok(200), json!({"count": 2}));
    app.get(&format!("{path}/outputs/nothing")).await.error(404, "not_found");
    for part in ["", "/people", "/safe"] {
        let path = format!("{path}/outputs{part}");
        let tag = app.get(&path).await.header("etag").to_owned();
        assert_eq!(app.get_with(&path, &[("if-none-match", &tag)]).await.status, 304, "{path}");
    }
    let outputs = app.get(&format!("{path}/outputs")).await.ok(200);
    assert_eq!(
        (&outputs["complete"], &outputs["outputs"]["safe"]["$image"]["url"]),
        (&json!(true), &json!(format!("/api/v1/blobs/{}", digest.as_str().unwrap())))
    );

    let inlined = app.get(&format!("{path}?images=base64")).await.ok(200);
    assert_eq!(inlined["outputs"]["safe"]["$image"]["base64"], crate::support::base64(&picture));
    assert!(app.get(&path).await.ok(200)["outputs"]["safe"]["$image"].get("base64").is_none());

    // Nothing is made for a client that has it.
    let crop = app.get(&format!("{path}/outputs/part")).await.header("etag").to_owned();
    app.blobs.delete(&digest.as_str().unwrap().parse().unwrap()).await.unwrap();
    assert_eq!(app.get_with(&format!("{path}/outputs/part"), &[("if-none-match", &crop)]).await.status, 304);
    for inlined in ["/outputs/part", "/outputs/safe", "?images=base64"] {
        app.get(&format!("{path}{inlined}")).await.error(409, "blob_damaged");
    }

    let nodes = app.get(&format!("{path}/nodes")).await.ok(200);
    assert_eq!(
        nodes["items"],
        json!([
            {"node_id": "photo", "type": "image_input", "status": "completed", "skip_reason": null, "attempts": 0, "duration_ms": 3, "queue_ms": null, "items": null, "error": null, "job_ids": [], "logs": []},
            {"node_id": "note", "type": "note", "status": "pending", "skip_reason": null, "attempts": 0, "duration_ms": null, "queue_ms": null, "items": null, "error": null, "job_ids": [], "logs": []}
        ])
    );
}

#[tokio::test]
async fn inlined_images_are_charged_and_bounded_however_often_they_are_named() {
    let memory = MemoryPool::new(64 << 20);
    let app = TestApp::with(sightflow_api::ApiConfig { memory: memory.clone(), ..Default::default() }, &[]).await;
    let id = app.workflow(&photo_graph()).await;
    let large = [png(8, 6).to_vec(), vec![0; 3 << 20]].concat();
    let digest = app.request(Method::POST, "/api/v1/blobs", &[], large).await.ok(201)["digest"].clone();
    let execution = app.run(&id, &json!({"input": {"image": digest}})).await;
    let run = app.start().await;
    let image = json!({"$image": {"digest": digest, "width": 8, "height": 6, "format": "png"}});
    app.finish(&run, json!({"all": [image, image, image]}), None).await;
    let path = format!("/api/v1/executions/{execution}?images=base64");
    let answer = app.router.clone().oneshot(request(Method::GET, &path, &[], "")).await.unwrap();
    let held = memory.used();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert_eq!(held, body.len() as u64);
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    drop(body);
    assert_eq!(memory.used(), 0);
    let inlined =
        answer["outputs"]["all"].as_array().unwrap().iter().filter(|image| image["$image"]["base64"].is_string());
    assert_eq!(inlined.count(), 2, "a third is beyond 8 MiB");
}

#[tokio::test]
async fn nodes_stand_behind_what_they_refer_to() {
    let app = TestApp::new().await;
    // No edge: a reference alone makes the order.
    let definition = json!({"nodes": [
        {"id": "note", "type": "note", "inputs": {"value": "$nodes.photo.image"}},
        {"id": "photo", "type": "image_input"},
    ]});
    let id = app.workflow(&definition).await;
    let digest = app.request(Method::POST, "/api/v1/blobs", &[], png(8, 6)).await.ok(201)["digest"].clone();
    let execution = app.run(&id, &json!({"input": {"image": digest}})).await;
    let nodes = app.get(&format!("/api/v1/executions/{execution}/nodes")).await.ok(200);
    let ids: Vec<_> = nodes["items"].as_array().unwrap().iter().map(|node| node["node_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["photo", "note"]);
}

#[tokio::test]
async fn lists_filter_and_leave_out_the_large_parts() {
    let app = TestApp::new().await;
    let (a, b) = (app.workflow(&settings_graph()).await, app.workflow(&settings_graph()).await);
    let first = app.run(&a, &json!({})).await;
    let run = app.start().await;
    app.finish(&run, json!({}), None).await;
    let second = app.run(&b, &json!({})).await;
    let ids = |page: serde_json::Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (path, expected) in [
        ("/api/v1/executions".to_owned(), vec![&second, &first]),
        (format!("/api/v1/executions?workflow_id={a}"), vec![&first]),
        (format!("/api/v1/workflows/{b}/executions"), vec![&second]),
        ("/api/v1/executions?status=completed".to_owned(), vec![&first]),
        ("/api/v1/executions?status=completed&status=pending".to_owned(), vec![&second, &first]),
        ("/api/v1/executions?status=failed,cancelled".to_owned(), vec![]),
        ("/api/v1/executions?created_after=2099-01-01T00:00:00Z".to_owned(), vec![]),
        ("/api/v1/executions?created_before=2099-01-01T00:00:00.000Z".to_owned(), vec![&second, &first]),
    ] {
        assert_eq!(ids(app.get(&path).await.ok(200)).iter().collect::<Vec<_>>(), expected, "{path}");
    }
    let item = app.get("/api/v1/executions?limit=1").await.ok(200);
    for key in ["input", "outputs", "output_data", "node_metrics", "metadata"] {
        assert!(item["items"][0].get(key).is_none(), "{key}");
    }
    app.get(&format!("/api/v1/workflows/{a}/executions?workflow_id={b}")).await.error(404, "not_found");
    let cleared = app.request(Method::POST, &format!("/api/v1/workflows/{a}/clear-executions"), &[], "").await.ok(200);
    assert_eq!(cleared, json!({"deleted_count": 1}));
    app.get(&format!("/api/v1/executions/{first}")).await.error(404, "not_found");
}

#[tokio::test]
async fn usage_is_summed_up() {
    let app = TestApp::new().await;
    let execution = crate::events::finished(&app).await;
    let by = async |by: &str| app.get(&format!("/api/v1/usage?group_by={by}")).await.ok(200)["items"].clone();
    let hours = by("hour").await;
    assert_eq!((hours.as_array().unwrap().len(), &hours[0]["executions"]), (1, &json!(1)), "{hours}");
    assert!(hours[0]["key"].as_str().unwrap().ends_with(":00:00.000Z"), "{hours}");
    assert!(by("workflow").await[0]["key"].as_str().unwrap().starts_with("wf_"));
    let before = by("day").await;
    app.delete(&format!("/api/v1/executions/{execution}")).await.ok(200);
    assert_eq!(by("day").await, before, "it was used all the same");
    app.get("/api/v1/usage?group_by=week").await.error(400, "invalid_field");
    app.get("/api/v1/usage?from=yesterday").await.error(400, "invalid_field");
    let past = app.get("/api/v1/usage?from=2020-01-01T00:00:00.000Z&to=2020-02-01T00:00:00.000Z").await.ok(200);
    assert_eq!(past["items"], json!([]));
}
