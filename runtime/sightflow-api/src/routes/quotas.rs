//! `/tenants/{id}/quotas`.

use axum::Json;
use axum::extract::State;
use sightflow_types::TenantId;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::schema;
use crate::state::ApiState;
use crate::views::quota::{QuotaBody, QuotaView};

/// What a tenant may have.
#[utoipa::path(get, path = "/tenants/{id}/quotas", tag = "tenants", params(("id" = schema::TenantId, Path)),
    responses((status = 200, body = QuotaView), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(State(state): State<ApiState>, Path(id): Path<TenantId>) -> Result<Json<QuotaView>, ApiError> {
    state.store.tenant(id).await?;
    let quotas = state.config.quotas.with(&state.store.quotas(id).await?);
    Ok(Json(QuotaView::from(&quotas)))
}

/// Sets what a tenant may have. It holds within five seconds, on every node.
#[utoipa::path(put, path = "/tenants/{id}/quotas", tag = "tenants", params(("id" = schema::TenantId, Path)), request_body = QuotaBody,
    responses((status = 200, body = QuotaView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn put(
    State(state): State<ApiState>,
    Path(id): Path<TenantId>,
    extract::Json(body, _held): extract::Json<QuotaBody>,
) -> Result<Json<QuotaView>, ApiError> {
    let changes = body.changes();
    let quotas = state.config.quotas.with(&changes);
    state.store.set_quotas(id, changes).await?;
    state.key_cache.clear();
    Ok(Json(QuotaView::from(&quotas)))
}
