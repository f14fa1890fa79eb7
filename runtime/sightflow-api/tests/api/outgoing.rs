//! Fetching by URL, against a server on this machine.

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use sightflow_api::outgoing::{FetchError, Network, Outgoing};
use sightflow_memory::MemoryPool;

async fn origin() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let huge = || async {
        let chunk = Bytes::from(vec![0; 1 << 20]);
        Body::from_stream(futures::stream::iter((0..51).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
    };
    let router = Router::new()
        .route("/a.png", get(|| async { "bytes" }))
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route("/huge", get(huge))
        .route("/hop3", get(|| async { Redirect::temporary("/hop2") }))
        .route("/hop4", get(|| async { Redirect::temporary("/hop3") }))
        .route("/hop2", get(|| async { Redirect::temporary("/hop1") }))
        .route("/hop1", get(|| async { Redirect::temporary("/a.png") }))
        .route("/inside", get(|| async { Redirect::temporary("http://169.254.169.254/latest") }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn what_comes_back() {
    let base = origin().await;
    let allow: [Network; 1] = ["127.0.0.0/8".parse().unwrap()];
    let memory = MemoryPool::new(64 << 20);
    let outgoing = Outgoing::new(allow, memory.clone()).unwrap();
    for (path, expected) in [
        ("/a.png", Ok("bytes")),
        ("/hop3", Ok("bytes")),
        ("/hop4", Err("more than 3 redirects")),
        ("/missing", Err("answered 404")),
        ("/huge", Err("larger than 50 MiB")),
        ("/inside", Err("link-local or metadata")),
    ] {
        match (outgoing.fetch(&format!("{base}{path}")).await, expected) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{path}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{path}: {error}"),
            (found, _) => panic!("{path}: {found:?}"),
        }
        assert_eq!(memory.used(), 0, "{path}");
    }
    let fetched = outgoing.fetch(&format!("{base}/a.png")).await.unwrap();
    let copy = fetched.clone();
    drop(fetched);
    assert_eq!(memory.used(), 5, "as long as anybody holds it");
    drop(copy);
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_not_fetched() {
    let base = origin().await;
    let allow: [Network; 1] = ["127.0.0.0/8".parse().unwrap()];
    // Too small for whatever comes first: no wait would help.
    let memory = MemoryPool::new(1 << 10);
    let error = Outgoing::new(allow, memory.clone()).unwrap().fetch(&format!("{base}/huge")).await.unwrap_err();
    assert!(error.to_string().contains("no memory is left"), "{error}");
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_by_the_resolver() {
    let base = origin().await;
    let port = base.rsplit_once(':').unwrap().1.to_owned();
    let closed = Outgoing::new([], MemoryPool::process().clone()).unwrap();
    for url in [format!("{base}/a.png"), "http://localhost/a.png".to_owned(), "http://localhost:8080/a.png".to_owned()]
    {
        let error = closed.fetch(&url).await.unwrap_err();
        assert!(matches!(error, FetchError::NotAllowed(_)), "{url}: {error:?}");
    }
    // A name does not open the ports of an allowed network: what it resolves to is not known when the port is checked.
    let allow: [Network; 1] = ["127.0.0.0/8".parse().unwrap()];
    assert!(
        Outgoing::new(allow, MemoryPool::process().clone())
            .unwrap()
            .check(&format!("http://localhost:{port}/"))
            .is_err()
    );
}
