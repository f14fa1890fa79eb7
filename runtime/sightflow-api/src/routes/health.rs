//! `/healthz` and `/readyz`: no key, no dependency but what they report.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::ApiState;

/// The process turns.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
}

/// Whether the server can take work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    checks: Checks,
}

/// `ok`, or in one word what is missing.
#[derive(Debug, Serialize, ToSchema)]
struct Checks {
    store: &'static str,
    blobs: &'static str,
    /// Applied when the store opens, hence fine whenever the store answers.
    migrations: &'static str,
    blocks: &'static str,
    /// `ok` until the server begins to stop.
    shutdown: &'static str,
}

/// 200 while the process turns.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// 200 when store, blobs and blocks can be used; 503 otherwise, and while the server stops.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn readyz(State(state): State<ApiState>) -> Response {
    let (store, blobs) = tokio::join!(state.store.ping(), state.blobs.check_writable());
    if let Err(error) = &store {
        tracing::warn!(error = %error, "the store is not ready");
    }
    if let Err(error) = &blobs {
        tracing::warn!(error = %error, "the blob store is not ready");
    }
    let word = |ok: bool, otherwise: &'static str| if ok { "ok" } else { otherwise };
    let (store, blobs, draining) = (store.is_ok(), blobs.is_ok(), *state.draining().borrow());
    let blocks = state.catalog.entries().iter().any(|entry| entry.engine == sightflow_engine::EngineKind::Component);
    let checks = Checks {
        store: word(store, "unavailable"),
        blobs: word(blobs, "unavailable"),
        migrations: word(store, "unknown"),
        blocks: word(blocks, "missing"),
        shutdown: word(!draining, "draining"),
    };
    let ready = store && blobs && blocks && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { status: if ready { "ready" } else { "not_ready" }, checks })).into_response()
}
