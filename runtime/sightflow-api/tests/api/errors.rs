//! Bad requests, one table: every refusal comes out in the one shape.

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;

use crate::support::{MULTIPART, TestApp, multipart};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn requests_that_no_route_takes() {
    let app = TestApp::new().await;
    let missing = "/api/v1/workflows/wf_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    for (method, path, headers, body, status, code, pointer) in [
        (Method::GET, "/api/v1/nothing", vec![], "", 404, "not_found", ""),
        (Method::GET, "/nothing", vec![], "", 404, "not_found", ""),
        (Method::GET, "/api/v1", vec![], "", 404, "not_found", ""),
        (Method::POST, "/api/v1/workflows/x/batch", vec![JSON], "{}", 404, "not_found", ""),
        (Method::PUT, "/api/v1/workflows", vec![JSON], "{}", 405, "method_not_allowed", ""),
        (Method::DELETE, "/healthz", vec![], "", 405, "method_not_allowed", ""),
        (Method::POST, "/api/v1/workflows", vec![JSON], "", 400, "bad_json", ""),
        (Method::POST, "/api/v1/workflows", vec![JSON], "{", 400, "bad_json", ""),
        (Method::POST, "/api/v1/workflows", vec![JSON], "{\"name\": \"\u{1}\"}", 400, "bad_json", "/name"),
        (Method::POST, "/api/v1/workflows", vec![JSON], "[]", 400, "invalid_field", ""),
        (Method::POST, "/api/v1/workflows", vec![], "{}", 415, "unsupported_media_type", ""),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![("content-type", "text/plain")],
            "{}",
            415,
            "unsupported_media_type",
            "",
        ),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![("content-type", "application/vnd.x+json; charset=utf-8")],
            "{}",
            400,
            "invalid_field",
            "/name",
        ),
        (Method::POST, "/api/v1/workflows", vec![JSON], "{\"name\": 3}", 400, "invalid_field", "/name"),
        (Method::POST, "/api/v1/workflows", vec![JSON], "{\"name\": \" \"}", 400, "invalid_field", "/name"),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![JSON],
            "{\"name\": \"x\", \"status\": \"done\"}",
            400,
            "invalid_field",
            "/status",
        ),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![JSON],
            "{\"name\": \"x\", \"definition\": 3}",
            400,
            "invalid_field",
            "/definition",
        ),
        (Method::POST, "/api/v1/workflows", vec![JSON], "{\"nmae\": \"x\"}", 400, "unknown_field", "/nmae"),
        (Method::POST, "/api/v1/workflows/validate", vec![JSON], "{}", 400, "invalid_field", "/definition"),
        (Method::GET, "/api/v1/workflows/7", vec![], "", 400, "invalid_id", ""),
        (Method::GET, missing, vec![], "", 404, "not_found", ""),
        (Method::PATCH, missing, vec![JSON], "{}", 400, "invalid_field", ""),
        (Method::PATCH, missing, vec![JSON], "{\"name\": null}", 400, "invalid_field", "/name"),
        (Method::PATCH, missing, vec![JSON], "{\"name\": \"x\"}", 404, "not_found", ""),
        (Method::GET, "/api/v1/workflows?limit=0", vec![], "", 400, "invalid_field", "?limit"),
        (Method::GET, "/api/v1/workflows?limit=101", vec![], "", 400, "invalid_field", "?limit"),
        (Method::GET, "/api/v1/workflows?sort=name", vec![], "", 400, "unknown_field", "?sort"),
        (Method::GET, "/api/v1/workflows?cursor=zzz", vec![], "", 400, "invalid_cursor", ""),
        (
            Method::GET,
            "/api/v1/executions?workflow_id=exe_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1",
            vec![],
            "",
            400,
            "invalid_field",
            "?workflow_id",
        ),
        (Method::GET, "/api/v1/executions?created_after=yesterday", vec![], "", 400, "invalid_field", "?created_after"),
        (Method::GET, "/api/v1/executions?created_after=", vec![], "", 400, "invalid_field", "?created_after"),
        (Method::GET, "/api/v1/executions?total=", vec![], "", 400, "invalid_field", "?total"),
        (Method::GET, "/api/v1/workflows?search=%00", vec![], "", 400, "invalid_field", "?search"),
        // A query that no part of the route reads.
        (Method::GET, "/api/v1/workflows/wf_1?foo=1", vec![], "", 400, "unknown_field", "?foo"),
        (Method::GET, "/api/v1/executions/exe_1?waits=1", vec![], "", 400, "unknown_field", "?waits"),
        (Method::HEAD, "/api/v1/blobs/sha256:1?foo", vec![], "", 400, "unknown_field", "?foo"),
        (Method::POST, "/api/v1/executions/exe_1/cancel?x=1", vec![], "", 400, "unknown_field", "?x"),
        (Method::POST, "/api/v1/run?version=1", vec![JSON], "{}", 400, "unknown_field", "?version"),
        (Method::GET, "/healthz?verbose", vec![], "", 400, "unknown_field", "?verbose"),
        (Method::GET, "/api/v1/readyz?verbose", vec![], "", 400, "unknown_field", "?verbose"),
        (Method::GET, "/openapi.json?pretty", vec![], "", 400, "unknown_field", "?pretty"),
        (Method::GET, "/api/v1/blocks/a/b/c?foo", vec![], "", 400, "unknown_field", "?foo"),
        (Method::PUT, "/api/v1/workflows?foo=1", vec![], "", 405, "method_not_allowed", ""),
        (Method::GET, "/api/v1/nothing?foo=1", vec![], "", 404, "not_found", ""),
        // What is written twice, or cannot be kept.
        (Method::POST, "/api/v1/workflows", vec![JSON], r#"{"name": "a", "name": "b"}"#, 400, "invalid_field", "/name"),
        (Method::POST, "/api/v1/workflows", vec![JSON], r#"{"name": "a\u0000"}"#, 400, "invalid_field", "/name"),
        (Method::POST, "/api/v1/workflows", vec![JSON], r#"{"name": "\ud800"}"#, 400, "bad_json", "/name"),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![JSON],
            r#"{"name": "a", "definition": {"nodes": [{"id": "a", "id": "b"}]}}"#,
            400,
            "invalid_field",
            "/definition/nodes/0/id",
        ),
        (
            Method::POST,
            "/api/v1/workflows/validate",
            vec![JSON],
            r#"{"definition": {"nodes": [{"id": "a", "type": "note", "config": {"n": 9007199254740993}}]}}"#,
            422,
            "definition_invalid",
            "/definition/nodes/0/config/n",
        ),
        (
            Method::POST,
            "/api/v1/workflows",
            vec![JSON, ("content-encoding", "deflate")],
            "{}",
            415,
            "unsupported_media_type",
            "",
        ),
        (Method::POST, "/api/v1/workflows", vec![JSON, ("content-encoding", "gzip")], "{}", 400, "bad_json", ""),
        (Method::GET, "/api/v1/workflows", vec![("host", "evil.example")], "", 403, "origin_not_allowed", ""),
        (Method::GET, "/api/v1/workflows", vec![("origin", "https://evil.example")], "", 403, "origin_not_allowed", ""),
    ] {
        let answer = app.request(method.clone(), path, &headers, body).await;
        if method == Method::HEAD {
            assert_eq!(answer.status, status, "{path}");
            continue;
        }
        let details = answer.error(status, code);
        assert_eq!(
            details.first().map_or("", |detail| detail["pointer"].as_str().unwrap()),
            pointer,
            "{method} {path} {body}"
        );
    }
    let put = app.request(Method::PUT, "/api/v1/workflows", &[], "").await;
    assert!(put.header("allow").contains("POST"), "{}", put.header("allow"));
}

#[tokio::test]
async fn a_misspelt_field_is_named_with_what_was_meant() {
    let app = TestApp::new().await;
    let details = app
        .post("/api/v1/workflows", &json!({"nmae": "x", "descripton": "y", "wholly": 1}))
        .await
        .error(400, "unknown_field");
    let found: Vec<_> =
        details.iter().map(|detail| (detail["pointer"].as_str().unwrap(), detail["suggestion"].as_str())).collect();
    assert_eq!(found, [("/descripton", Some("description")), ("/nmae", Some("name")), ("/wholly", None)]);
}

#[tokio::test]
async fn nesting_is_bounded() {
    let app = TestApp::new().await;
    let deep =
        format!("{{\"name\": \"x\", \"definition\": {{\"a\": {}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
    app.request(Method::POST, "/api/v1/workflows", &[JSON], deep).await.error(400, "bad_json");
}

fn zeros(mebibytes: usize) -> Body {
    let chunk = Bytes::from(vec![b'0'; 1 << 20]);
    Body::from_stream(futures::stream::iter((0..mebibytes).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
}

#[tokio::test]
async fn sixty_megabytes() {
    let app = TestApp::new().await;
    let id = app.workflow(&crate::support::photo_graph()).await;
    let run = format!("/api/v1/workflows/{id}/run");
    for (path, size, status, code) in [
        ("/api/v1/workflows", 60, 413, "body_too_large"),
        ("/api/v1/workflows/validate", 60, 413, "body_too_large"),
        (run.as_str(), 60, 400, "bad_json"),
        (run.as_str(), 65, 413, "body_too_large"),
        ("/api/v1/run", 65, 413, "body_too_large"),
    ] {
        app.request(Method::POST, path, &[JSON], zeros(size)).await.error(status, code);
    }
    let declared = app.request(Method::POST, "/api/v1/workflows", &[JSON, ("content-length", "62914560")], "").await;
    declared.error(413, "body_too_large");
}

/// Bytes that this process has had in memory at most.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sixty_megabytes_of_small_values_are_refused_without_a_tree() {
    let memory = sightflow_memory::MemoryPool::new(256 << 20);
    let app = TestApp::with(sightflow_api::ApiConfig { memory: memory.clone(), ..Default::default() }, &[]).await;
    let id = app.workflow(&crate::support::settings_graph()).await;
    let chunk = Bytes::from("0,".repeat(512 << 10));
    let chunks = std::iter::once(Bytes::from("{\"input\": {\"x\": ["))
        .chain(std::iter::repeat_n(chunk, 60))
        .chain([Bytes::from("0]}}")]);
    let body = Body::from_stream(futures::stream::iter(chunks.map(Ok::<_, std::io::Error>)));
    let before = peak();
    app.request(Method::POST, &format!("/api/v1/workflows/{id}/run"), &[JSON], body).await.error(413, "body_too_large");
    // The text itself, while its buffer grows; a tree of it took four gigabytes.
    let grown = peak() - before;
    assert!(grown < 400 << 20, "{grown} bytes");
    assert_eq!(memory.used(), 0, "all of it was given back");
}

#[tokio::test]
async fn bodies_share_the_memory_of_the_process() {
    let memory = sightflow_memory::MemoryPool::new(64 << 20);
    let app = TestApp::with(sightflow_api::ApiConfig { memory: memory.clone(), ..Default::default() }, &[]).await;
    let all = memory.try_reserve(sightflow_memory::Use::Images, 64 << 20).unwrap();
    let picture = crate::support::png(8, 6);
    let multipart = crate::support::multipart(&[("file", &picture)]);
    let refused = [
        app.post("/api/v1/workflows", &json!({"name": "x"})).await,
        app.post("/api/v1/run", &json!({})).await,
        app.request(Method::POST, "/api/v1/blobs", &[], picture.clone()).await,
        app.request(Method::POST, "/api/v1/blobs", &[crate::support::MULTIPART], multipart).await,
    ];
    for answer in refused {
        answer.error(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "2");
    }
    drop(all);
    app.post("/api/v1/workflows", &json!({"name": "x"})).await.ok(201);
    app.request(Method::POST, "/api/v1/blobs", &[], picture).await.ok(201);
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn request_ids() {
    let app = TestApp::new().await;
    for (given, echoed) in [(Some("abc-1"), true), (None, false), (Some("with space"), false)] {
        let headers: Vec<_> = given.iter().map(|id| ("x-request-id", *id)).collect();
        let answer = app.get_with("/healthz", &headers).await;
        let id = answer.header("x-request-id");
        assert_eq!(id == given.unwrap_or_default(), echoed, "{id}");
        assert!(echoed || id.starts_with("req_"), "{id}");
    }
}

#[tokio::test]
async fn every_code_has_its_reference() {
    let app = TestApp::new().await;
    let all = app.get("/api/v1/errors").await.ok(200);
    assert!(all["items"].as_array().unwrap().len() > 20);
    assert_eq!(app.get("/api/v1/errors/queue_full").await.ok(200)["status"], 429);
    let finding = app.get("/api/v1/errors/E-LOOP-ESCAPE").await.ok(200);
    assert_eq!(finding["status"], serde_json::Value::Null);
    assert!(finding["help"].as_str().unwrap().contains("`collect`"), "{finding}");
    app.get("/api/v1/errors/nothing").await.error(404, "not_found");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_told_from_a_broken_one() {
    let app = TestApp::new().await;
    let start = Bytes::from(multipart(&[("file", b"begun")])[..40].to_vec());
    let slow = || {
        let start = futures::stream::iter([Ok::<_, std::io::Error>(start.clone())]);
        Body::from_stream(start.chain(futures::stream::pending()))
    };
    // From here on a wait for the client takes no time.
    tokio::time::pause();
    for (path, header) in
        [("/api/v1/workflows", JSON), ("/api/v1/blobs", ("content-type", "image/png")), ("/api/v1/blobs", MULTIPART)]
    {
        let answer = app.request(Method::POST, path, &[header], slow()).await;
        answer.error(408, "body_too_slow");
    }
}
