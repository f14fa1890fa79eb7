//! Keys, scopes and tenants: tables over the list of routes, so that a new one cannot be forgotten.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sightflow_api::ApiConfig;
use sightflow_store::{KeySecret, NewApiKey, NewJob, NewTenant, Scope, TenantChange, TenantStatus};
use sightflow_types::{KeyId, ModelSource, Task, TenantId, Timestamp};

use crate::support::{Answer, TestApp, component, png, settings_graph};

/// What answers without a key.
const OPEN: &[&str] = &["/healthz", "/readyz", "/api/v1/errors", "/api/v1/errors/{code}"];

struct Accounts {
    app: TestApp,
}

/// A key, with what is needed to revoke it.
struct Key {
    id: KeyId,
    text: String,
}

impl Accounts {
    async fn new() -> Self {
        let config = ApiConfig { auth: true, loopback_only: false, ..ApiConfig::default() };
        Self { app: TestApp::with(config, &[]).await }
    }

    async fn tenant(&self, slug: &str) -> TenantId {
        let new = NewTenant { slug: slug.parse().unwrap(), name: slug.to_owned(), weight: 100 };
        self.app.store.create_tenant(new).await.unwrap().id
    }

    async fn key(&self, tenant_id: TenantId, scopes: &[Scope], expires_at: Option<Timestamp>) -> Key {
        let secret = KeySecret::generate().unwrap();
        let text = secret.reveal().to_owned();
        let scopes = scopes.iter().copied().collect();
        let new = NewApiKey { tenant_id, name: "test".into(), scopes, expires_at, secret };
        Key { id: self.app.store.create_key(new).await.unwrap().id, text }
    }

    async fn send(&self, key: &Key, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let bearer = format!("Bearer {}", key.text);
        self.app.request(method, path, &[("authorization", &bearer), ("content-type", "application/json")], body).await
    }

    async fn get(&self, key: &Key, path: &str) -> Answer {
        self.send(key, Method::GET, path, Body::empty()).await
    }

    async fn post(&self, key: &Key, path: &str, body: &Value) -> Answer {
        self.send(key, Method::POST, path, body.to_string()).await
    }
}

/// Every method and path template of the document.
fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(sightflow_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let routes: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
        })
        .collect();
    assert!(routes.len() > 40, "{}", routes.len());
    routes
}

/// A path with something in the place of every parameter.
fn filled(path: &str) -> String {
    path.replace("{id}", "019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1")
        .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
        .replace("{version}", "1")
        .replace(['{', '}'], "")
}

#[tokio::test]
async fn every_route_wants_a_key() {
    let world = Accounts::new().await;
    let wrong = Key { id: KeyId::new(), text: format!("sf_{}", "a".repeat(43)) };
    for (method, path) in routes() {
        let url = filled(&path);
        let (none, wrong) = (
            world.app.request(method.clone(), &url, &[], Body::empty()).await,
            world.send(&wrong, method.clone(), &url, Body::empty()).await,
        );
        for answer in [none, wrong] {
            if OPEN.contains(&path.as_str()) {
                assert!(!matches!(answer.status.as_u16(), 401 | 403), "{method} {path}: {}", answer.status);
            } else {
                answer.error(401, "unauthenticated");
                assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
            }
        }
    }
    world.app.get("/api/v1/openapi.json").await.ok(200);
    world.app.get("/api/v1/no-such-route").await.error(401, "unauthenticated");
    world.app.get("/api/v1/blocks/sightflow/output/note").await.error(401, "unauthenticated");
}

#[tokio::test]
async fn every_route_wants_its_scope() {
    let world = Accounts::new().await;
    // No route is there for it yet.
    let key = world.key(TenantId::BUILT_IN, &[Scope::ModelsWrite], None).await;
    for (method, path) in routes() {
        let answer = world.send(&key, method.clone(), &filled(&path), Body::empty()).await;
        if OPEN.contains(&path.as_str()) || path == "/api/v1/me" {
            assert!(!matches!(answer.status.as_u16(), 401 | 403), "{method} {path}: {}", answer.status);
        } else {
            answer.error(403, "scope_missing");
        }
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let world = Accounts::new().await;
    let scopes: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect();
    let owner = world.key(world.tenant("acme").await, &scopes, None).await;
    let other = world.key(world.tenant("evil").await, &scopes, None).await;

    let body = json!({"name": "Theirs", "definition": settings_graph()});
    let workflow = world.post(&owner, "/api/v1/workflows", &body).await.ok(201)["id"].as_str().unwrap().to_owned();
    let run = world.post(&owner, &format!("/api/v1/workflows/{workflow}/run"), &json!({})).await.ok(202);
    let execution = run["id"].as_str().unwrap().to_owned();
    let started = world.app.start().await;
    let new = NewJob {
        node_id: "settings".into(),
        item_path: String::new(),
        task: Task::Detection,
        model_id: "m".into(),
        model_source: ModelSource::Pretrained,
        model_digest: None,
        params: json!({}),
        input: json!({}),
        pixels: 1,
        vt: 0,
        timeout_ms: 60_000,
    };
    let job = world.app.store.enqueue_jobs(started.lease(), vec![new]).await.unwrap().remove(0).id.to_string();
    let bearer = format!("Bearer {}", owner.text);
    let headers = [("authorization", bearer.as_str()), ("content-type", "image/png")];
    let blob = world.app.request(Method::POST, "/api/v1/blobs", &headers, png(4, 4)).await.ok(201);
    let digest = blob["digest"].as_str().unwrap().to_owned();

    let headers = [("authorization", bearer.as_str()), ("content-type", "application/wasm")];
    let url = "/api/v1/block-packages?name=acme/notes&version=1.0.0";
    let package = world.app.request(Method::POST, url, &headers, component(&["memo"]).to_string()).await.ok(201);
    let package = package["id"].as_str().unwrap().to_owned();
    let secret = json!({"value": "sk-theirs"}).to_string();
    let put = world.send(&owner, Method::PUT, "/api/v1/secrets/settings", secret).await;
    assert_eq!(put.status, 204);
    world.get(&owner, "/api/v1/blocks/acme/notes/memo").await.ok(200);
    world.get(&other, "/api/v1/blocks/acme/notes/memo").await.error(404, "not_found");
    world.post(&other, "/api/v1/blocks/acme/notes/memo/test", &json!({})).await.error(404, "not_found");

    let mut seen = 0;
    for (method, path) in routes() {
        let id = match path.as_str() {
            path if path.starts_with("/api/v1/workflows/{id}") => &workflow,
            path if path.starts_with("/api/v1/executions/{id}") => &execution,
            path if path.starts_with("/api/v1/inference-jobs/{id}") => &job,
            path if path.starts_with("/api/v1/blobs/{digest}") => &digest,
            path if path.starts_with("/api/v1/block-packages/{id}") => &package,
            // Everybody may have one of this name.
            "/api/v1/secrets/{name}" | "/api/v1/publishers/{name}" if method == Method::PUT => continue,
            "/api/v1/secrets/{name}" | "/api/v1/publishers/{name}" => &package,
            // Not a tenant's own: admin's, or shared by all.
            path if ["/workers/", "/tenants/", "/api-keys/", "/models/", "/blocks/", "/errors/"]
                .iter()
                .any(|shared| path.starts_with(&format!("/api/v1{shared}"))) =>
            {
                continue;
            }
            path => {
                assert!(!path.contains('{'), "say whose {path} is");
                continue;
            }
        };
        let mut url = path
            .replace("{id}", id)
            .replace("{digest}", id)
            .replace("{version}", if *id == package { "1.0.0" } else { "1" });
        url = url.replace("{node_id}", "settings").replace("{name}", "settings");
        if path.ends_with("/diff") {
            url.push_str("?from=1&to=1");
        }
        let body = match method {
            Method::PATCH => json!({"name": "Mine"}).to_string(),
            Method::POST if path.ends_with("/activate") => json!({"version": "1.0.0"}).to_string(),
            Method::POST => json!({}).to_string(),
            Method::PUT => json!({"capabilities": []}).to_string(),
            _ => String::new(),
        };
        world.send(&other, method.clone(), &url, body).await.error(404, "not_found");
        seen += 1;
    }
    assert!(seen >= 32, "{seen}");

    for list in ["workflows", "executions", "inference-jobs", "block-packages", "secrets"] {
        let path = format!("/api/v1/{list}");
        assert_eq!(world.get(&other, &path).await.ok(200)["items"], json!([]), "{list}");
        assert_eq!(world.get(&owner, &path).await.ok(200)["items"].as_array().unwrap().len(), 1, "{list}");
    }
    assert_eq!(world.get(&owner, &format!("/api/v1/workflows/{workflow}")).await.ok(200)["name"], "Theirs");
    assert_eq!(world.get(&owner, &format!("/api/v1/executions/{execution}")).await.ok(200)["status"], "running");
    assert_eq!(world.get(&owner, &format!("/api/v1/inference-jobs/{job}")).await.ok(200)["status"], "queued");
    assert_eq!(world.get(&owner, &format!("/api/v1/blobs/{digest}")).await.status, 200);
}

#[tokio::test]
async fn keys_and_tenants_end() {
    let world = Accounts::new().await;
    let acme = world.tenant("acme").await;
    let past = world.app.store.now().plus_millis(-1);
    let expired = world.key(acme, &[Scope::RunsRead], Some(past)).await;
    world.get(&expired, "/api/v1/me").await.error(401, "unauthenticated");

    let admin = world.key(TenantId::BUILT_IN, &[Scope::Admin], None).await;
    let key = world.key(acme, &[Scope::RunsRead], None).await;
    let me = world.get(&key, "/api/v1/me").await.ok(200);
    assert_eq!((&me["tenant"]["slug"], &me["scopes"]), (&json!("acme"), &json!(["runs:read"])));
    let url = format!("/api/v1/tenants/{acme}");
    let suspended = json!({"status": "suspended"}).to_string();
    assert_eq!(world.send(&admin, Method::PATCH, &url, suspended).await.ok(200)["status"], "suspended");
    world.get(&key, "/api/v1/me").await.error(403, "tenant_suspended");
    let active = TenantChange { status: Some(TenantStatus::Active), ..TenantChange::default() };
    world.app.store.update_tenant(acme, active).await.unwrap();
    world.get(&key, "/api/v1/me").await.error(403, "tenant_suspended");
    let renamed = json!({"name": "Acme"}).to_string();
    assert_eq!(world.send(&admin, Method::PATCH, &url, renamed).await.ok(200)["name"], "Acme");
    world.get(&key, "/api/v1/me").await.ok(200);

    let url = format!("/api/v1/api-keys/{}", key.id);
    assert_eq!(world.send(&admin, Method::DELETE, &url, Body::empty()).await.status, 204);
    world.get(&key, "/api/v1/me").await.error(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_is_shown_once_and_has_no_more_than_its_maker() {
    let world = Accounts::new().await;
    let admin = world.key(TenantId::BUILT_IN, &[Scope::Admin, Scope::RunsRead], None).await;
    let tenant = world.post(&admin, "/api/v1/tenants", &json!({"slug": "acme", "name": "Acme"})).await.ok(201);
    world.post(&admin, "/api/v1/tenants", &json!({"slug": "acme", "name": "B"})).await.error(409, "already_exists");
    let keys = "/api/v1/api-keys";
    for (body, status, code) in [
        (json!({"name": "ci", "scopes": ["runs:write"]}), 403, "scope_missing"),
        (json!({"name": "ci", "scopes": []}), 400, "invalid_field"),
        (json!({"name": " ", "scopes": ["runs:read"]}), 400, "invalid_field"),
        (json!({"name": "ci", "scopes": ["all"]}), 400, "invalid_field"),
        (
            json!({"name": "ci", "scopes": ["runs:read"], "expires_at": "2020-01-01T00:00:00.000Z"}),
            422,
            "expiry_passed",
        ),
        (json!({"name": "ci", "scopes": ["runs:read"], "tenant_id": TenantId::new()}), 404, "not_found"),
        (json!({"name": "ci", "scopes": ["runs:read"], "tenant": 1}), 400, "unknown_field"),
    ] {
        world.post(&admin, keys, &body).await.error(status, code);
    }
    let body = json!({"name": "ci", "scopes": ["runs:read"], "tenant_id": tenant["id"]});
    let made = world.post(&admin, keys, &body).await.ok(201);
    let text = made["key"].as_str().unwrap().to_owned();
    assert!(text.starts_with(made["prefix"].as_str().unwrap()) && text.len() == 46, "{made}");
    let key = Key { id: made["id"].as_str().unwrap().parse().unwrap(), text: text.clone() };
    let me = world.get(&key, "/api/v1/me").await.ok(200);
    assert_eq!((&me["tenant"]["id"], &me["scopes"]), (&tenant["id"], &json!(["runs:read"])));
    let listed = world.get(&admin, "/api/v1/api-keys?total=true").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&text), "a list has no keys");
    let listed = listed.ok(200);
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(2), &made["id"]));
    assert!(listed["items"][0]["last_used_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn without_auth_everybody_is_the_built_in_tenant() {
    let app = TestApp::new().await;
    let me = app.get("/api/v1/me").await.ok(200);
    assert_eq!((&me["tenant"]["slug"], me["scopes"].as_array().unwrap().len()), (&json!("default"), Scope::ALL.len()));
}

#[tokio::test]
async fn a_tenant_has_no_more_than_its_quotas() {
    let world = Accounts::new().await;
    let acme = world.tenant("acme").await;
    let admin = world.key(TenantId::BUILT_IN, &[Scope::Admin], None).await;
    let url = format!("/api/v1/tenants/{acme}/quotas");
    let defaults = world.get(&admin, &url).await.ok(200);
    assert_eq!((&defaults["requests_per_minute"], &defaults["queued_executions"]), (&json!(600), &json!(20_000)));
    for (body, code) in [
        (json!({"requests_per_minute": -1}), "invalid_field"),
        (json!({"requests_per_minute": 1.5}), "invalid_field"),
        (json!({"requests": 1}), "unknown_field"),
    ] {
        world.send(&admin, Method::PUT, &url, body.to_string()).await.error(400, code);
    }
    world
        .send(&admin, Method::PUT, &format!("/api/v1/tenants/{}/quotas", TenantId::new()), "{}")
        .await
        .error(404, "not_found");
    let set = json!({"queued_executions": 1, "max_priority": 5, "max_timeout_seconds": 60, "runs_per_minute": 5, "packages": null});
    let now = world.send(&admin, Method::PUT, &url, set.to_string()).await.ok(200);
    assert_eq!(
        (&now["packages"], &now["runs_per_minute"], &now["requests_per_minute"]),
        (&json!(null), &json!(5), &json!(600))
    );

    let key = world.key(acme, &[Scope::WorkflowsWrite, Scope::RunsWrite, Scope::RunsRead], None).await;
    let me = world.get(&key, "/api/v1/me").await;
    assert_eq!(me.header("ratelimit-limit"), "600");
    assert_eq!(me.header("ratelimit-remaining"), "599");
    assert_eq!(me.ok(200)["limits"], now);
    let body = json!({"name": "Theirs", "definition": settings_graph()});
    let workflow = world.post(&key, "/api/v1/workflows", &body).await.ok(201)["id"].as_str().unwrap().to_owned();
    let run = format!("/api/v1/workflows/{workflow}/run");
    world.post(&key, &run, &json!({"priority": 6, "timeout_seconds": 60})).await.error(403, "priority_not_allowed");
    world.post(&key, &run, &json!({"timeout_seconds": 61})).await.error(429, "quota_exceeded");
    let accepted = world.post(&key, &run, &json!({"timeout_seconds": 60})).await;
    assert_eq!((accepted.header("ratelimit-limit"), accepted.header("ratelimit-remaining")), ("5", "2"));
    accepted.ok(202);
    // One waits, as many as may; those of others are not counted.
    world.post(&key, &run, &json!({"timeout_seconds": 60})).await.error(429, "quota_exceeded");
    world.post(&key, &run, &json!({"timeout_seconds": 61})).await.error(429, "quota_exceeded");
    let refused = world.post(&key, &run, &json!({"timeout_seconds": 60})).await;
    assert_eq!((refused.header("ratelimit-limit"), refused.header("ratelimit-remaining")), ("5", "0"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 12, "{}", refused.header("retry-after"));
    refused.error(429, "rate_limited");
    // What is no run goes on, and another key has its own.
    world.get(&key, "/api/v1/me").await.ok(200);
    let other = world.key(acme, &[Scope::RunsWrite], None).await;
    world.post(&other, &run, &json!({"timeout_seconds": 60})).await.error(429, "quota_exceeded");
    let none = json!({"requests_per_minute": 0}).to_string();
    world.send(&admin, Method::PUT, &url, none).await.ok(200);
    world.get(&key, "/api/v1/me").await.error(429, "rate_limited");
    world.send(&admin, Method::PUT, &url, "{}").await.ok(200);
    world.get(&key, "/api/v1/me").await.ok(200);
}

#[tokio::test]
async fn a_tenant_is_deleted_by_its_slug() {
    let world = Accounts::new().await;
    let acme = world.tenant("acme").await;
    let admin = world.key(TenantId::BUILT_IN, &[Scope::Admin], None).await;
    let key = world.key(acme, &[Scope::WorkflowsWrite, Scope::RunsWrite], None).await;
    let body = json!({"name": "Theirs", "definition": settings_graph()});
    let workflow = world.post(&key, "/api/v1/workflows", &body).await.ok(201)["id"].as_str().unwrap().to_owned();
    let run = world.post(&key, &format!("/api/v1/workflows/{workflow}/run"), &json!({})).await.ok(202);
    let url = format!("/api/v1/tenants/{acme}?confirm=acme");
    let delete = async |url: &str| world.send(&admin, Method::DELETE, url, Body::empty()).await;
    delete(&format!("/api/v1/tenants/{acme}")).await.error(400, "invalid_field");
    delete(&format!("/api/v1/tenants/{acme}?confirm=acm")).await.error(409, "conflict");
    delete(&format!("/api/v1/tenants/{}?confirm=default", TenantId::BUILT_IN)).await.error(409, "conflict");
    delete(&url).await.error(409, "in_use");
    world.get(&key, "/api/v1/me").await.ok(200);
    let cancel = format!("/api/v1/executions/{}/cancel", run["id"].as_str().unwrap());
    world.post(&key, &cancel, &json!({})).await.ok(200);
    assert_eq!(delete(&url).await.ok(200), json!({"id": acme, "deleted": true}));
    world.get(&key, "/api/v1/me").await.error(401, "unauthenticated");
    delete(&url).await.error(404, "not_found");
}
