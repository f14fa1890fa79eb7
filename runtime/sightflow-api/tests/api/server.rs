//! Over a real socket: what only shows there.

use std::time::Duration;

use sightflow_api::ServeConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::TestApp;

async fn serve(app: &TestApp) -> String {
    let (base, stop, _) = serve_with(app, ServeConfig::default()).await;
    // Serves until the test ends.
    std::mem::forget(stop);
    base
}

async fn serve_with(
    app: &TestApp,
    config: ServeConfig,
) -> (String, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let serving = tokio::spawn(sightflow_api::serve(listener, app.router.clone(), config, stopped));
    (base, stop, serving)
}

async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.trim_start_matches("http://")).await.unwrap()
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut text));
    // A server that closes on unread bytes resets the connection; what came before counts.
    let _ = read.await.expect("the server closes");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn what_is_not_http_gets_the_one_error_shape() {
    let app = TestApp::new().await;
    let base = serve(&app).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(150));
    for (request, status, code) in [
        ("hello\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "bad_request"),
        (&long, 414, "uri_too_long"),
        (&many, 431, "headers_too_large"),
    ] {
        let mut stream = connect(&base).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{code}: {answer}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(body["error"]["code"], code);
        assert_eq!(body["error"]["docs"], format!("{base}/api/v1/errors/{code}"));
        assert!(head.contains(&format!("x-request-id: {}", body["error"]["request_id"].as_str().unwrap())), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_wants_is_let_go() {
    let app = TestApp::new().await;
    let config = ServeConfig { header_timeout: Duration::from_millis(100), ..ServeConfig::default() };
    let (base, _stop, _) = serve_with(&app, config).await;
    for begun in ["", "GET / HTTP/1.1\r\nhost: local"] {
        let mut stream = connect(&base).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{begun}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let app = TestApp::new().await;
    let (base, _stop, _) = serve_with(&app, ServeConfig { max_connections: 1, ..ServeConfig::default() }).await;
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = connect(&base).await;
    first.write_all(REQUEST).await.unwrap();
    let mut start = [0; 15];
    first.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    let mut second = connect(&base).await;
    second.write_all(REQUEST).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), second.read_exact(&mut start)).await;
    assert!(early.is_err(), "the first connection still holds the only place");
    drop(first);
    tokio::time::timeout(Duration::from_secs(30), second.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_stop_answers_what_was_begun_and_ends() {
    let memory = sightflow_memory::MemoryPool::new(64 << 20);
    let app = TestApp::with(sightflow_api::ApiConfig { memory: memory.clone(), ..Default::default() }, &[]).await;
    let (base, stop, serving) = serve_with(&app, ServeConfig::default()).await;
    let mut idle = connect(&base).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let mut begun = connect(&base).await;
    let head = b"POST /api/v1/workflows HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"name\"";
    begun.write_all(head).await.unwrap();
    // Until the server has begun to read it.
    while memory.used() == 0 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    begun.write_all(b": \"x\"}").await.unwrap();
    assert!(rest(&mut begun).await.starts_with("HTTP/1.1 201 "));
    tokio::time::timeout(Duration::from_secs(30), serving).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever_for_a_client_that_does_not_read() {
    let app = TestApp::new().await;
    // More than the buffers of both ends hold.
    let large = [crate::support::png(8, 6).to_vec(), vec![0; 40 << 20]].concat();
    let blob = app.request(axum::http::Method::POST, "/api/v1/blobs", &[], large).await.ok(201);
    let config = ServeConfig { stop_grace: Duration::from_millis(200), ..ServeConfig::default() };
    let (base, stop, serving) = serve_with(&app, config).await;
    let mut stalled = connect(&base).await;
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", blob["url"].as_str().unwrap());
    stalled.write_all(request.as_bytes()).await.unwrap();
    stalled.read_exact(&mut [0; 15]).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it ends").unwrap().unwrap();
    assert!(rest(&mut stalled).await.len() < 40 << 20, "the answer was cut off");
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

#[tokio::test]
async fn who_announces_more_than_is_ever_read_is_answered_at_once() {
    let app = TestApp::new().await;
    let base = serve(&app).await;
    for (path, status) in [("/api/v1/workflows", 413), ("/api/v1/nothing", 404)] {
        let mut stream = connect(&base).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9999999999999\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(10), rest(&mut stream)).await.expect("no long wait");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}
