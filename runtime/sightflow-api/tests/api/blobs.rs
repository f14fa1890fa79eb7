use axum::http::Method;
use serde_json::json;
use sightflow_api::ApiConfig;
use sightflow_blobs::BlobStore;
use sightflow_memory::{MemoryPool, Use};
use tower::ServiceExt;

use crate::support::{MULTIPART, TestApp, base64, field, multipart, photo_graph, png, request};

#[tokio::test]
async fn an_upload_comes_back_byte_for_byte() {
    let app = TestApp::new().await;
    let picture = png(8, 6);
    let answer = app.request(Method::POST, "/api/v1/blobs", &[("content-type", "image/png")], picture.clone()).await;
    let blob = answer.ok(201);
    let url = blob["url"].as_str().unwrap();
    assert_eq!(
        (&blob["size"], &blob["media_type"], &blob["width"], &blob["height"]),
        (&json!(picture.len()), &json!("image/png"), &json!(8), &json!(6))
    );
    assert!(blob["expires_at"].is_string());
    assert_eq!(answer.header("location"), url);
    let again =
        app.request(Method::POST, "/api/v1/images", &[MULTIPART], multipart(&[("file", &picture)])).await.ok(200);
    assert_eq!(again["digest"], blob["digest"]);
    // Types that say nothing; the bytes decide.
    for kind in ["binary/octet-stream", "application/octet-stream", "", "application/x-www-form-urlencoded"] {
        let answer = app.request(Method::POST, "/api/v1/blobs", &[("content-type", kind)], picture.clone()).await;
        assert_eq!(answer.ok(200)["digest"], blob["digest"], "{kind}");
    }
    let right = format!("sha-256=:{}:", base64(sightflow_blobs::digest_of(&picture).bytes()));
    app.request(Method::POST, "/api/v1/blobs", &[("content-digest", &right)], picture.clone()).await.ok(200);

    let read = app.get(url).await;
    assert_eq!((read.status.as_u16(), &read.body), (200, &picture));
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("content-disposition", "inline"),
        ("cache-control", "private, max-age=31536000, immutable"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(read.header(name), value, "{name}");
    }
    assert_eq!(app.get_with(url, &[("if-none-match", read.header("etag"))]).await.status, 304);
    let head = app.request(Method::HEAD, url, &[], "").await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length"), head.body.len()),
        (200, picture.len().to_string().as_str(), 0)
    );
    let part = app.get_with(url, &[("range", "bytes=1-3")]).await;
    assert_eq!(
        (part.status.as_u16(), &part.body[..], part.header("content-range")),
        (206, &picture[1..4], format!("bytes 1-3/{}", picture.len()).as_str())
    );
    let beyond = app.get_with(url, &[("range", "bytes=9999-")]).await;
    beyond.error(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", picture.len()));
    assert_eq!(app.get_with(url, &[("range", "bytes=1-3"), ("if-range", "\"other\"")]).await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_one_piece() {
    let memory = MemoryPool::new(64 << 20);
    let app = TestApp::with(ApiConfig { memory: memory.clone(), ..Default::default() }, &[]).await;
    let large = [png(8, 6).to_vec(), vec![0; 30 << 20]].concat();
    let url = app.request(Method::POST, "/api/v1/blobs", &[], large.clone()).await.ok(201)["url"].clone();
    let url = url.as_str().unwrap();
    assert_eq!(memory.used(), 0);
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(app.router.clone().oneshot(request(Method::GET, url, &[], "")).await.unwrap());
    }
    assert_eq!(memory.used(), 100 * (128 << 10));
    let read = axum::body::to_bytes(unread.pop().unwrap().into_body(), usize::MAX).await.unwrap();
    assert!(read == large);
    drop(unread);
    assert_eq!(memory.used(), 0);

    let full = memory.try_reserve(Use::Images, memory.capacity()).unwrap();
    let refused = app.get(url).await;
    refused.error(503, "unavailable");
    assert!(refused.message().contains("no memory left"), "{}", refused.message());
    drop(full);
    let thumbnail =
        app.router.clone().oneshot(request(Method::GET, &format!("{url}/thumbnail"), &[], "")).await.unwrap();
    let held = memory.used();
    let picture = axum::body::to_bytes(thumbnail.into_body(), usize::MAX).await.unwrap();
    // The cache keeps the pixels of the picture, which is as small as its thumbnail, until somebody needs their place.
    let cached = 8 * 6 * 3;
    assert_eq!(held, picture.len() as u64 + cached, "of a picture that was made, what is sent");
}

#[tokio::test]
async fn bad_uploads() {
    let app = TestApp::new().await;
    let picture = png(8, 6);
    let wrong = format!("sha-256=:{}:", base64(&[0; 32]));
    for (headers, body, status, code) in [
        (vec![], b"no picture".to_vec(), 422, "image_invalid"),
        (vec![], Vec::new(), 422, "image_invalid"),
        (vec![], crate::support::png_header(20_000, 10_000), 422, "image_invalid"),
        (vec![("content-type", "application/json")], b"{}".to_vec(), 415, "unsupported_media_type"),
        (vec![("content-digest", wrong.as_str())], picture.to_vec(), 400, "invalid_field"),
        (vec![MULTIPART], multipart(&[]), 400, "invalid_field"),
        (vec![MULTIPART], field("name", "front door"), 400, "invalid_field"),
        (vec![("content-encoding", "br")], picture.to_vec(), 415, "unsupported_media_type"),
        (vec![("content-encoding", "gzip")], picture.to_vec(), 400, "bad_json"),
        (vec![MULTIPART], multipart(&[("a", &picture), ("b", &picture)]), 400, "invalid_field"),
        (vec![("content-length", "99999999")], Vec::new(), 413, "body_too_large"),
        (vec![("idempotency-key", "a\tb")], picture.to_vec(), 400, "invalid_field"),
    ] {
        app.request(Method::POST, "/api/v1/blobs", &headers, body).await.error(status, code);
    }
    app.get(&format!("/api/v1/blobs/sha256:{}", "0".repeat(64))).await.error(404, "not_found");
    app.get("/api/v1/blobs/sha256:12").await.error(400, "invalid_id");
}

#[tokio::test]
async fn thumbnails() {
    let app = TestApp::new().await;
    let url = app.request(Method::POST, "/api/v1/blobs", &[], png(200, 100)).await.ok(201)["url"]
        .as_str()
        .unwrap()
        .to_owned();
    for (query, media_type, size) in [
        ("", "image/webp", (200, 100)),
        ("?width=50&height=50", "image/webp", (50, 25)),
        ("?width=50&height=50&fit=cover&format=jpeg", "image/jpeg", (50, 50)),
        ("?width=50&height=50&crop=0,0,10,20&format=png", "image/png", (10, 20)),
    ] {
        let answer = app.get(&format!("{url}/thumbnail{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media_type), "{query}");
        let probe = sightflow_images::probe(&answer.body).unwrap();
        assert_eq!((probe.width, probe.height), size, "{query}");
        assert_eq!(
            app.get_with(&format!("{url}/thumbnail{query}"), &[("if-none-match", answer.header("etag"))]).await.status,
            304
        );
    }
    for (query, status, code) in [
        ("?width=0", 400, "invalid_field"),
        ("?height=1025", 400, "invalid_field"),
        ("?crop=1,2,3", 400, "invalid_field"),
        ("?crop=1,2,3,0", 400, "invalid_field"),
        ("?fit=stretch", 400, "invalid_field"),
        ("?format=gif", 400, "invalid_field"),
        ("?crop=190,0,50,50", 422, "image_invalid"),
        ("?size=3", 400, "unknown_field"),
    ] {
        app.get(&format!("{url}/thumbnail{query}")).await.error(status, code);
    }
}

#[tokio::test]
async fn an_upload_is_dropped_unless_something_uses_it() {
    let app = TestApp::new().await;
    let url =
        app.request(Method::POST, "/api/v1/blobs", &[], png(8, 6)).await.ok(201)["url"].as_str().unwrap().to_owned();
    assert_eq!(app.delete(&url).await.status, 204);
    app.get(&url).await.error(404, "not_found");
    app.delete(&url).await.error(404, "not_found");

    let blob = app.request(Method::POST, "/api/v1/blobs", &[], png(9, 6)).await.ok(201);
    let id = app.workflow(&photo_graph()).await;
    app.run(&id, &json!({"input": {"image": blob["digest"]}})).await;
    app.delete(blob["url"].as_str().unwrap()).await.error(409, "in_use");
}

#[tokio::test]
async fn a_picture_that_never_fits_the_memory_is_refused_for_good() {
    let app = TestApp::with(ApiConfig { memory: MemoryPool::new(8 << 20), ..Default::default() }, &[]).await;
    let url = async |width, height| {
        let blob = app.request(Method::POST, "/api/v1/blobs", &[], png(width, height)).await.ok(201);
        format!("{}/thumbnail", blob["url"].as_str().unwrap())
    };
    let answer = app.get(&url(2000, 2000).await).await;
    answer.error(422, "image_invalid");
    assert_eq!(answer.header("retry-after"), "");
    assert!(answer.message().ends_with(" MiB of memory; the server has 8 MiB in all"), "{}", answer.message());
    assert_eq!(app.get(&url(500, 500).await).await.status, 200);
}

#[tokio::test]
async fn damaged_bytes_are_named_and_mended_by_the_same_upload() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open_directory(directory.path()).unwrap();
    let app = TestApp::with_blobs(ApiConfig::default(), &[], blobs).await;
    // Larger than what is read before an answer begins.
    let picture = [png(8, 6).to_vec(), vec![0; 300 << 10]].concat();
    let digest = sightflow_blobs::digest_of(&picture);
    let hex = digest.hex();
    let file = directory.path().join(&hex[..2]).join(&hex[2..]);
    let url = format!("/api/v1/blobs/{digest}");
    let upload = async || app.request(Method::POST, "/api/v1/blobs", &[], picture.clone()).await;
    upload().await.ok(201);
    let (cut, mut changed) = (&picture[..200 << 10], picture.clone());
    changed[picture.len() - 1] = 1;
    for (what, bytes, whole) in [
        ("missing", None, true),
        ("empty", Some(&[][..]), true),
        ("cut", Some(cut), true),
        // Seen only at its end, when the answer has begun.
        ("changed", Some(&changed[..]), false),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let thumbnail = app.get(&format!("{url}/thumbnail")).await;
        thumbnail.error(409, "blob_damaged");
        assert!(thumbnail.message().contains(&digest.to_string()), "{what}: {}", thumbnail.message());
        if whole {
            app.get(&url).await.error(409, "blob_damaged");
            assert_eq!(app.request(Method::HEAD, &url, &[], "").await.status, 409, "{what}");
            app.get_with(&url, &[("range", "bytes=250000-250009")]).await.error(409, "blob_damaged");
        }
        upload().await.ok(200);
        assert!(app.get(&url).await.body == picture, "{what}");
        assert_eq!(app.get(&format!("{url}/thumbnail")).await.status, 200, "{what}");
    }
}
