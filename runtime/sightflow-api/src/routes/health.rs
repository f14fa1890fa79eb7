//! `/healthz` and `/readyz`: no key, no dependency but what they report.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sightflow_types::TenantId;
use sightflow_types::error::chain;
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
    /// By part of the server: `ok`, or in a few words what is wrong.
    checks: BTreeMap<&'static str, String>,
}

/// 200 while the process turns.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// 200 when store, blobs, blocks, engine and workers can be used; 503 otherwise, and while the server stops.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn readyz(State(state): State<ApiState>) -> Response {
    let (store, blobs) = tokio::join!(state.store.ping(), state.blobs_ready.writable(&state.blobs));
    if let Err(error) = &store {
        tracing::warn!(error = chain(error), "the store is not ready");
    }
    let blocks = state
        .blocks(TenantId::BUILT_IN)
        .entries()
        .iter()
        .any(|entry| entry.engine() == sightflow_engine::EngineKind::Component);
    let word = |ok: bool, otherwise: &str| if ok { "ok" } else { otherwise }.to_owned();
    let mut checks = BTreeMap::from([
        ("store", word(store.is_ok(), "unavailable")),
        ("blobs", word(blobs, "unavailable")),
        // Applied when the store opens, hence fine whenever the store answers.
        ("migrations", word(store.is_ok(), "unknown")),
        ("blocks", word(blocks, "missing")),
        ("shutdown", word(!*state.draining().borrow(), "draining")),
    ]);
    for check in state.checks.iter() {
        checks.insert(check.name, check.word());
    }
    let ready = checks.values().all(|found| found == "ok");
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { status: if ready { "ready" } else { "not_ready" }, checks })).into_response()
}
