//! `/workers`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_types::WorkerId;
use utoipa::IntoParams;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::page::{Page, Window};
use crate::state::ApiState;
use crate::views::fleet::WorkerView;
use crate::{etag, schema};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// 1..100, default 50.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// From `next_cursor`.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
    /// Adds `total`, counted to 10,000.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    total: bool,
}

/// The members of the fleet, newest first, gone ones too.
#[utoipa::path(get, path = "/workers", tag = "fleet", params(ListQuery), responses((status = 200, body = Page<WorkerView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<WorkerView>>, ApiError> {
    let window = Window::new(query.limit, query.cursor.as_deref(), "workers")?;
    let page = window.slice(
        state.store.workers().await?,
        |worker| worker.id.uuid(),
        |worker, after| worker.id.uuid().as_bytes().as_slice() < after,
        query.total,
    );
    Ok(Json(page.map(WorkerView::from)))
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
