//! `/workflows/{id}/versions` and `/workflows/{id}/diff`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_store::{Created, PageRequest, Workflow, WorkflowChange};
use sightflow_types::WorkflowId;
use utoipa::IntoParams;

use super::diff::Diff;
use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query, parse_object, typed};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::workflow::{VersionView, WorkflowView};
use crate::{etag, idempotency, schema};

/// The versions of a workflow, newest first.
#[utoipa::path(get, path = "/workflows/{id}/versions", tag = "workflows", params(("id" = schema::WorkflowId, Path), PageQuery),
    responses((status = 200, body = Page<VersionView>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<VersionView>>, ApiError> {
    let window = page.window(("versions", id))?;
    let before = window.after_number()?;
    let found = state.store.workflow_versions(caller.tenant, id, PageRequest { limit: window.limit, before }).await?;
    let total = page.count(state.store.count_workflow_versions(caller.tenant, id)).await?;
    Ok(Json(window.page(found.items, found.next.map(u32::to_be_bytes), VersionView::item).with_total(total)))
}

/// One version with its definition.
#[utoipa::path(get, path = "/workflows/{id}/versions/{version}", tag = "workflows", params(("id" = schema::WorkflowId, Path), ("version" = u32, Path, minimum = 1, maximum = 4294967295i64)),
    responses((status = 200, body = VersionView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored definition cannot be read", body = ErrorBody)))]
pub(crate) async fn get_version(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, version)): Path<(WorkflowId, u32)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    etag::json(&headers, &VersionView::full(state.store.workflow_version(caller.tenant, id, version).await?))
}

/// Makes an old version the newest one.
#[utoipa::path(post, path = "/workflows/{id}/versions/{version}/restore", tag = "workflows", params(("id" = schema::WorkflowId, Path), ("version" = u32, Path, minimum = 1, maximum = 4294967295i64), ("Idempotency-Key" = Option<schema::IdempotencyKey>, Header)),
    responses((status = 200, body = WorkflowView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn restore(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, version)): Path<(WorkflowId, u32)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut held, key) = super::receive(&state, request).await?;
    if let Some(workflow) = idempotency::replayed_workflow(&state, caller, key.as_ref()).await? {
        return restored(Created { value: workflow, replayed: true });
    }
    if !held.bytes.is_empty() {
        typed::<Restore>(parse_object(&mut held).await?)?;
    }
    let old = state.store.workflow_version(caller.tenant, id, version).await?;
    let warnings = super::check(&state, caller, &old.definition).await?;
    let change = WorkflowChange {
        definition: Some(old.definition),
        warnings: Some(warnings),
        change_summary: Some(format!("restored version {version}")),
        idempotency: key,
        ..WorkflowChange::default()
    };
    restored(state.store.update_workflow(caller.tenant, id, change).await?)
}

/// Takes no wishes.
#[derive(Deserialize)]
struct Restore {}

fn restored(changed: Created<Workflow>) -> Result<Response, ApiError> {
    let mut response = super::answer(changed.value, &HeaderMap::new())?;
    idempotency::mark(&mut response, changed.replayed);
    Ok(response)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The older version.
    #[param(minimum = 1, maximum = 4294967295i64)]
    from: u32,
    /// The newer version.
    #[param(minimum = 1, maximum = 4294967295i64)]
    to: u32,
}

/// What changed between two versions.
#[utoipa::path(get, path = "/workflows/{id}/diff", tag = "workflows", params(("id" = schema::WorkflowId, Path), DiffQuery),
    responses((status = 200, body = Diff), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored definition cannot be read", body = ErrorBody)))]
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
