use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sightflow_api::ApiConfig;
use sightflow_store::{Quota, Quotas};

use crate::support::{Answer, MULTIPART, TestApp, component, field, multipart, png};

const PACKAGES: &str = "/api/v1/block-packages";
const WASM: [(&str, &str); 1] = [("content-type", "application/wasm")];

async fn publish(app: &TestApp, query: &str, component: &Value) -> Answer {
    app.request(Method::POST, &format!("{PACKAGES}{query}"), &WASM, component.to_string()).await
}

fn types(list: &Value) -> Vec<&str> {
    let all = list["items"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap());
    all.filter(|name| name.contains('/')).collect()
}

#[tokio::test]
async fn a_package_s_life() {
    let app = TestApp::new().await;
    let before = app.get("/api/v1/blocks").await;
    let created = publish(&app, "?name=acme/retail&version=1.0.0", &component(&["gap"])).await;
    let package = created.ok(201);
    let id = package["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{PACKAGES}/{id}"));
    for (key, expected) in [
        ("name", json!("acme/retail")),
        ("active_version", json!("1.0.0")),
        ("previous_version", json!(null)),
        ("blocks", json!(["acme/retail/gap"])),
        ("state", json!("active")),
        ("reason", json!(null)),
        ("grants", json!({"requested": [], "effective": []})),
        ("warnings", json!([])),
    ] {
        assert_eq!(package.get(key), Some(&expected), "{key}");
    }
    // It is there at once, and the list's tag changes with every activation.
    let one = app.get_with("/api/v1/blocks", &[("if-none-match", before.header("etag"))]).await;
    assert_eq!(types(&one.ok(200)), ["acme/retail/gap"]);
    assert_eq!(publish(&app, "?name=acme/retail&version=1.0.0", &component(&["gap"])).await.ok(200), package);
    let second = publish(&app, "?name=acme/retail&version=2.0.0", &component(&["gap", "shelf"])).await.ok(201);
    assert_eq!((&second["id"], &second["previous_version"]), (&package["id"], &json!("1.0.0")));
    let two = app.get_with("/api/v1/blocks", &[("if-none-match", one.header("etag"))]).await;
    assert_eq!(types(&two.ok(200)), ["acme/retail/gap", "acme/retail/shelf"]);

    // By id, by name in two steps, by name in one.
    for key in [id.as_str(), "acme/retail", "acme%2Fretail"] {
        assert_eq!(app.get(&format!("{PACKAGES}/{key}")).await.ok(200), second, "{key}");
        let versions = app.get(&format!("{PACKAGES}/{key}/versions")).await.ok(200);
        let versions: Vec<_> =
            versions["items"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
        assert_eq!(versions, ["2.0.0", "1.0.0"], "{key}");
        let version = app.get(&format!("{PACKAGES}/{key}/versions/1.0.0")).await.ok(200);
        assert_eq!((&version["state"], &version["wit"]), (&json!("published"), &json!("0.1")));
        assert_eq!(version["manifests"][0]["name"], "gap");
        let bytes = app.get(&format!("{PACKAGES}/{key}/versions/1.0.0/component")).await;
        assert_eq!((bytes.header("content-type"), &bytes.json()), ("application/wasm", &component(&["gap"])));
    }
    assert_eq!(app.get(PACKAGES).await.ok(200)["items"], json!([second]));

    // One version exactly, whichever is active; the active one by a requirement, or without its package.
    for (name, version) in [
        ("acme/retail/gap", "2.0.0"),
        ("acme/retail/gap@1.0.0", "1.0.0"),
        ("acme/retail/gap@2.0.0", "2.0.0"),
        ("acme/retail/gap@%5E2", "2.0.0"),
        ("gap", "2.0.0"),
        ("gap@1.0.0", "1.0.0"),
    ] {
        assert_eq!(app.get(&format!("/api/v1/blocks/{name}")).await.ok(200)["version"], version, "{name}");
    }
    for name in ["acme/retail/gap@3.0.0", "acme/retail/gap@%5E1", "acme/retail/shelf@1.0.0"] {
        app.get(&format!("/api/v1/blocks/{name}")).await.error(404, "not_found");
    }

    let back = app.post(&format!("{PACKAGES}/{id}/rollback"), &json!({})).await.ok(200);
    assert_eq!((&back["active_version"], &back["previous_version"]), (&json!("1.0.0"), &json!("2.0.0")));
    assert_eq!(types(&app.get("/api/v1/blocks").await.ok(200)), ["acme/retail/gap"]);
    let forth = app.post(&format!("{PACKAGES}/acme/retail/activate"), &json!({"version": "2.0.0"})).await.ok(200);
    assert_eq!(forth["active_version"], "2.0.0");
    app.post(&format!("{PACKAGES}/{id}/activate"), &json!({"version": "9.0.0"})).await.error(404, "not_found");

    // An active workflow holds what it names: the active version, and the package.
    let nodes = json!([{"id": "n", "type": "acme/retail/gap", "inputs": {"value": 1}}]);
    let workflow = app.workflow(&json!({"nodes": nodes})).await;
    let workflow = format!("/api/v1/workflows/{workflow}");
    app.patch(&workflow, &[], &json!({"status": "active"})).await.ok(200);
    app.delete(&format!("{PACKAGES}/{id}")).await.error(409, "in_use");
    app.delete(&format!("{PACKAGES}/{id}/versions/2.0.0")).await.error(409, "in_use");
    let left = app.delete(&format!("{PACKAGES}/{id}/versions/1.0.0")).await.ok(200);
    assert_eq!((&left["active_version"], &left["previous_version"]), (&json!("2.0.0"), &json!(null)));
    app.get("/api/v1/blocks/acme/retail/gap@1.0.0").await.error(404, "not_found");
    app.post(&format!("{PACKAGES}/{id}/activate"), &json!({"version": "1.0.0", "force": true}))
        .await
        .error(409, "conflict");
    app.post(&format!("{PACKAGES}/{id}/rollback"), &json!({})).await.error(409, "conflict");
    let deleted = app.delete(&format!("{PACKAGES}/acme/retail?force=true")).await.ok(200);
    assert_eq!(deleted, json!({"id": id, "deleted": true}));
    app.get(&format!("{PACKAGES}/{id}")).await.error(404, "not_found");
    let gone = app.get_with("/api/v1/blocks", &[("if-none-match", before.header("etag"))]).await;
    assert_eq!(gone.status, 304, "as before");
}

#[tokio::test]
async fn grants_take_the_place_of_former_ones_and_are_hosts_and_secrets() {
    let app = TestApp::new().await;
    let package = publish(&app, "?name=acme/retail&version=1.0.0", &component(&["gap"])).await.ok(201);
    let grants = format!("{PACKAGES}/{}/grants", package["id"].as_str().unwrap());
    let given =
        json!({"capabilities": ["http:api.example.com", "http:*.example.org:8443"], "secrets": {"KEY": "retail_key"}});
    // Its block asks for nothing, and so has nothing of it.
    let granted = app.put(&grants, &given).await.ok(200);
    assert_eq!(granted["grants"], json!({"requested": [], "effective": []}));
    let long = vec!["http:a.example"; 101];
    for (body, status, code) in [
        (json!({"capabilities": ["http:"]}), 422, "grant_invalid"),
        (json!({"capabilities": ["http:http://api.example.com"]}), 422, "grant_invalid"),
        (json!({"capabilities": ["http:a.example:99999"]}), 422, "grant_invalid"),
        (json!({"capabilities": ["secret:KEY"]}), 422, "grant_invalid"),
        (json!({"capabilities": ["files:/etc"]}), 422, "grant_invalid"),
        (json!({"capabilities": long}), 422, "grant_invalid"),
        (json!({"secrets": {"a b": "c"}}), 422, "grant_invalid"),
        (json!({"secrets": {"KEY": "../up"}}), 422, "grant_invalid"),
        (json!({"hosts": []}), 400, "unknown_field"),
        (json!([]), 400, "invalid_field"),
    ] {
        app.put(&grants, &body).await.error(status, code);
    }
    app.put(&format!("{PACKAGES}/acme/none/grants"), &json!({})).await.error(404, "not_found");
}

#[tokio::test]
async fn a_secret_is_named_and_never_shown() {
    let app = TestApp::new().await;
    assert_eq!(app.put("/api/v1/secrets/openai", &json!({"value": "sk-1234"})).await.status, 204);
    assert_eq!(app.put("/api/v1/secrets/openai", &json!({"value": "sk-5678"})).await.status, 204);
    let listed = app.get("/api/v1/secrets").await.ok(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert!(!listed.to_string().contains("sk-"), "{listed}");
    for (name, body) in [
        ("1st", json!({"value": "a"})),
        ("a.b", json!({"value": "a"})),
        ("a", json!({"value": ""})),
        ("a", json!({"value": "line\nbreak"})),
        ("a", json!({"value": "ä"})),
        ("a", json!({"value": "x".repeat(4097)})),
    ] {
        app.put(&format!("/api/v1/secrets/{name}"), &body).await.error(400, "invalid_field");
    }
    assert_eq!(app.delete("/api/v1/secrets/openai").await.status, 204);
    app.delete("/api/v1/secrets/openai").await.error(404, "not_found");
}

#[tokio::test]
async fn what_is_refused() {
    let quotas = Quotas::default().with(&[(Quota::Packages, Some(1))].into());
    let config = ApiConfig { quotas, ..ApiConfig::default() };
    let app = TestApp::with(config, &[]).await;
    let fine = component(&["gap"]);
    let named = json!({"blocks": ["gap"], "name": "acme/self", "version": "1.2.3"});
    let wrong = json!({"blocks": ["gap"], "examples": [{"inputs": {"value": 1}, "outputs": {"value": 1}}, {"inputs": {"value": 1}, "outputs": {"value": 2}}]});
    // The query, the component; status, code, and of each detail its code.
    let cases: [(&str, &str, u16, &str, Vec<&str>); 11] = [
        ("", &fine.to_string(), 400, "invalid_field", vec!["invalid_field"]),
        ("?name=acme/a", &fine.to_string(), 400, "invalid_field", vec!["invalid_field"]),
        ("?name=acme/a&version=one", &fine.to_string(), 400, "invalid_field", vec!["invalid_field"]),
        ("?name=acme/a&version=1.0.0&colour=red", &fine.to_string(), 400, "unknown_field", vec!["unknown_field"]),
        ("?name=acme&version=1.0.0", &fine.to_string(), 422, "component_invalid", vec!["E-MANIFEST"]),
        ("?name=sightflow/logic&version=1.0.0", &fine.to_string(), 422, "component_invalid", vec!["E-MANIFEST"]),
        ("?name=acme/a&version=1.0.0", "noise", 422, "component_invalid", vec!["E-SHAPE", "E-WIT"]),
        ("?name=acme/a&version=1.0.0", &named.to_string(), 422, "component_invalid", vec!["E-MANIFEST", "E-MANIFEST"]),
        ("?name=acme/a&version=1.0.0&verify=true", &wrong.to_string(), 422, "component_invalid", vec!["E-EXAMPLE"]),
        ("?name=acme/a&version=1.0.0&dry_run=true", "noise", 422, "component_invalid", vec!["E-SHAPE", "E-WIT"]),
        ("?name=acme/a&version=1.0.0&activate=perhaps", &fine.to_string(), 400, "invalid_field", vec!["invalid_field"]),
    ];
    for (query, body, status, code, details) in cases {
        let answer = app.request(Method::POST, &format!("{PACKAGES}{query}"), &WASM, body.to_owned()).await;
        let found = answer.error(status, code);
        let found: Vec<_> = found.iter().map(|detail| detail["code"].as_str().unwrap()).collect();
        assert_eq!(found, details, "{query}");
    }
    let checked = publish(&app, "?dry_run=true", &named).await.ok(200);
    assert_eq!((&checked["id"], &checked["blocks"]), (&json!(null), &json!(["acme/self/gap"])));
    assert_eq!(app.get(PACKAGES).await.ok(200)["items"], json!([]), "nothing was stored");

    let long = [("content-type", "application/wasm"), ("content-length", "33554433")];
    app.request(Method::POST, PACKAGES, &long, Body::empty()).await.error(413, "body_too_large");
    app.request(Method::POST, PACKAGES, &WASM, vec![0; (32 << 20) + 1]).await.error(413, "body_too_large");
    app.post(PACKAGES, &fine).await.error(415, "unsupported_media_type");
    let signed = multipart(&[("signature", b"x"), ("component", b"y")]);
    app.request(Method::POST, PACKAGES, &[MULTIPART], signed).await.error(400, "invalid_field");
    app.request(Method::POST, PACKAGES, &[MULTIPART], field("name", "acme/a")).await.error(400, "invalid_field");

    let form = multipart(&[("component", named.to_string().as_bytes())]);
    let kept = app.request(Method::POST, &format!("{PACKAGES}?activate=false"), &[MULTIPART], form).await.ok(201);
    assert_eq!(
        (&kept["active_version"], &kept["state"], &kept["blocks"]),
        (&json!(null), &json!("inactive"), &json!([]))
    );
    publish(&app, "?name=acme/self&version=1.2.3", &fine).await.error(409, "already_exists");
    publish(&app, "?name=acme/other&version=1.0.0", &fine).await.error(429, "quota_exceeded");
    for path in ["nonsense", "blk_1", "019ab3c0"] {
        app.get(&format!("{PACKAGES}/{path}")).await.error(400, "invalid_id");
    }
    app.get(&format!("{PACKAGES}/acme/nothing")).await.error(404, "not_found");
}

#[tokio::test]
async fn names_that_several_packages_have() {
    let app = TestApp::new().await;
    publish(&app, "?name=acme/a&version=1.0.0", &component(&["note", "gap", "only"])).await.ok(201);
    publish(&app, "?name=acme/b&version=1.0.0", &component(&["note", "gap"])).await.ok(201);
    for (name, package) in [("note", "sightflow/output"), ("only", "acme/a"), ("acme/b/note", "acme/b")] {
        assert_eq!(app.get(&format!("/api/v1/blocks/{name}")).await.ok(200)["package"], package, "{name}");
    }
    let nodes = json!([{"id": "n", "type": "gap", "inputs": {"value": 1}}]);
    let found = app.post("/api/v1/workflows/validate", &json!({"definition": {"nodes": nodes}})).await.ok(200);
    assert_eq!(found["errors"][0]["code"], "E-TYPE-UNKNOWN");
    let message = found["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("write `acme/a/gap` or `acme/b/gap`"), "{message}");
}

#[tokio::test]
async fn one_call_of_a_block() {
    let app = TestApp::new().await;
    publish(&app, "?name=acme/a&version=1.0.0", &component(&["gap"])).await.ok(201);
    publish(&app, "?name=acme/a&version=2.0.0", &component(&["gap", "more"])).await.ok(201);
    let image = app.request(Method::POST, "/api/v1/blobs", &[("content-type", "image/png")], png(4, 3)).await.ok(201);
    let inputs = json!({"value": [1, {"$image": {"digest": image["digest"]}}]});
    let answer =
        app.post("/api/v1/blocks/acme/a/gap/test", &json!({"inputs": inputs, "config": {"text": "x"}})).await.ok(200);
    assert_eq!(
        (&answer["error"], &answer["logs"], &answer["profile"]["images"]),
        (&json!(null), &json!([]), &json!(2))
    );
    let given = &answer["outputs"]["value"];
    assert_eq!(
        (&given[0], &given[1]["$image"]["digest"], &given[1]["$image"]["width"]),
        (&json!(1), &image["digest"], &json!(4))
    );
    assert!(given[1]["$image"]["url"].as_str().unwrap().starts_with("/api/v1/blobs/sha256:"), "{given}");
    app.post("/api/v1/blocks/gap/test", &json!({"inputs": {"value": 1}, "version": "1.0.0"})).await.ok(200);

    let other = json!({"digest": format!("sha256:{}", "0".repeat(64))});
    for (path, body, status, code, pointer) in [
        ("acme/a/gap", json!({"inputs": {"value": 1, "valeu": 2}}), 422, "input_invalid", "/inputs/valeu"),
        ("acme/a/gap", json!({}), 422, "input_invalid", "/inputs/value"),
        ("acme/a/gap", json!({"inputs": {"value": 1}, "config": {"text": 7}}), 422, "input_invalid", "/config/text"),
        ("acme/a/gap", json!({"inputs": {"value": {"$image": other}}}), 422, "input_invalid", "/inputs"),
        ("acme/a/gap", json!({"inputs": {"value": {"$image": 0}}}), 422, "input_invalid", "/inputs"),
        ("image_input", json!({}), 422, "input_invalid", ""),
        ("acme/a/gap", json!({"inputs": {"value": 1}, "version": "3.0.0"}), 404, "not_found", "-"),
        ("acme/a/gap@1.0.0", json!({"inputs": {"value": 1}, "version": "1.0.0"}), 400, "invalid_field", "/version"),
        ("acme/a/gap", json!({"inputs": {"value": 1}, "digest": other["digest"]}), 409, "conflict", "-"),
    ] {
        let details = app.post(&format!("/api/v1/blocks/{path}/test"), &body).await.error(status, code);
        let found = details.first().map_or("-", |detail| detail["pointer"].as_str().unwrap());
        assert_eq!(found, pointer, "{path} {body}");
    }
}
