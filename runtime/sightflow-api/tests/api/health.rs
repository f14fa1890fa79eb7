use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn alive_and_ready_until_draining() {
    let app = TestApp::new().await;
    for base in ["", "/api/v1"] {
        assert_eq!(app.get(&format!("{base}/healthz")).await.ok(200)["status"], "ok");
        let ready = app.get(&format!("{base}/readyz")).await.ok(200);
        assert_eq!(
            ready,
            json!({"status": "ready", "checks": {"store": "ok", "blobs": "ok", "migrations": "ok", "blocks": "ok", "shutdown": "ok"}})
        );
    }
    app.state.drain();
    let stopping = app.get("/readyz").await.ok(503);
    assert_eq!((&stopping["status"], &stopping["checks"]["shutdown"]), (&json!("not_ready"), &json!("draining")));
    app.get("/healthz").await.ok(200);
}
