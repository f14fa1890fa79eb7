use std::sync::atomic::Ordering;

use axum::http::Method;
use serde_json::json;
use sightflow_store::WorkflowChange;
use sightflow_types::TenantId;

use crate::support::{TestApp, photo_graph, settings_graph};

#[tokio::test]
async fn a_workflow_is_saved_read_changed_and_deleted() {
    let app = TestApp::new().await;
    let answer = app.post("/api/v1/workflows", &json!({"name": "Privacy blur", "definition": photo_graph()})).await;
    let created = answer.ok(201);
    let path = format!("/api/v1/workflows/{}", created["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), path);
    for (key, expected) in [
        ("name", json!("Privacy blur")),
        ("description", json!(null)),
        ("status", json!("draft")),
        ("version", json!(1)),
        ("definition", photo_graph()),
        ("node_count", json!(2)),
        ("edge_count", json!(1)),
        ("warnings", json!([])),
        ("run_count", json!(0)),
        ("last_run_at", json!(null)),
        ("avg_duration_ms", json!(null)),
    ] {
        assert_eq!(created.get(key), Some(&expected), "{key}");
    }
    let read = app.get(&path).await;
    assert_eq!(read.ok(200), created);
    assert_eq!(app.get_with(&path, &[("if-none-match", read.header("etag"))]).await.status, 304);
    assert_eq!(app.get(&format!("{path}/")).await.ok(200), created, "a trailing slash changes nothing");
    let bare = path.replace("wf_", "");
    assert_eq!(app.get(&bare).await.ok(200)["id"], created["id"], "a bare UUID is an id");

    let renamed = app
        .patch(&path, &[("if-match", read.header("etag"))], &json!({"name": "Blur", "description": "d"}))
        .await
        .ok(200);
    assert_eq!(
        (&renamed["name"], &renamed["description"], &renamed["version"]),
        (&json!("Blur"), &json!("d"), &json!(1))
    );
    app.patch(&path, &[("if-match", read.header("etag"))], &json!({"name": "Lost update"}))
        .await
        .error(412, "stale_version");
    let changed = app.patch(&path, &[], &json!({"definition": settings_graph(), "description": null, "status": "active", "change_summary": "simpler"})).await.ok(200);
    assert_eq!(
        (&changed["description"], &changed["status"], &changed["version"], &changed["node_count"]),
        (&json!(null), &json!("active"), &json!(2), &json!(1))
    );

    assert_eq!(app.delete(&path).await.ok(200), json!({"id": created["id"], "deleted": true}));
    app.get(&path).await.error(404, "not_found");
    app.delete(&path).await.error(404, "not_found");
}

#[tokio::test]
async fn versions_are_kept_compared_and_restored() {
    let app = TestApp::new().await;
    let path = format!("/api/v1/workflows/{}", app.workflow(&photo_graph()).await);
    let mut second = photo_graph();
    second["nodes"][1]["config"] = json!({"text": "hello"});
    app.patch(&path, &[], &json!({"definition": second, "change_summary": "greets"})).await.ok(200);

    let versions = app.get(&format!("{path}/versions")).await.ok(200);
    let numbers: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["version"].clone(), item["change_summary"].clone()))
        .collect();
    assert_eq!(numbers, [(json!(2), json!("greets")), (json!(1), json!(null))]);
    assert!(versions["items"][0].get("definition").is_none());
    assert_eq!(app.get(&format!("{path}/versions/1")).await.ok(200)["definition"], photo_graph());
    app.get(&format!("{path}/versions/9")).await.error(404, "not_found");
    app.get(&format!("{path}/versions/x")).await.error(400, "invalid_id");

    let first = app.get(&format!("{path}/versions?limit=1")).await.ok(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(app.get(&format!("{path}/versions?limit=1&cursor={cursor}")).await.ok(200)["items"][0]["version"], 1);

    let diff = app.get(&format!("{path}/diff?from=1&to=2")).await.ok(200);
    assert_eq!(
        diff["nodes"]["changed"],
        json!([{"id": "note", "changes": [{"pointer": "/config", "from": null, "to": {"text": "hello"}}]}])
    );

    let restored = app.request(Method::POST, &format!("{path}/versions/1/restore"), &[], "").await.ok(200);
    assert_eq!((&restored["version"], &restored["definition"]), (&json!(3), &photo_graph()));
}

#[tokio::test]
async fn lists_page_filter_and_count() {
    let app = TestApp::new().await;
    for (name, status) in [("alpha one", "draft"), ("alpha two", "active"), ("beta", "draft")] {
        app.post("/api/v1/workflows", &json!({"name": name, "status": status})).await.ok(201);
    }
    let names = |page: &serde_json::Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", vec!["beta", "alpha two", "alpha one"]),
        ("?search=ALPHA", vec!["alpha two", "alpha one"]),
        ("?status=active", vec!["alpha two"]),
        ("?search=alpha&status=archived", vec![]),
    ] {
        let page = app.get(&format!("/api/v1/workflows{query}")).await.ok(200);
        assert_eq!(
            (names(&page), &page["next_cursor"], page.get("total")),
            (expected.into_iter().map(str::to_owned).collect(), &json!(null), None),
            "{query}"
        );
    }
    let first = app.get("/api/v1/workflows?limit=2&total=true").await.ok(200);
    assert_eq!(
        (&first["total"], &first["total_capped"], first["items"][0].get("definition")),
        (&json!(3), &json!(false), None)
    );
    let large = app.workflow(&photo_graph()).await;
    let item = &app.get("/api/v1/workflows?limit=1").await.ok(200)["items"][0];
    assert_eq!((&item["node_count"], &item["edge_count"]), (&json!(2), &json!(1)), "without its definition");
    app.delete(&format!("/api/v1/workflows/{large}")).await.ok(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&app.get(&format!("/api/v1/workflows?limit=2&cursor={cursor}")).await.ok(200)), ["alpha one"]);
    app.get(&format!("/api/v1/workflows?search=a&cursor={cursor}")).await.error(400, "invalid_cursor");
    assert!(app.get("/api/v1/workflows?include=definition").await.ok(200)["items"][0]["definition"].is_object());
}

#[tokio::test]
async fn a_definition_with_problems_is_refused_with_all_of_them() {
    let app = TestApp::new().await;
    let mut broken = photo_graph();
    broken["nodes"][1]["type"] = json!("notte");
    broken["nodes"][0]["config"] = json!({"nmae": "front"});
    let details = app
        .post("/api/v1/workflows", &json!({"name": "x", "definition": broken}))
        .await
        .error(422, "definition_invalid");
    let found: Vec<_> = details
        .iter()
        .map(|detail| {
            (detail["code"].as_str().unwrap(), detail["pointer"].as_str().unwrap(), detail["suggestion"].clone())
        })
        .collect();
    assert!(found.contains(&("E-TYPE-UNKNOWN", "/nodes/1/type", json!("note"))), "{found:?}");
    assert!(
        found.iter().any(|(code, pointer, _)| (*code, *pointer) == ("E-CONFIG-KEY", "/nodes/0/config/nmae")),
        "{found:?}"
    );
    assert_eq!(app.get("/api/v1/workflows").await.ok(200)["items"], json!([]), "nothing was saved");

    let validation = app.post("/api/v1/workflows/validate", &json!({"definition": broken})).await.ok(200);
    assert_eq!((&validation["valid"], &validation["plan"]), (&json!(false), &json!(null)));
    assert_eq!(validation["errors"].as_array().unwrap().len(), details.len());
    let validation = app.post("/api/v1/workflows/validate", &json!({"definition": photo_graph()})).await.ok(200);
    assert_eq!(
        validation,
        json!({"valid": true, "errors": [], "warnings": [], "plan": {"order": [["photo"], ["note"]], "blocks": {"note": "note", "photo": "image_input"}}})
    );
}

#[tokio::test]
async fn limits_are_those_of_the_configuration() {
    let limits = sightflow_engine::DefinitionLimits { nodes: 1, ..Default::default() };
    let app = TestApp::with_limits(limits).await;
    let body = json!({"name": "two nodes", "definition": photo_graph()});
    app.post("/api/v1/workflows", &body).await.error(422, "definition_invalid");
    app.post("/api/v1/run", &json!({"definition": photo_graph()})).await.error(422, "definition_invalid");
    app.workflow(&settings_graph()).await;
}

#[tokio::test]
async fn blocks_check_their_own_configuration() {
    let app = TestApp::new().await;
    let mut graph = photo_graph();
    graph["nodes"][1]["config"] = json!({"text": "bad"});
    let details = app
        .post("/api/v1/workflows", &json!({"name": "x", "definition": graph}))
        .await
        .error(422, "definition_invalid");
    assert_eq!((&details[0]["code"], &details[0]["pointer"]), (&json!("E-CONFIG"), &json!("/nodes/1/config/text")));
    graph["nodes"][1]["config"] = json!({"text": "odd"});
    let saved = app.post("/api/v1/workflows", &json!({"name": "x", "definition": graph})).await.ok(201);
    assert_eq!(
        saved["warnings"],
        json!([{"code": "W-ODD", "pointer": "/nodes/1/config/text", "message": "an odd note"}])
    );
    // Reading asks no block: the warnings are kept with the version.
    let asked = app.checks.load(Ordering::Relaxed);
    let path = format!("/api/v1/workflows/{}", saved["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.ok(200)["warnings"], saved["warnings"]);
    assert_eq!(app.get("/api/v1/workflows").await.ok(200)["items"][0]["warnings"], saved["warnings"]);
    let copy = app.request(Method::POST, &format!("{path}/duplicate"), &[], "").await.ok(201);
    assert_eq!(copy["warnings"], saved["warnings"]);
    assert_eq!(app.checks.load(Ordering::Relaxed), asked);
    assert_eq!(app.patch(&path, &[], &json!({"definition": photo_graph()})).await.ok(200)["warnings"], json!([]));
    assert_eq!(app.get(&path).await.ok(200)["warnings"], json!([]));
}

#[tokio::test]
async fn a_copy_is_a_draft_of_its_own() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let path = format!("/api/v1/workflows/{id}/duplicate");
    let copy = app.request(Method::POST, &path, &[], "").await.ok(201);
    assert_eq!((&copy["name"], &copy["status"], &copy["version"]), (&json!("Test (copy)"), &json!("draft"), &json!(1)));
    assert_ne!(copy["id"], json!(id));
    assert_eq!(app.post(&path, &json!({"name": "Other"})).await.ok(201)["name"], "Other");
}

#[tokio::test]
async fn a_repeated_create_with_a_key_makes_one_workflow() {
    let app = TestApp::new().await;
    let body = json!({"name": "once", "definition": photo_graph()});
    let first = app.post_with("/api/v1/workflows", &[("idempotency-key", "k1")], &body).await;
    let again = app.post_with("/api/v1/workflows", &[("idempotency-key", "k1")], &body).await;
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.ok(201), first.ok(201));
    app.post_with("/api/v1/workflows", &[("idempotency-key", "k1")], &json!({"name": "other"}))
        .await
        .error(409, "idempotency_conflict");
    app.post_with("/api/v1/workflows", &[("idempotency-key", "")], &body).await.error(400, "invalid_field");
    assert_eq!(app.get("/api/v1/workflows?total=true").await.ok(200)["total"], 1);

    let path = format!("/api/v1/workflows/{}", first.ok(201)["id"].as_str().unwrap());
    app.patch(&path, &[], &json!({"definition": settings_graph()})).await.ok(200);
    for (route, status) in [("duplicate", 201), ("versions/1/restore", 200)] {
        let route = format!("{path}/{route}");
        let key = [("idempotency-key", route.as_str())];
        let first = app.request(Method::POST, &route, &key, "").await;
        let again = app.request(Method::POST, &route, &key, "").await;
        assert_eq!(again.ok(status)["id"], first.ok(status)["id"], "{route}");
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
        let other = [("idempotency-key", route.as_str()), ("content-type", "application/json")];
        app.request(Method::POST, &route, &other, "{ }").await.error(409, "idempotency_conflict");
    }
    assert_eq!(app.get("/api/v1/workflows?total=true").await.ok(200)["total"], 2);
    assert_eq!(app.get(&format!("{path}/versions?total=true&limit=1")).await.ok(200)["total"], 3);
}

#[tokio::test]
async fn a_workflow_with_open_executions_is_deleted_only_with_their_cancellation() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    app.delete(&format!("/api/v1/workflows/{id}")).await.error(409, "in_use");
    app.delete(&format!("/api/v1/workflows/{id}?cancel=true")).await.ok(200);
    assert_eq!(app.get(&format!("/api/v1/executions/{execution}")).await.ok(200)["status"], "cancelled");
    app.post(&format!("/api/v1/workflows/{id}/run"), &json!({})).await.error(404, "not_found");
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_is_told_and_mended() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let path = format!("/api/v1/workflows/{id}");
    let damage = async || {
        let change = WorkflowChange { definition: Some(json!([])), ..Default::default() };
        app.store.update_workflow(TenantId::BUILT_IN, id.parse().unwrap(), change).await.unwrap();
    };
    damage().await;
    let read = app.get(&path).await;
    read.error(409, "workflow_damaged");
    assert!(read.message().contains("restore a version"), "{}", read.message());
    for refused in [
        app.post(&format!("{path}/run"), &json!({})).await,
        app.get(&format!("{path}/versions/2")).await,
        app.get(&format!("{path}/diff?from=1&to=2")).await,
        app.patch(&path, &[], &json!({"name": "other"})).await,
    ] {
        refused.error(409, "workflow_damaged");
    }
    let runs = app.get(&format!("{path}/executions")).await.ok(200);
    assert_eq!(runs["items"][0]["id"], json!(execution));
    app.request(Method::POST, &format!("{path}/clear-executions"), &[], "").await.ok(200);

    let restored = app.request(Method::POST, &format!("{path}/versions/1/restore"), &[], "").await.ok(200);
    assert_eq!((&restored["version"], &restored["definition"]), (&json!(3), &settings_graph()));
    assert_eq!(app.get(&path).await.ok(200), restored);
    damage().await;
    let saved = app.patch(&path, &[], &json!({"definition": photo_graph()})).await.ok(200);
    assert_eq!((&saved["version"], &saved["definition"]), (&json!(5), &photo_graph()));
    let nobody = "/api/v1/workflows/wf_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    app.get(&format!("{nobody}/executions")).await.error(404, "not_found");
    app.request(Method::POST, &format!("{nobody}/clear-executions"), &[], "").await.error(404, "not_found");
}

#[tokio::test]
async fn a_message_does_not_repeat_what_is_long() {
    let app = TestApp::new().await;
    let long = "ä".repeat(100_000);
    let definition = json!({"nodes": [{"id": long, "type": long}], "edges": [{"source": long, "target": long}]});
    let found = app.post("/api/v1/workflows/validate", &json!({"definition": definition})).await;
    assert!(!found.ok(200)["errors"].as_array().unwrap().is_empty());
    assert!(found.body.len() < 10_000, "{} bytes", found.body.len());
    let refused = app.post("/api/v1/workflows", &json!({"name": "x", "definition": definition})).await;
    refused.error(422, "definition_invalid");
    assert!(refused.body.len() < 10_000, "{} bytes", refused.body.len());
}
