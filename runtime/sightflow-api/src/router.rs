//! The routes with everything that is wrapped around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use utoipa::OpenApi;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::auth::authenticate;
use crate::error::{ApiError, Code};
use crate::middleware::{KnownKeys, finish, guard, known_encoding, known_query, paced_body, package_name, trim_slash};
use crate::routes;
use crate::routes::openapi::Document;
use crate::state::ApiState;

const BASE: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(title = "Sightflow", description = "Workflows for computer vision: definitions, runs, live events, results.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "workflows", description = "Saved definitions and their versions"),
        (name = "runs", description = "Running a workflow"),
        (name = "executions", description = "What became of a run"),
        (name = "inference jobs", description = "Single inferences"),
        (name = "blobs", description = "Images by digest"),
        (name = "blocks", description = "The block catalogue"),
        (name = "block packages", description = "Blocks of one's own, published while the server runs"),
        (name = "models", description = "Registered models"),
        (name = "tenants", description = "Tenants and their keys"),
        (name = "fleet", description = "Workers and engines"),
        (name = "health", description = "Liveness and readiness"),
        (name = "reference", description = "Error codes"),
    )
)]
struct Api;

fn assemble() -> OpenApiRouter<ApiState> {
    let mut routes = OpenApiRouter::with_openapi(Api::openapi()).merge(routes::health()).nest(BASE, routes::api());
    name_operations(routes.get_openapi_mut());
    add_errors(routes.get_openapi_mut());
    routes
}

/// Adds the errors that any operation can answer, and those that come with what it takes; its own stand in its handler.
fn add_errors(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete] {
            let Some(operation) = operation else { continue };
            let keyed = operation
                .parameters
                .iter()
                .flatten()
                .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == "Idempotency-Key"));
            let mut possible = vec![
                ("400", "The query, an id or a header is malformed or unknown"),
                ("401", "The server wants a key, and this is none"),
                (
                    "403",
                    "The key does not have the scope, its tenant is suspended, or a web page of another origin caused the request",
                ),
                ("429", "The key, or its tenant, has used what it may; the headers RateLimit-* say what is left"),
                ("500", "The server failed"),
                ("503", "Storage, memory or the server itself is not available now"),
            ];
            if keyed {
                possible.push((
                    "409",
                    "The key came with another request, or the state of the resource does not allow this",
                ));
            }
            if operation.request_body.is_some() {
                possible.push(("408", "The body came too slowly"));
                possible.push(("413", "The body is too large"));
                possible.push(("415", "The body's type or encoding is not taken"));
            }
            for (status, description) in possible {
                let response = || {
                    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
                    ResponseBuilder::new().description(description).content("application/json", body).build().into()
                };
                operation.responses.responses.entry(status.to_owned()).or_insert_with(response);
            }
        }
    }
}

/// Gives every operation an id of its own, from method and path: `post_workflows_id_run`.
fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words: Vec<&str> = path
            .strip_prefix(BASE)
            .unwrap_or(path)
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("put", &mut item.put),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

/// The OpenAPI 3.1 document, generated from the handlers.
pub fn openapi() -> utoipa::openapi::OpenApi {
    assemble().split_for_parts().1
}

/// The whole HTTP service.
///
/// Unknown routes and wrong methods answer in the error shape, too. The caller serves it, bounds the time for request headers,
/// and calls [`ApiState::drain`] before it stops.
pub fn router(state: ApiState) -> Router {
    let (routes, document) = assemble().split_for_parts();
    let known = Arc::new(KnownKeys::of(&document));
    // The document is made of static parts; that it is JSON is tested.
    let document = Document::new(&document).unwrap_or_default();
    let documents = Router::new().route("/openapi.json", get(routes::openapi::get)).with_state(document);
    let config = Arc::clone(&state.config);
    let again = Router::from(routes::health()).with_state(state.clone());
    let asking = state.clone();
    let routes = routes
        .nest(BASE, again)
        .with_state(state)
        .nest(BASE, documents.clone())
        .merge(documents)
        .method_not_allowed_fallback(|| async {
            ApiError::new(Code::MethodNotAllowed, "this path exists, but not with this method; see the header Allow")
        })
        .fallback(|| async { ApiError::new(Code::NotFound, "there is no such route") })
        .layer(from_fn_with_state(known, known_query))
        .layer(RequestDecompressionLayer::new())
        .layer(from_fn(known_encoding))
        .layer(from_fn(paced_body))
        .layer(DefaultBodyLimit::disable())
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(asking, authenticate));
    // Layers of a router run after its routing; the path must be trimmed before. Hence a router around it.
    let mut outer = Router::new().fallback_service(routes).layer(from_fn(package_name)).layer(from_fn(trim_slash));
    if config.loopback_only {
        let allowed: Arc<[String]> = config.allowed_origins.clone().into();
        outer = outer.layer(from_fn_with_state(allowed, guard));
    }
    outer.layer(from_fn(finish))
}
