//! The routes with everything that is wrapped around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::error::{ApiError, Code};
use crate::middleware::{finish, guard, paced_body, trim_slash};
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
        (name = "models", description = "Registered models"),
        (name = "fleet", description = "Workers and engines"),
        (name = "health", description = "Liveness and readiness"),
        (name = "reference", description = "Error codes"),
    )
)]
struct Api;

fn assemble() -> OpenApiRouter<ApiState> {
    let mut routes = OpenApiRouter::with_openapi(Api::openapi()).merge(routes::health()).nest(BASE, routes::api());
    name_operations(routes.get_openapi_mut());
    routes
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
    // The document is made of static parts; that it is JSON is tested.
    let document = Document::new(&document).unwrap_or_default();
    let documents = Router::new().route("/openapi.json", get(routes::openapi::get)).with_state(document);
    let config = Arc::clone(&state.config);
    let again = Router::from(routes::health()).with_state(state.clone());
    let routes = routes
        .nest(BASE, again)
        .with_state(state)
        .nest(BASE, documents.clone())
        .merge(documents)
        .method_not_allowed_fallback(|| async {
            ApiError::new(Code::MethodNotAllowed, "this path exists, but not with this method; see the header Allow")
        })
        .fallback(|| async { ApiError::new(Code::NotFound, "there is no such route") })
        .layer(from_fn(paced_body))
        .layer(DefaultBodyLimit::disable())
        .layer(CompressionLayer::new());
    // Layers of a router run after its routing; the path must be trimmed before. Hence a router around it.
    let mut outer = Router::new().fallback_service(routes).layer(from_fn(trim_slash));
    if config.loopback_only {
        let allowed: Arc<[String]> = config.allowed_origins.clone().into();
        outer = outer.layer(from_fn_with_state(allowed, guard));
    }
    outer.layer(from_fn(finish))
}
