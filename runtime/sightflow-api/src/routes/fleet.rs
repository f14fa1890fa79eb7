//! `/workers`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sightflow_types::WorkerId;

use crate::error::{ApiError, ErrorBody};
use crate::etag;
use crate::extract::Path;
use crate::page::Page;
use crate::state::ApiState;
use crate::views::fleet::WorkerView;

/// Every member of the fleet, newest first, gone ones too.
#[utoipa::path(get, path = "/workers", tag = "fleet", responses((status = 200, body = Page<WorkerView>)))]
pub(crate) async fn list(State(state): State<ApiState>) -> Result<Json<Page<WorkerView>>, ApiError> {
    let items = state.store.workers().await?.into_iter().map(WorkerView::from).collect();
    Ok(Json(Page { items, next_cursor: None, total: None, total_capped: None }))
}

/// One member.
#[utoipa::path(get, path = "/workers/{id}", tag = "fleet", params(("id" = String, Path)),
    responses((status = 200, body = WorkerView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(id): Path<WorkerId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let worker = state.store.workers().await?.into_iter().find(|worker| worker.id == id);
    etag::json(&headers, &WorkerView::from(worker.ok_or_else(|| ApiError::not_found("worker", id))?))
}
