//! `/executions`.

mod effects;
mod node;
mod nodes;
mod outputs;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_store::{ExecutionFilter, PageRequest};
use sightflow_types::{ExecutionId, ExecutionStatus, Timestamp, WorkflowId};
use utoipa::IntoParams;

use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Many, Path, Query, Seconds};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::execution::{ExecutionItem, ExecutionView};
use crate::views::workflow::Deleted;
use crate::{etag, schema, wait};

pub(crate) use effects::{__path_effects, effects};
pub(crate) use node::{__path_node, node};
pub(crate) use nodes::{__path_nodes, nodes};
pub(crate) use outputs::{__path_output, __path_outputs, output, outputs};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(value_type = Option<schema::WorkflowId>)]
    workflow_id: Option<WorkflowId>,
    /// Repeatable.
    #[serde(default)]
    #[param(value_type = Option<Vec<schema::ExecutionStatus>>)]
    status: Many<ExecutionStatus>,
    #[param(value_type = Option<schema::Time>)]
    created_after: Option<Timestamp>,
    #[param(value_type = Option<schema::Time>)]
    created_before: Option<Timestamp>,
}

/// Executions, newest first, without input, parameters, outputs, node metrics and metadata.
#[utoipa::path(get, path = "/executions", tag = "executions", params(ListQuery, PageQuery), responses((status = 200, body = Page<ExecutionItem>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ExecutionItem>>, ApiError> {
    list_page(&state, caller, query, &page).await.map(Json)
}

async fn list_page(
    state: &ApiState,
    caller: Caller,
    query: ListQuery,
    page: &PageQuery,
) -> Result<Page<ExecutionItem>, ApiError> {
    let filter = ExecutionFilter {
        workflow_id: query.workflow_id,
        statuses: query.status.0,
        created_after: query.created_after,
        created_before: query.created_before,
    };
    let window = page.window(("executions", &filter))?;
    let before = window.after_id()?.map(ExecutionId::from_uuid);
    let request = PageRequest { limit: window.limit, before };
    let found = state.store.executions(caller.tenant, filter.clone(), request).await?;
    let total = page.count(state.store.count_executions(caller.tenant, filter)).await?;
    Ok(window.page(found.items, found.next.map(ExecutionId::uuid), ExecutionItem::from).with_total(total))
}

/// The executions of one workflow; takes the same parameters as `GET /executions`.
#[utoipa::path(get, path = "/workflows/{id}/executions", tag = "workflows", params(("id" = schema::WorkflowId, Path), ListQuery, PageQuery),
    responses((status = 200, body = Page<ExecutionItem>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn of_workflow(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ExecutionItem>>, ApiError> {
    if query.workflow_id.is_some_and(|given| given != id) {
        return Err(ApiError::new(
            Code::NotFound,
            "`workflow_id` differs from the workflow in the path: there are no such executions",
        ));
    }
    state.store.check_workflow(caller.tenant, id).await?;
    list_page(&state, caller, ListQuery { workflow_id: Some(id), ..query }, &page).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetQuery {
    /// Hold the answer until the execution has ended, for example `20s`; at most 60 s.
    #[param(value_type = Option<Seconds>)]
    wait: Option<Seconds>,
    /// `base64`: put the bytes of output images, up to 8 MiB in all, into the answer.
    #[param(inline)]
    images: Option<outputs::Inline>,
}

/// One execution with everything.
#[utoipa::path(get, path = "/executions/{id}", tag = "executions", params(("id" = schema::ExecutionId, Path), GetQuery),
    responses((status = 200, body = ExecutionView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored bytes of an image that is to be inlined are damaged", body = ErrorBody), (status = 413, description = "The server has never enough memory for the images that are to be inlined", body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
    Query(query): Query<GetQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let patience = Duration::from_secs(query.wait.map_or(0, |wait| wait.0));
    let mut execution = wait::until_terminal(&state, caller.tenant, id, patience).await?;
    if let (Some(outputs::Inline::Base64), Some(values)) = (query.images, &mut execution.outputs) {
        let charge = outputs::inline_images(&state, values).await?;
        return etag::charged_json(&headers, &ExecutionView::from(execution), charge);
    }
    etag::json(&headers, &ExecutionView::from(execution))
}

/// Cancels a running or waiting execution; effective when answered.
#[utoipa::path(post, path = "/executions/{id}/cancel", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = ExecutionView), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
) -> Result<Json<ExecutionView>, ApiError> {
    Ok(Json(ExecutionView::from(state.store.cancel(caller.tenant, id).await?)))
}

/// Deletes an ended execution with its jobs, events and blob references, and with the `Idempotency-Key` that started it: the
/// same request starts another.
#[utoipa::path(delete, path = "/executions/{id}", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
) -> Result<Json<Deleted>, ApiError> {
    state.store.delete_execution(caller.tenant, id).await.map_err(|error| match error {
        sightflow_store::StoreError::NotTerminal => {
            ApiError::new(Code::NotTerminal, "the execution has not ended; cancel it first")
        }
        other => other.into(),
    })?;
    Ok(Json(Deleted { id: id.to_string(), deleted: true }))
}
