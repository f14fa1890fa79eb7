//! One place that touches the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_api::outgoing::{Network, Outgoing};
use sightflow_api::{ApiConfig, ApiState, router};
use sightflow_blobs::{BlobStore, digest_of};
use sightflow_engine::secrets::SecretsKey;
use sightflow_engine::{
    BlockHost, BlockRef, BlockSource, Breaking, CallContext, CallError, CallOutcome, CheckContext, Code,
    DefinitionLimits, Granted, Granting, Identity, LoadFailure, Package, PackageLoader, Packages, PackagesConfig,
    Payload, Plans,
};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_store::{
    Append, FinishedExecution, NewEvent, NewModel, NewWorker, NodeRecord, SharedStore, SqliteOptions, SqliteStore,
    StartedExecution, WorkerRole,
};
use sightflow_types::capability::HostPattern;
use sightflow_types::document::Document;
use sightflow_types::error::RunError;
use sightflow_types::manifest::Manifest;
use sightflow_types::{Digest, ModelSource, Problem, Task, TenantId, WorkerId};
use tempfile::TempDir;
use tower::ServiceExt;

/// A server without a socket.
pub(crate) struct TestApp {
    pub(crate) state: ApiState,
    pub(crate) store: SharedStore,
    pub(crate) blobs: BlobStore,
    pub(crate) blocks: Arc<BlockSource>,
    /// Checks that the blocks were asked for.
    pub(crate) checks: Arc<AtomicUsize>,
    pub(crate) router: Router,
    engine: WorkerId,
    _dir: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The message of an error.
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().expect("a message").to_owned()
    }

    /// Asserts the whole error shape and answers the details.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> Vec<Value> {
        let body = self.ok(status);
        let error = &body["error"];
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(error["request_id"], self.header("x-request-id"), "{body}");
        let docs = error["docs"].as_str().unwrap();
        assert!(docs.ends_with(&format!("/api/v1/errors/{code}")), "{docs}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        error["details"].as_array().expect("details are a list").clone()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// A package with [`note`].
pub(crate) fn package(name: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: "0.1.0".parse().unwrap(),
        digest: digest_of(name.as_bytes()),
        manifests: vec![note()],
        code: Code::default(),
        granted: Granted::default(),
    }
}

/// A block that does nothing, for graphs with a component in them.
fn note() -> Manifest {
    serde_json::from_value(json!({
        "name": "note", "title": "Note", "description": "Passes a value on.", "category": "output", "aliases": ["remark"],
        "inputs": [{"name": "value", "kind": "any", "required": true}], "outputs": [{"name": "result", "kind": "any", "required": true}],
        "config": {"type": "object", "additionalProperties": false, "properties": {"text": {"type": "string", "default": "", "description": "What to say."}}}
    }))
    .unwrap()
}

#[derive(Default)]
struct Scripted {
    checks: Arc<AtomicUsize>,
}

#[async_trait]
impl BlockHost for Scripted {
    fn call(&self, _: &BlockRef, _: &str, payload: Payload, _: CallContext) -> Result<CallOutcome, CallError> {
        let Payload { document, images } = payload;
        let document = Document::check(document, images.len()).expect("a valid document");
        Ok(CallOutcome { document, images, ..CallOutcome::default() })
    }

    async fn check(
        &self,
        _: &BlockRef,
        config: &Value,
        _: &CheckContext,
        _: Instant,
    ) -> Result<Vec<Problem>, CallError> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        Ok(match config["text"].as_str() {
            Some("bad") => vec![Problem::new("E-CONFIG", "/config/text", "`bad` is not a note")],
            Some("odd") => vec![Problem::new("W-ODD", "/config/text", "an odd note")],
            _ => Vec::new(),
        })
    }
}

/// A component for [`ScriptedLoader`]: a text that says what it is.
pub(crate) fn component(blocks: &[&str]) -> Value {
    json!({"blocks": blocks})
}

/// Loads JSON texts: `{"blocks": [names], "name"?, "version"?, "examples"?}`.
struct ScriptedLoader;

#[async_trait]
impl PackageLoader for ScriptedLoader {
    fn identity(&self, component: &[u8]) -> Result<Option<Identity>, Vec<Problem>> {
        let said: Value = serde_json::from_slice(component).unwrap_or_default();
        let text = |key: &str| said[key].as_str();
        let identity = text("name").zip(text("version"));
        Ok(identity.map(|(name, version)| Identity { name: name.to_owned(), version: version.parse().unwrap() }))
    }

    fn wit_version(&self) -> &'static str {
        "0.1"
    }

    async fn load(&self, _: TenantId, identity: &Identity, component: Bytes) -> Result<Package, LoadFailure> {
        let said: Value = serde_json::from_slice(&component).map_err(|error| {
            LoadFailure::Refused(vec![
                Problem::new("E-SHAPE", "", error.to_string()),
                Problem::new("E-WIT", "", "no world"),
            ])
        })?;
        let manifest = |block: &Value| {
            let mut manifest = serde_json::to_value(note()).unwrap();
            manifest["name"] = block.clone();
            manifest["aliases"] = json!([]);
            manifest["examples"] = said.get("examples").cloned().unwrap_or(json!([]));
            serde_json::from_value(manifest).unwrap()
        };
        Ok(Package {
            name: identity.name.clone(),
            version: identity.version.clone(),
            digest: digest_of(&component),
            manifests: said["blocks"].as_array().unwrap().iter().map(manifest).collect(),
            code: Code::default(),
            granted: Granted::default(),
        })
    }

    fn breaking(&self) -> Vec<Breaking> {
        Vec::new()
    }

    fn release(&self, _: TenantId, _: Digest) {}
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(ApiConfig::default(), &[]).await
    }

    pub(crate) async fn with(config: ApiConfig, allow: &[&str]) -> Self {
        Self::with_blobs(config, allow, BlobStore::in_memory()).await
    }

    pub(crate) async fn with_blobs(config: ApiConfig, allow: &[&str], blobs: BlobStore) -> Self {
        Self::build(config, allow, blobs, DefinitionLimits::default()).await
    }

    pub(crate) async fn with_limits(limits: DefinitionLimits) -> Self {
        Self::build(ApiConfig::default(), &[], BlobStore::in_memory(), limits).await
    }

    async fn build(config: ApiConfig, allow: &[&str], blobs: BlobStore, limits: DefinitionLimits) -> Self {
        let dir = TempDir::new().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(dir.path().join("test.db"), SqliteOptions::default()).await.unwrap());
        let blocks = Arc::new(BlockSource::new([package("sightflow/output")]).unwrap());
        let allow: Vec<Network> = allow.iter().map(|network| network.parse().unwrap()).collect();
        let packages = Arc::new(Packages::new(
            Arc::clone(&store),
            blobs.clone(),
            Arc::clone(&blocks),
            Arc::new(ScriptedLoader),
            Granting::new(Arc::clone(&store), Arc::new(SecretsKey::new(&[7; 32])), [HostPattern::ANY]),
            PackagesConfig::default(),
        ));
        let host = Scripted::default();
        let checks = Arc::clone(&host.checks);
        let plans = Plans::new(Arc::clone(&store), Arc::clone(&blocks), Arc::new(host), limits);
        let state = ApiState::new(
            Arc::clone(&store),
            blobs.clone(),
            Arc::new(plans.with_packages(Arc::clone(&packages))),
            packages,
            Outgoing::new(allow, config.memory.clone()).unwrap(),
            config,
        );
        let engine = WorkerId::new();
        let worker = NewWorker {
            id: engine,
            role: WorkerRole::Engine,
            name: "test".into(),
            version: "0".into(),
            labels: json!({}),
            models: json!([]),
            device: None,
            memory_total: None,
        };
        store.register_worker(worker).await.unwrap();
        Self { router: router(state.clone()), state, store, blobs, blocks, checks, engine, _dir: dir }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        self.send(request(method, path, headers, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::GET, path, headers, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, &[], Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.request(Method::POST, path, &headers, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.request(Method::PATCH, path, &headers, body.to_string()).await
    }

    /// Saves a workflow and answers its id.
    pub(crate) async fn workflow(&self, definition: &Value) -> String {
        let created = self.post("/api/v1/workflows", &json!({"name": "Test", "definition": definition})).await.ok(201);
        created["id"].as_str().unwrap().to_owned()
    }

    /// Runs a workflow and answers the execution's id.
    pub(crate) async fn run(&self, workflow: &str, body: &Value) -> String {
        let accepted = self.post(&format!("/api/v1/workflows/{workflow}/run"), body).await.ok(202);
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// The engine takes the one waiting execution.
    pub(crate) async fn start(&self) -> StartedExecution {
        let mut started = self.store.start_executions(self.engine, 10).await.unwrap();
        assert_eq!(started.len(), 1, "one execution waits");
        started.remove(0)
    }

    /// The engine records an event.
    pub(crate) async fn record(&self, run: &StartedExecution, kind: &str, payload: Value) {
        self.record_all(run, kind, [payload]).await;
    }

    /// The engine records events of one kind at once.
    pub(crate) async fn record_all(
        &self,
        run: &StartedExecution,
        kind: &str,
        payloads: impl IntoIterator<Item = Value>,
    ) {
        let events = payloads.into_iter().map(|payload| NewEvent { kind: kind.to_owned(), payload }).collect();
        self.store.append_events(run.lease(), Append { events, ..Append::default() }).await.unwrap();
    }

    /// The engine ends an execution.
    pub(crate) async fn finish(&self, run: &StartedExecution, outputs: Value, error: Option<RunError>) {
        let output_blobs = digests(&outputs);
        let end = FinishedExecution {
            error,
            outputs,
            records: vec![record(
                "photo",
                "",
                json!({"status": "completed", "type": "image_input", "duration_ms": 3, "items": null}),
            )],
            block_cpu_us: 2_600,
            progress: json!({"percent": 100, "completed_nodes": 1, "total_nodes": 1, "running": []}),
            output_blobs,
            events: Vec::new(),
            pins: None,
        };
        self.store.finish(run.lease(), end).await.unwrap();
    }

    pub(crate) async fn model(&self, id: &str, task: Task, spec: Value) {
        let new = NewModel {
            id: id.into(),
            tenant_id: TenantId::BUILT_IN,
            source: ModelSource::Pretrained,
            task,
            name: id.to_uppercase(),
            digest: Some(digest_of(id.as_bytes())),
            size: Some(7),
            format: "onnx".into(),
            spec,
        };
        self.store.upsert_model(new).await.unwrap();
    }
}

/// What an engine records about a node, or an item of it.
pub(crate) fn record(node: &str, item: &str, record: Value) -> NodeRecord {
    NodeRecord { node_id: node.into(), item_path: item.into(), record }
}

/// One request and its whole answer.
pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn digests(value: &Value) -> Vec<sightflow_types::Digest> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match value.as_str().filter(|_| key == "digest") {
                Some(text) => text.parse().into_iter().collect(),
                None => digests(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(digests).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8080");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// A picture of one colour.
pub(crate) fn png(width: u32, height: u32) -> Bytes {
    let data = vec![90; width as usize * height as usize * 3];
    let pixels = Pixels::new(width, height, PixelFormat::Rgb8, data).unwrap();
    encode(&Image::from_pixels(pixels), EncodeFormat::Png).unwrap()
}

/// The header of a PNG of any size, and nothing behind it.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A photograph and a note about it.
pub(crate) fn photo_graph() -> Value {
    json!({
        "version": "1.0",
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "note", "type": "note"}],
        "edges": [{"source": "photo", "target": "note", "sourceHandle": "image", "targetHandle": "value"}]
    })
}

/// Parameters only: runs without an image.
pub(crate) fn settings_graph() -> Value {
    json!({
        "nodes": [{"id": "settings", "type": "parameter_input", "config": {"parameter_name": "limit"}}],
        "parameters": [{"name": "limit", "type": "integer", "default": 3, "min": 1}, {"name": "label", "type": "string"}]
    })
}

/// Parts by name and content.
pub(crate) fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend(
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n").into_bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--XX--\r\n");
    body
}

/// A body with one form field that is no file.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--XX--\r\n").into_bytes()
}

pub(crate) const MULTIPART: (&str, &str) = ("content-type", "multipart/form-data; boundary=XX");
