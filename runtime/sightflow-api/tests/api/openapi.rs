use crate::support::TestApp;

#[test]
fn the_document() {
    insta::assert_json_snapshot!(sightflow_api::openapi());
}

#[tokio::test]
async fn it_is_served_at_both_places() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.ok(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(app.get("/api/v1/openapi.json").await.ok(200), document);
    assert!(document["paths"]["/api/v1/workflows/{id}/run"]["post"].is_object());
}

#[test]
fn operation_ids_are_unique() {
    let document = serde_json::to_value(sightflow_api::openapi()).unwrap();
    let mut ids: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(ids.contains(&"post_workflows_id_run".to_owned()), "{ids:?}");
}
