//! `/workflows/{id}/versions` and `/workflows/{id}/diff`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_store::{PageRequest, WorkflowChange};
use sightflow_types::WorkflowId;
use utoipa::IntoParams;

use super::diff::Diff;
use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::etag;
use crate::extract::{Path, Query};
use crate::page::{Page, Window};
use crate::state::ApiState;
use crate::views::workflow::{VersionView, WorkflowView};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// 1..100, default 50.
    limit: Option<u32>,
    /// From `next_cursor`.
    cursor: Option<String>,
}

/// The versions of a workflow, newest first.
#[utoipa::path(get, path = "/workflows/{id}/versions", tag = "workflows", params(("id" = String, Path), PageQuery),
    responses((status = 200, body = Page<VersionView>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<VersionView>>, ApiError> {
    let window = Window::new(query.limit, query.cursor.as_deref(), ("versions", id))?;
    let before = window.after_number()?;
    let page = state.store.workflow_versions(caller.tenant, id, PageRequest { limit: window.limit, before }).await?;
    Ok(Json(window.page(page.items, page.next.map(u32::to_be_bytes), VersionView::item)))
}

/// One version with its definition.
#[utoipa::path(get, path = "/workflows/{id}/versions/{version}", tag = "workflows", params(("id" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = VersionView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get_version(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, version)): Path<(WorkflowId, u32)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    etag::json(&headers, &VersionView::full(state.store.workflow_version(caller.tenant, id, version).await?))
}

/// Makes an old version the newest one.
#[utoipa::path(post, path = "/workflows/{id}/versions/{version}/restore", tag = "workflows", params(("id" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = WorkflowView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn restore(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, version)): Path<(WorkflowId, u32)>,
) -> Result<Response, ApiError> {
    let old = state.store.workflow_version(caller.tenant, id, version).await?;
    let warnings = super::check(&state, caller, &old.definition).await?;
    let change = WorkflowChange {
        definition: Some(old.definition),
        warnings: Some(serde_json::json!(warnings)),
        change_summary: Some(format!("restored version {version}")),
        ..WorkflowChange::default()
    };
    let changed = state.store.update_workflow(caller.tenant, id, change).await?;
    super::answer(&state, caller, changed.value, &HeaderMap::new()).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The older version.
    from: u32,
    /// The newer version.
    to: u32,
}

/// What changed between two versions.
#[utoipa::path(get, path = "/workflows/{id}/diff", tag = "workflows", params(("id" = String, Path), DiffQuery),
    responses((status = 200, body = Diff), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn diff(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Diff>, ApiError> {
    let (from, to) = tokio::try_join!(
        state.store.workflow_version(caller.tenant, id, query.from),
        state.store.workflow_version(caller.tenant, id, query.to)
    )?;
    Ok(Json(super::diff::diff(&from.definition, &to.definition)))
}
