//! `/workers`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sightflow_types::WorkerId;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::fleet::WorkerView;
use crate::{etag, schema};

/// The members of the fleet, newest first, gone ones too.
#[utoipa::path(get, path = "/workers", tag = "fleet", params(PageQuery), responses((status = 200, body = Page<WorkerView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<WorkerView>>, ApiError> {
    let workers = page.window("workers")?.slice(
        state.store.workers().await?,
        |worker| worker.id.uuid(),
        |worker, after| worker.id.uuid().as_bytes().as_slice() < after,
        page.total,
    );
    Ok(Json(workers.map(WorkerView::from)))
}

/// One member.
#[utoipa::path(get, path = "/workers/{id}", tag = "fleet", params(("id" = schema::WorkerId, Path)),
    responses((status = 200, body = WorkerView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(id): Path<WorkerId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let worker = state.store.workers().await?.into_iter().find(|worker| worker.id == id);
    etag::json(&headers, &WorkerView::from(worker.ok_or_else(|| ApiError::not_found("worker", id))?))
}
