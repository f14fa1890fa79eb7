use std::sync::atomic::Ordering;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{MULTIPART, TestApp, base64, field, multipart, photo_graph, png, png_header, settings_graph};

#[tokio::test]
async fn an_accepted_run_says_where_to_look() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    for (path, version) in
        [(format!("/api/v1/workflows/{id}/run"), 1), (format!("/api/v1/workflows/{id}/execute?version=1"), 1)]
    {
        let answer = app.post(&path, &json!({"parameters": {"limit": "7"}, "priority": 9, "metadata": {"store": "17"}, "mode": "background"})).await;
        let accepted = answer.ok(202);
        let execution = accepted["id"].as_str().unwrap();
        assert_eq!(accepted["execution_id"], execution);
        assert_eq!((&accepted["workflow_id"], &accepted["status"]), (&json!(id), &json!("pending")));
        assert_eq!(accepted["status_url"], format!("/api/v1/executions/{execution}"));
        assert_eq!(accepted["events_url"], format!("/api/v1/executions/{execution}/events"));
        assert_eq!(answer.header("location"), format!("/api/v1/executions/{execution}"));
        assert!(answer.header("x-queue-depth").parse::<u64>().is_ok());
        let stored = app.get(&format!("/api/v1/executions/{execution}")).await.ok(200);
        for (key, expected) in [
            ("mode", json!("background")),
            ("priority", json!(9)),
            ("metadata", json!({"store": "17"})),
            ("parameters", json!({"limit": 7})),
            ("workflow_version", json!(version)),
            ("timeout_seconds", json!(300)),
            ("max_retries", json!(3)),
            ("outputs", json!(null)),
            ("output_data", json!(null)),
            ("error", json!(null)),
            ("workflow_name", json!("Test")),
        ] {
            assert_eq!(stored.get(key), Some(&expected), "{key}");
        }
    }
}

#[tokio::test]
async fn every_form_of_an_image_becomes_a_reference() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let picture = png(8, 6);
    let uploaded =
        app.request(Method::POST, "/api/v1/blobs", &[("content-type", "image/png")], picture.clone()).await.ok(201);
    let digest = uploaded["digest"].as_str().unwrap();
    let encoded = base64(&picture);
    let reference =
        json!({"digest": digest, "width": 8, "height": 6, "format": "png", "url": format!("/api/v1/blobs/{digest}")});
    let forms = [
        json!({"image_base64": encoded}),
        json!({"image_base64": format!("data:image/png;base64,{encoded}")}),
        json!({"image": digest}),
        json!({"image": {"$image": {"digest": digest}}}),
    ];
    for form in &forms {
        for key in ["input", "inputs"] {
            let execution = app.run(&id, &json!({ key: form })).await;
            let stored = app.get(&format!("/api/v1/executions/{execution}")).await.ok(200);
            assert_eq!(stored["input"], json!({"image": {"$image": reference}}), "{form}");
        }
        let execution = app.run(&id, &json!({"input": {"images": {"photo": form}, "note": "kept"}})).await;
        let stored = app.get(&format!("/api/v1/executions/{execution}")).await.ok(200);
        assert_eq!(stored["input"], json!({"images": {"photo": {"$image": reference}}, "note": "kept"}), "{form}");
    }
    let execution = app.run(&id, &json!({"input": {"image_url": "https://example.com/a.jpg"}})).await;
    assert_eq!(
        app.get(&format!("/api/v1/executions/{execution}")).await.ok(200)["input"],
        json!({"image_url": "https://example.com/a.jpg"})
    );
}

#[tokio::test]
async fn multipart_files_are_images_by_their_names() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let path = format!("/api/v1/workflows/{id}/run");
    let picture = png(8, 6);
    for (parts, place) in [
        (vec![("image", picture.as_ref())], "/input/image/$image/digest"),
        (
            vec![("request", br#"{"priority": 7}"#.as_slice()), ("image", picture.as_ref())],
            "/input/image/$image/digest",
        ),
        (vec![("photo", picture.as_ref()), ("request", b"{}")], "/input/images/photo/$image/digest"),
    ] {
        let accepted = app.request(Method::POST, &path, &[MULTIPART], multipart(&parts)).await.ok(202);
        let stored = app.get(accepted["status_url"].as_str().unwrap()).await.ok(200);
        assert!(stored.pointer(place).is_some_and(Value::is_string), "{stored}");
    }
    for (parts, status, code) in [
        (vec![("image", picture.as_ref()), ("image", picture.as_ref())], 400, "invalid_field"),
        (vec![("image", b"no picture".as_slice())], 422, "image_invalid"),
        (vec![("request", b"{".as_slice())], 400, "bad_json"),
        (vec![("request", b"\xef\xbb\xbf{}".as_slice()), ("image", picture.as_ref())], 202, ""),
        (vec![("request", b"{}".as_slice()), ("request", b"{}")], 400, "bad_json"),
        (vec![("other", picture.as_ref())], 202, ""),
    ] {
        let answer = app.request(Method::POST, &path, &[MULTIPART], multipart(&parts)).await;
        if status == 202 {
            answer.ok(202);
        } else {
            answer.error(status, code);
        }
    }
    let details =
        app.request(Method::POST, &path, &[MULTIPART], field("priority", "7")).await.error(400, "invalid_field");
    assert_eq!(details[0]["pointer"], "/priority");
    assert!(details[0]["message"].as_str().unwrap().contains("`request`"), "says where it belongs: {details:?}");
    app.request(Method::POST, &path, &[("content-type", "multipart/form-data")], "").await.error(400, "bad_json");
    app.request(Method::POST, &path, &[MULTIPART], "--XX\r\nbroken").await.error(400, "bad_json");
    let many: Vec<_> = (0..65).map(|_| ("image", b"x".as_slice())).collect();
    app.request(Method::POST, &path, &[MULTIPART], multipart(&many)).await.error(413, "body_too_large");
}

#[tokio::test]
async fn bad_runs_are_refused_with_code_and_place_and_write_nothing() {
    let app = TestApp::new().await;
    let photo = app.workflow(&photo_graph()).await;
    let settings = app.workflow(&settings_graph()).await;
    let nowhere = format!("sha256:{}", "0".repeat(64));
    for (id, body, status, code, pointer) in [
        (&photo, json!({}), 422, "input_invalid", "/input/image"),
        (&photo, json!({"inputs": {}}), 422, "input_invalid", "/inputs/image"),
        (
            &photo,
            json!({"input": {"image_base64": base64(b"not a picture")}}),
            422,
            "image_invalid",
            "/input/image_base64",
        ),
        (
            &photo,
            json!({"input": {"image_base64": base64(&png(4, 4)[..20])}}),
            422,
            "image_invalid",
            "/input/image_base64",
        ),
        (
            &photo,
            json!({"input": {"image_base64": base64(&png_header(20_000, 10_000))}}),
            422,
            "image_invalid",
            "/input/image_base64",
        ),
        (&photo, json!({"input": {"image_base64": "*"}}), 422, "image_invalid", "/input/image_base64"),
        (&photo, json!({"input": {"image": nowhere}}), 422, "image_invalid", "/input/image"),
        (&photo, json!({"input": {"image": "sha256:12"}}), 400, "invalid_field", "/input/image"),
        (&photo, json!({"input": {"image_url": "http://127.0.0.1/a.png"}}), 422, "url_not_allowed", "/input/image_url"),
        (
            &photo,
            json!({"input": {"image_url": "ftp://example.com/a.png"}}),
            422,
            "url_not_allowed",
            "/input/image_url",
        ),
        (
            &photo,
            json!({"input": {"image_url": "http://user:pw@example.com/a.png"}}),
            422,
            "url_not_allowed",
            "/input/image_url",
        ),
        (&photo, json!({"input": {"image_url": "http://example.com:22/"}}), 422, "url_not_allowed", "/input/image_url"),
        (
            &photo,
            json!({"input": {"images": {"photo": {"image_url": "http://169.254.169.254/"}}}}),
            422,
            "url_not_allowed",
            "/input/images/photo",
        ),
        (&photo, json!({"inputs": {}, "input": {}}), 400, "invalid_field", "/inputs"),
        (&photo, json!({"colour": 1}), 400, "unknown_field", "/colour"),
        (&photo, json!({"callback_url": "https://example.com/hook"}), 400, "invalid_field", "/callback_url"),
        (&settings, json!({"parameters": {"limit": "many"}}), 422, "parameters_invalid", "/parameters/limit"),
        (&settings, json!({"parameters": {"limit": 0}}), 422, "parameters_invalid", "/parameters/limit"),
        (&settings, json!({"parameters": {"limits": 1}}), 422, "parameters_invalid", "/parameters/limits"),
        (&settings, json!({"priority": 11}), 400, "invalid_field", "/priority"),
        (&settings, json!({"metadata": {"note": "x".repeat(70_000)}}), 413, "body_too_large", "/metadata"),
        (&settings, json!({"metadata": {"note": "a\0b"}}), 400, "invalid_field", "/metadata/note"),
        (&settings, json!({"parameters": {"label": "a\0b"}}), 400, "invalid_field", "/parameters/label"),
        (&settings, json!({"input": {"big": 9_007_199_254_740_993_u64}}), 422, "input_invalid", "/input/big"),
    ] {
        let details = app.post(&format!("/api/v1/workflows/{id}/run"), &body).await.error(status, code);
        assert_eq!(details.first().map(|detail| detail["pointer"].as_str().unwrap()), Some(pointer), "{body}");
    }
    assert_eq!(app.get("/api/v1/executions").await.ok(200)["items"], json!([]));
    assert!(!app.blobs.exists(&sightflow_blobs::digest_of(b"not a picture")).await.unwrap(), "nothing half-written");
    let message = app
        .post(
            &format!("/api/v1/workflows/{photo}/run"),
            &json!({"input": {"images": {"photo": {"image_base64": base64(&png_header(20_000, 10_000))}}}}),
        )
        .await
        .ok(422);
    let message = message["error"]["message"].as_str().unwrap();
    assert!(message.contains("`photo`") && message.contains("200"), "names the image and the reason: {message}");
}

#[tokio::test]
async fn an_image_of_a_refused_run_is_not_stored() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let picture = png(5, 5);
    let body = json!({"input": {"image_base64": base64(&picture)}, "parameters": {"limit": "x"}});
    app.post(&format!("/api/v1/workflows/{id}/run"), &body).await.error(422, "parameters_invalid");
    assert!(!app.blobs.exists(&sightflow_blobs::digest_of(&picture)).await.unwrap());
}

#[tokio::test]
async fn archived_and_missing_workflows_do_not_run() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    app.patch(&format!("/api/v1/workflows/{id}"), &[], &json!({"status": "archived"})).await.ok(200);
    app.post(&format!("/api/v1/workflows/{id}/run"), &json!({})).await.error(409, "workflow_archived");
    app.patch(&format!("/api/v1/workflows/{id}"), &[], &json!({"status": "draft"})).await.ok(200);
    app.post(&format!("/api/v1/workflows/{id}/run?version=2"), &json!({})).await.error(404, "not_found");
    app.post("/api/v1/workflows/wf_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1/run", &json!({})).await.error(404, "not_found");
    app.post("/api/v1/workflows/exe_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1/run", &json!({}))
        .await
        .error(400, "invalid_id");
}

#[tokio::test]
async fn an_inline_definition_runs_and_is_kept() {
    let app = TestApp::new().await;
    let accepted = app.post("/api/v1/run", &json!({"definition": settings_graph()})).await.ok(202);
    assert_eq!(accepted["workflow_id"], json!(null));
    let started = app.start().await;
    let run = app.store.execution_definition(sightflow_types::TenantId::BUILT_IN, started.execution.id).await.unwrap();
    assert_eq!((run.digest, run.definition), (started.definition_digest, settings_graph()));
    let broken = json!({"definition": {"nodes": [{"id": "a", "type": "nothing"}]}});
    app.post("/api/v1/run", &broken).await.error(422, "definition_invalid");
    for body in [json!({}), json!({"definition": 3})] {
        assert_eq!(app.post("/api/v1/run", &body).await.error(400, "invalid_field")[0]["pointer"], "/definition");
    }
}

#[tokio::test]
async fn a_repeated_run_with_a_key_is_one_execution() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let path = format!("/api/v1/workflows/{id}/run");
    let body = json!({"input": {"image_base64": base64(&png(8, 6))}});
    let first = app.post_with(&path, &[("idempotency-key", "r1")], &body).await;
    let started = app.start().await;
    app.finish(&started, json!({}), None).await;
    let again = app.post_with(&path, &[("idempotency-key", "r1")], &body).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.ok(202), first.ok(202), "the first answer again");
    app.post_with(&path, &[("idempotency-key", "r1")], &json!({"input": {"image_base64": base64(&png(9, 6))}}))
        .await
        .error(409, "idempotency_conflict");
    // Whatever has changed since, the answer is the first one.
    app.patch(&format!("/api/v1/workflows/{id}"), &[], &json!({"status": "archived"})).await.ok(200);
    assert_eq!(app.post_with(&path, &[("idempotency-key", "r1")], &body).await.ok(202), first.ok(202));
    app.post_with(&path, &[("idempotency-key", "r2")], &body).await.error(409, "workflow_archived");
    app.patch(&format!("/api/v1/workflows/{id}"), &[], &json!({"status": "draft"})).await.ok(200);
    // The boundary is no part of a multipart request's identity.
    let one = app
        .request(Method::POST, &path, &[MULTIPART, ("idempotency-key", "m1")], multipart(&[("image", &png(8, 6))]))
        .await
        .ok(202);
    let other = String::from_utf8_lossy(&multipart(&[])).len();
    assert!(other > 0);
    let two = app
        .request(
            Method::POST,
            &path,
            &[("content-type", "multipart/form-data; boundary=YY"), ("idempotency-key", "m1")],
            {
                let text = multipart(&[("image", &png(8, 6))]);
                replace(&text, b"--XX", b"--YY")
            },
        )
        .await
        .ok(202);
    assert_eq!(one["id"], two["id"]);
    assert_eq!(app.get("/api/v1/executions?total=true").await.ok(200)["total"], 2);
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) {
            result.extend(to);
            at += from.len();
        } else {
            result.push(text[at]);
            at += 1;
        }
    }
    result
}

#[tokio::test]
async fn a_synchronous_run_answers_with_the_finished_execution() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let path = format!("/api/v1/workflows/{id}/run");
    for (body, headers) in [(json!({"mode": "sync"}), vec![]), (json!({}), vec![("prefer", "wait=30")])] {
        let run = app.post_with(&path, &headers, &body);
        let engine = async {
            let mut signals = app.store.subscribe();
            while app.store.queue_depth().await.unwrap().waiting_executions == 0 {
                signals.recv().await.unwrap();
            }
            let started = app.start().await;
            app.record(&started, "node.started", json!({"node_id": "settings"})).await;
            app.finish(&started, json!({"settings": {"value": 3}}), None).await;
        };
        let (answer, ()) = tokio::join!(run, engine);
        let execution = answer.ok(200);
        assert_eq!(
            (&execution["status"], &execution["outputs"], &execution["output_data"]),
            (&json!("completed"), &json!({"settings": {"value": 3}}), &json!({"settings": {"value": 3}}))
        );
        assert_eq!(answer.header("preference-applied"), if headers.is_empty() { "" } else { "wait=30" });
    }
    let late = app.post_with(&path, &[("prefer", "wait=0")], &json!({"mode": "sync"})).await;
    assert_eq!((late.ok(202)["status"].clone(), late.header("preference-applied")), (json!("pending"), "wait=0"));
    app.post_with(&path, &[("prefer", "wait=soon")], &json!({})).await.error(400, "invalid_field");
}

#[tokio::test]
async fn a_full_queue_refuses_runs() {
    let config = sightflow_api::ApiConfig { max_waiting_executions: 1, ..Default::default() };
    let app = TestApp::with(config, &[]).await;
    let id = app.workflow(&settings_graph()).await;
    let path = format!("/api/v1/workflows/{id}/run");
    let first = app.post_with(&path, &[("idempotency-key", "a")], &json!({})).await.ok(202);
    let refused = app.post(&path, &json!({})).await;
    refused.error(429, "queue_full");
    app.post_with(&path, &[("idempotency-key", "b")], &json!({})).await.error(429, "queue_full");
    let again = app.post_with(&path, &[("idempotency-key", "a")], &json!({})).await.ok(202);
    assert_eq!(again, first, "what was accepted before is not new work");
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
}

#[tokio::test]
async fn a_view_of_a_stored_image_must_lie_inside_it() {
    let app = TestApp::new().await;
    let id = app.workflow(&photo_graph()).await;
    let digest = app.request(Method::POST, "/api/v1/images", &[], png(8, 6)).await.ok(201)["digest"].clone();
    for (view, ok) in [
        (json!({"x": 1, "y": 2, "width": 7, "height": 4}), true),
        (json!({"x": 1, "y": 2, "width": 8, "height": 4}), false),
        (json!({"x": 0, "y": 0, "width": 0, "height": 1}), false),
    ] {
        let body = json!({"input": {"image": {"$image": {"digest": digest, "view": view}}}});
        let answer = app.post(&format!("/api/v1/workflows/{id}/run"), &body).await;
        if ok {
            answer.ok(202);
        } else {
            answer.error(422, "image_invalid");
        }
    }
}

#[tokio::test]
async fn the_blocks_of_an_inline_definition_are_asked_once() {
    let app = TestApp::new().await;
    let noted =
        |text: &str| json!({"nodes": [{"id": "n", "type": "note", "config": {"text": text}, "inputs": {"value": 1}}]});
    let run = async |text: &str| app.post("/api/v1/run", &json!({"definition": noted(text)})).await;
    for _ in 0..2 {
        let details = run("bad").await.error(422, "definition_invalid");
        let detail = &details[0];
        assert_eq!((&detail["code"], &detail["pointer"]), (&json!("E-CONFIG"), &json!("/nodes/0/config/text")));
    }
    let asked = app.checks.load(Ordering::Relaxed);
    for _ in 0..3 {
        run("fine").await.ok(202);
    }
    assert_eq!(app.checks.load(Ordering::Relaxed), asked + 1);
    // Saved and run as a workflow, its blocks are asked when it is saved, and that counts for a run without it, too.
    let id = app.workflow(&noted("odd")).await;
    app.run(&id, &json!({})).await;
    run("odd").await.ok(202);
    assert_eq!(app.checks.load(Ordering::Relaxed), asked + 2);
}

#[tokio::test]
async fn a_deleted_execution_frees_its_key() {
    let app = TestApp::new().await;
    let path = format!("/api/v1/workflows/{}/run", app.workflow(&settings_graph()).await);
    let run = async || {
        let answer = app.post_with(&path, &[("idempotency-key", "k")], &json!({})).await;
        (answer.header("idempotency-replayed") == "true", answer.ok(202)["id"].as_str().unwrap().to_owned())
    };
    let (_, first) = run().await;
    assert_eq!(run().await, (true, first.clone()));
    app.request(Method::POST, &format!("/api/v1/executions/{first}/cancel"), &[], "").await.ok(200);
    app.delete(&format!("/api/v1/executions/{first}")).await.ok(200);
    let (replayed, second) = run().await;
    assert!(!replayed && second != first);
}
