use serde_json::{Value, json};
use sightflow_store::{Append, NewJob, StartedExecution};
use sightflow_types::{ModelSource, Task};

use crate::support::{TestApp, photo_graph, png, record};

/// A run of [`photo_graph`] whose note is taken of twelve items.
async fn looped(app: &TestApp) -> (String, StartedExecution, Vec<String>) {
    let id = app.workflow(&photo_graph()).await;
    let digest = app.request(axum::http::Method::POST, "/api/v1/blobs", &[], png(8, 6)).await.ok(201)["digest"].clone();
    let execution = app.run(&id, &json!({"input": {"image": digest}})).await;
    let run = app.start().await;
    let items = (0..12).map(|n| {
        record("note", &n.to_string(), json!({"type": "note", "status": "completed", "duration_ms": n, "attempts": 1}))
    });
    let whole = json!({"type": "note", "status": "completed", "items": {"total": 12}, "attempts": 12});
    let records =
        items.chain([record("note", "", whole), record("note", "3/1", json!({"status": "failed"}))]).collect();
    app.store.append_events(run.lease(), Append { records, ..Append::default() }).await.unwrap();
    let job = |item: &str| NewJob {
        node_id: "note".into(),
        item_path: item.into(),
        task: Task::Detection,
        model_id: "m".into(),
        model_source: ModelSource::Pretrained,
        model_digest: None,
        params: json!({}),
        input: json!({}),
        pixels: 1,
        vt: 0,
        timeout_ms: 1_000,
    };
    let jobs = ["0", "1#0", "1#1", "10", "3/1"].map(job).to_vec();
    let jobs = app.store.enqueue_jobs(run.lease(), jobs).await.unwrap();
    (execution, run, jobs.iter().map(|job| job.id.to_string()).collect())
}

fn items(answer: &Value) -> Vec<&str> {
    answer["records"]["items"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_node_comes_with_its_items_in_pages() {
    let app = TestApp::new().await;
    let (execution, _, jobs) = looped(&app).await;
    let path = format!("/api/v1/executions/{execution}/nodes/note");
    let answer = app.get(&format!("{path}?limit=3&total=true")).await;
    let first = answer.ok(200);
    let mut shown = first.clone();
    let records = shown.as_object_mut().unwrap().remove("records").unwrap();
    assert_eq!(
        shown,
        json!({"item": null, "node_id": "note", "type": "note", "status": "completed", "skip_reason": null, "attempts": 12,
            "duration_ms": null, "queue_ms": null, "items": {"total": 12}, "error": null, "job_ids": jobs, "logs": []})
    );
    assert_eq!((&records["total"], &records["total_capped"]), (&json!(13), &json!(false)));
    assert_eq!(
        records["items"][1],
        json!({"item": "1", "node_id": "note", "type": "note", "status": "completed", "skip_reason": null, "attempts": 1,
            "duration_ms": 1, "queue_ms": null, "items": null, "error": null, "job_ids": jobs[1..3], "logs": []})
    );
    assert_eq!(items(&first), ["0", "1", "2"]);
    let next = |answer: &Value| answer["records"]["next_cursor"].as_str().map(str::to_owned);
    let second = app.get(&format!("{path}?limit=8&cursor={}", next(&first).unwrap())).await.ok(200);
    assert_eq!(items(&second), ["3", "3/1", "4", "5", "6", "7", "8", "9"]);
    let last = app.get(&format!("{path}?cursor={}", next(&second).unwrap())).await.ok(200);
    assert_eq!((items(&last), next(&last)), (vec!["10", "11"], None));
    assert_eq!(
        app.get_with(&format!("{path}?limit=3&total=true"), &[("if-none-match", answer.header("etag"))]).await.status,
        304
    );
    let elsewhere = format!("/api/v1/executions/{execution}/nodes/photo?cursor={}", next(&first).unwrap());
    app.get(&elsewhere).await.error(400, "invalid_cursor");
}

#[tokio::test]
async fn one_item_is_found_by_its_indexes() {
    let app = TestApp::new().await;
    let (execution, _, jobs) = looped(&app).await;
    let path = format!("/api/v1/executions/{execution}/nodes/note");
    for (item, expected) in
        [("0", json!(jobs[..1])), ("1", json!(jobs[1..3])), ("2", json!([])), ("10", json!(jobs[3..4]))]
    {
        let found = app.get(&format!("{path}?item={item}")).await.ok(200);
        assert_eq!(
            (&found["item"], &found["job_ids"], &found["records"]),
            (&json!(item), &expected, &json!(null)),
            "{item}"
        );
        assert_eq!(found["duration_ms"].as_u64(), item.parse().ok());
    }
    for nested in ["3/1", "3,1", "3%2F1"] {
        let found = app.get(&format!("{path}?item={nested}")).await.ok(200);
        assert_eq!(
            (&found["item"], &found["status"], &found["job_ids"]),
            (&json!("3/1"), &json!("failed"), &json!(jobs[4..]))
        );
    }
    for absent in ["12", "3/2", "0/0"] {
        app.get(&format!("{path}?item={absent}")).await.error(404, "not_found");
    }
    for malformed in ["", "x", "-1", "3/", "1.5"] {
        app.get(&format!("{path}?item={malformed}")).await.error(400, "invalid_field");
    }
}

#[tokio::test]
async fn a_node_without_a_record_is_pending_and_another_is_absent() {
    let app = TestApp::new().await;
    let (execution, run, _) = looped(&app).await;
    let path = format!("/api/v1/executions/{execution}/nodes");
    let pending = app.get(&format!("{path}/photo")).await.ok(200);
    assert_eq!(
        (&pending["type"], &pending["status"], items(&pending)),
        (&json!("image_input"), &json!("pending"), vec![])
    );
    app.finish(&run, json!({}), None).await;
    let completed = app.get(&format!("{path}/photo")).await.ok(200);
    assert_eq!((&completed["status"], &completed["duration_ms"]), (&json!("completed"), &json!(3)));
    app.get(&format!("{path}/nobody")).await.error(404, "not_found");
    app.get(&format!("{path}/photo?item=0")).await.error(404, "not_found");
    app.get(&format!("{path}/photo?frame=0")).await.error(400, "unknown_field");
    app.get("/api/v1/executions/exe_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1/nodes/photo").await.error(404, "not_found");
}
