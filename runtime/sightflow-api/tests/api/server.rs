//! Over a real socket: what only shows there.

use crate::support::TestApp;

async fn serve(app: &TestApp) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = app.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn a_client_that_sends_too_much_gets_the_answer_and_no_broken_pipe() {
    let app = TestApp::new().await;
    let base = serve(&app).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/api/v1/workflows", "/api/v1/nothing", "/api/v1/workflows/7"] {
        let body = vec![b'x'; 60 << 20];
        let answer = client
            .post(format!("{base}{path}"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let error: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let expected = match path {
            "/api/v1/workflows" => (413, "body_too_large"),
            "/api/v1/nothing" => (404, "not_found"),
            _ => (405, "method_not_allowed"),
        };
        assert_eq!((status, error["error"]["code"].as_str().unwrap()), expected, "{path}");
    }
}

#[tokio::test]
async fn answers_are_compressed_on_request_and_images_are_not() {
    let app = TestApp::new().await;
    let base = serve(&app).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: String| client.get(format!("{base}{path}")).header("accept-encoding", "gzip").send();
    let blocks = get("/api/v1/blocks".to_owned()).await.unwrap();
    assert_eq!(blocks.headers()["content-encoding"], "gzip");
    let blob = app.request(axum::http::Method::POST, "/api/v1/blobs", &[], crate::support::png(64, 64)).await.ok(201);
    let image = get(blob["url"].as_str().unwrap().to_owned()).await.unwrap();
    assert!(image.headers().get("content-encoding").is_none());
}
