use serde_json::json;

use sightflow_types::TenantId;

use crate::support::{TestApp, package};

#[tokio::test]
async fn the_catalogue() {
    let app = TestApp::new().await;
    let answer = app.get("/api/v1/blocks").await;
    let all = answer.ok(200);
    let block = all["items"].as_array().unwrap().iter().find(|block| block["type"] == "note").unwrap();
    for (key, expected) in [
        ("package", json!("sightflow/output")),
        ("version", json!("0.1.0")),
        ("title", json!("Note")),
        ("category", json!("output")),
        ("icon", json!(null)),
        ("engine", json!("component")),
        ("inputs", json!([{"name": "value", "kind": "any", "required": true, "many": false, "description": ""}])),
        ("outputs", json!([{"name": "result", "kind": "any", "exclusive": false, "description": ""}])),
        ("role", json!(null)),
        ("named_outputs", json!(null)),
        ("capabilities", json!([])),
        ("effect", json!(false)),
        ("aliases", json!(["remark"])),
        ("examples", json!([])),
    ] {
        assert_eq!(block.get(key), Some(&expected), "{key}");
    }
    assert!(
        all["categories"].as_array().unwrap().contains(&json!({"id": "output", "title": "Output", "color": "#EF4444"}))
    );
    assert_eq!(app.get_with("/api/v1/blocks", &[("if-none-match", answer.header("etag"))]).await.status, 304);
    for (query, expected) in [
        ("?category=output", vec!["note"]),
        ("?search=REMARK", vec!["note"]),
        ("?search=%EF%BC%B2emark", vec!["note"]),
        ("?search=passes%20a", vec!["note"]),
        ("?category=nothing", vec![]),
    ] {
        let found = app.get(&format!("/api/v1/blocks{query}")).await.ok(200);
        let types: Vec<_> =
            found["items"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect();
        assert_eq!(types, expected, "{query}");
        assert_eq!(found["etag"], all["etag"], "the filters are no part of it");
    }
}

#[tokio::test]
async fn blocks_that_are_published_while_the_server_runs() {
    let app = TestApp::new().await;
    let before = app.get("/api/v1/blocks").await;
    let types = |body: &serde_json::Value| -> Vec<String> {
        body["items"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    let groups = json!(["Input", "Models", "Logic", "Output"]);
    assert_eq!(
        before.ok(200)["categories"].as_array().unwrap().iter().map(|group| group["title"].clone()).collect::<Vec<_>>(),
        *groups.as_array().unwrap(),
    );
    app.get("/api/v1/blocks/acme/more/note").await.error(404, "not_found");

    app.blocks.publish(TenantId::BUILT_IN, [package("acme/more")]).unwrap();
    let after = app.get_with("/api/v1/blocks", &[("if-none-match", before.header("etag"))]).await;
    let (old, new) = (before.ok(200), after.ok(200));
    assert_ne!(old["etag"], new["etag"]);
    let mut expected = types(&old);
    expected.insert(0, "acme/more/note".to_owned());
    assert!(expected.is_sorted(), "{expected:?}");
    assert_eq!(types(&new), expected);
    assert_eq!(app.get("/api/v1/blocks/acme/more/note").await.ok(200)["package"], "acme/more");
    let nodes = json!([{"id": "n", "type": "acme/more/note", "inputs": {"value": 1}}]);
    let request = json!({"definition": {"nodes": nodes}});
    let check = || app.post("/api/v1/workflows/validate", &request);
    assert_eq!(check().await.ok(200)["valid"], true);

    app.blocks.publish(TenantId::BUILT_IN, []).unwrap();
    let gone = app.get_with("/api/v1/blocks", &[("if-none-match", before.header("etag"))]).await;
    assert_eq!(gone.status, 304, "the same blocks are the same catalogue");
    assert_eq!(check().await.ok(200)["valid"], false);
}

#[tokio::test]
async fn one_block_by_every_name() {
    let app = TestApp::new().await;
    for name in ["note", "remark", "sightflow/output/note", "note@%5E0.1", "sightflow%2Foutput%2Fnote"] {
        let block = app.get(&format!("/api/v1/blocks/{name}")).await.ok(200);
        assert_eq!(block["type"], "note", "{name}");
        assert!(
            block["docs"].as_str().unwrap().contains("- `text`: What to say. Default `\"\"`."),
            "{}",
            block["docs"]
        );
    }
    app.get("/api/v1/blocks/nothing").await.error(404, "not_found");
    let near = app.get("/api/v1/blocks/notes").await.ok(404);
    assert!(near["error"]["message"].as_str().unwrap().contains("did you mean `note`?"), "{near}");
}
