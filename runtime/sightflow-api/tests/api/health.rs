use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use sightflow_api::{HealthCheck, Unwell};

use crate::support::{TestApp, request, send};

#[tokio::test]
async fn alive_and_ready_until_draining() {
    let app = TestApp::new().await;
    for base in ["", "/api/v1"] {
        assert_eq!(app.get(&format!("{base}/healthz")).await.ok(200)["status"], "ok");
        let ready = app.get(&format!("{base}/readyz")).await.ok(200);
        assert_eq!(
            ready,
            json!({"status": "ready", "checks": {"store": "ok", "blobs": "ok", "migrations": "ok", "blocks": "ok", "news": "ok", "shutdown": "ok"}})
        );
    }
    // The blob store was looked at just now: a probe writes no file.
    let engine = std::sync::Arc::new(std::sync::Mutex::new(None::<Unwell>));
    let found = engine.clone();
    let check = HealthCheck::new("engine", move || match &*found.lock().unwrap() {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(()),
    });
    let router = sightflow_api::router(app.state.clone().with_checks([check]));
    for (wrong, word, status) in [
        (None, "ok", 200),
        (Some(Unwell::Silent(Duration::from_millis(17_300))), "no sign of life for 17 s", 503),
        (Some(Unwell::Failed("listener panicked: index 7 of /home/secret".to_owned())), "failed", 503),
        (None, "ok", 200),
    ] {
        *engine.lock().unwrap() = wrong;
        let answer = send(router.clone(), request(Method::GET, "/readyz", &[], "")).await.ok(status);
        assert_eq!(answer["checks"]["engine"], word, "{answer}");
    }
    app.state.drain();
    let stopping = app.get("/readyz").await.ok(503);
    assert_eq!((&stopping["status"], &stopping["checks"]["shutdown"]), (&json!("not_ready"), &json!("draining")));
    app.get("/healthz").await.ok(200);
}
