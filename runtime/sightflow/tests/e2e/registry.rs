//! Packages through a registry of container images: a small one that keeps what it is given, over real HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sightflow_blobs::digest_of;

use crate::author::{Desk, component};
use crate::server::Server;

/// Blobs and manifests by the path under which they are read.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<HashMap<String, Bytes>>>);

impl Shelf {
    fn put(&self, path: String, bytes: Bytes) {
        self.0.lock().unwrap().insert(path, bytes);
    }

    fn get(&self, path: &str) -> Option<Bytes> {
        self.0.lock().unwrap().get(path).cloned()
    }

    fn manifest(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).unwrap()).unwrap()
    }
}

/// The part of OCI's distribution specification that a push and a pull take: one upload in one piece, then its digest.
async fn answer(State(shelf): State<Shelf>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    let made = |location: &str| (StatusCode::CREATED, [(header::LOCATION, location.to_owned())]).into_response();
    match method {
        Method::GET if path == "/v2/" => StatusCode::OK.into_response(),
        Method::POST => (StatusCode::ACCEPTED, [(header::LOCATION, format!("{path}1"))]).into_response(),
        Method::PATCH => {
            let (range, open) = (format!("0-{}", body.len() - 1), shelf.get(&path).unwrap_or_default());
            shelf.put(path.clone(), [open, body].concat().into());
            (StatusCode::ACCEPTED, [(header::LOCATION, path), (header::RANGE, range)]).into_response()
        }
        Method::PUT if path.contains("/uploads/") => {
            let bytes: Bytes = [shelf.get(&path).unwrap_or_default(), body].concat().into();
            let digest = digest_of(&bytes).to_string();
            let blob = path.replace("uploads/1", &digest);
            shelf.put(path, Bytes::new());
            shelf.put(blob.clone(), bytes);
            made(&blob)
        }
        Method::PUT => {
            let (repository, _) = path.rsplit_once('/').unwrap();
            shelf.put(format!("{repository}/{}", digest_of(&body)), body.clone());
            shelf.put(path.clone(), body);
            made(&path)
        }
        Method::GET | Method::HEAD => match shelf.get(&path) {
            Some(bytes) => {
                let mut headers = HeaderMap::new();
                headers.insert("docker-content-digest", digest_of(&bytes).to_string().parse().unwrap());
                if path.contains("/manifests/") {
                    let kind = "application/vnd.oci.image.manifest.v1+json";
                    headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
                }
                (headers, bytes).into_response()
            }
            None => {
                let errors = json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]});
                (StatusCode::NOT_FOUND, errors.to_string()).into_response()
            }
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Its address, `127.0.0.1:PORT`; it answers until the process ends.
fn registry(shelf: Shelf) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = Router::new().fallback(answer).with_state(shelf);
            let router = router.layer(axum::extract::DefaultBodyLimit::disable());
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    address
}

#[test]
fn a_signed_package_goes_through_a_registry() {
    let (desk, shelf) = (Desk::new(), Shelf::default());
    let address = registry(shelf.clone());
    let tag = format!("oci://{address}/acme/output:1.0.0");
    let bytes = component("sightflow/output", "acme/output", "1.0.0");
    desk.put("one.wasm", &bytes);
    let public = desk.block(&["keygen", "acme.key"]).ok();

    let pushed = desk.block(&["push", "one.wasm", "--to", &tag, "--sign", "acme.key"]).ok();
    let manifest = shelf.manifest("/v2/acme/output/manifests/1.0.0");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json", "{manifest:#}");
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json", "{manifest:#}");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm", "{manifest:#}");
    assert_eq!(manifest["layers"][0]["digest"], digest_of(&bytes).to_string());
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "acme/output");
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config = shelf.manifest(&format!("/v2/acme/output/blobs/{config}"));
    assert_eq!((&config["os"], &config["architecture"]), (&json!("wasip2"), &json!("wasm")), "{config:#}");
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports.contains(&json!("sightflow:block/blocks@0.1.0")), "{config:#}");
    // The same bytes are the same package.
    assert_eq!(desk.block(&["push", "one.wasm", "--to", &tag, "--sign", "acme.key"]).ok(), pushed);

    // By its digest, as the push printed it.
    let pulled = desk.block(&["pull", pushed.trim(), "--out", "pulled.wasm"]).ok();
    assert!(pulled.contains(&digest_of(&bytes).to_string()), "{pulled}");
    assert_eq!(std::fs::read(desk.path("pulled.wasm")).unwrap(), bytes);

    let server = Server::start_with(&["--workers", "0", "--require-signatures"]);
    let key = json!({"public_key": public.trim()});
    assert_eq!(server.put("/api/v1/publishers/acme", &key).0, 204);
    let publish = ["publish", "pulled.wasm", "--server", server.address()];
    desk.block(&publish).failed("E-SIGNATURE");
    desk.put("no.sig", b"no signature");
    desk.block(&[&publish[..], &["--signature", "no.sig"]].concat()).failed("not a signature");
    desk.block(&[&publish[..], &["--signature", "pulled.wasm.sig"]].concat()).ok();
    let (_, version) = server.get("/api/v1/block-packages/acme/output/versions/1.0.0");
    assert_eq!(version["signed_by"], "acme", "{version:#}");

    // A signature of an earlier pull does not stay beside another component.
    desk.block(&["push", "one.wasm", "--to", &tag]).ok();
    desk.block(&["pull", &tag, "--out", "pulled.wasm"]).ok();
    assert!(!desk.path("pulled.wasm.sig").exists());
}

#[test]
fn what_is_no_package_is_refused() {
    let (desk, shelf) = (Desk::new(), Shelf::default());
    let address = registry(shelf.clone());
    let tag = format!("oci://{address}/acme/output:1.0.0");
    let bytes = component("sightflow/output", "acme/output", "1.0.0");
    desk.put("one.wasm", &bytes);
    desk.put("broken.wasm", &bytes[..bytes.len() / 2]);
    desk.block(&["push", "broken.wasm", "--to", &tag]).failed("E-SHAPE");
    desk.block(&["push", "one.wasm", "--to", "acme/output:1"]).failed("expected oci://REGISTRY/");
    desk.block(&["push", "one.wasm", "--to", "oci://127.0.0.1:9/acme/output:1"]).failed("cannot push to");
    desk.block(&["pull", &tag, "--out", "x.wasm"]).failed("cannot pull");

    desk.block(&["push", "one.wasm", "--to", &tag]).ok();
    let path = "/v2/acme/output/manifests/1.0.0";
    let good = shelf.manifest(path);
    let change = |pointer: &str, value: Value| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        shelf.put(path.to_owned(), manifest.to_string().into());
    };
    for (pointer, value, words) in [
        ("/layers/0/mediaType", json!("application/vnd.oci.image.layer.v1.tar"), "not a component"),
        ("/layers/0/size", json!(1_u64 << 40), "at most"),
        ("/layers", json!([]), "it has 0 layers"),
    ] {
        change(pointer, value);
        desk.block(&["pull", &tag, "--out", "x.wasm"]).failed(words);
    }
    // Other bytes than the manifest says.
    change("/layers/0/size", good["layers"][0]["size"].clone());
    let blob = format!("/v2/acme/output/blobs/{}", digest_of(&bytes));
    shelf.put(blob, bytes[1..].to_vec().into());
    desk.block(&["pull", &tag, "--out", "x.wasm"]).failed("igest");
    assert!(!desk.path("x.wasm").exists());
}
