//! `/inference-jobs`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_store::{JobFilter, PageRequest};
use sightflow_types::{ExecutionId, JobId, JobStatus, Task, Timestamp, WorkflowId};
use utoipa::IntoParams;

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Many, Path, Query};
use crate::page::{self, Page, Window};
use crate::state::ApiState;
use crate::views::job::JobView;
use crate::{etag, schema};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(value_type = Option<schema::ExecutionId>)]
    execution_id: Option<ExecutionId>,
    #[param(value_type = Option<schema::WorkflowId>)]
    workflow_id: Option<WorkflowId>,
    node_id: Option<String>,
    model_id: Option<String>,
    #[param(value_type = Option<schema::Task>)]
    task: Option<Task>,
    /// Repeatable.
    #[serde(default)]
    #[param(value_type = Option<Vec<schema::JobStatus>>)]
    status: Many<JobStatus>,
    error_code: Option<String>,
    #[param(value_type = Option<schema::Time>)]
    submitted_after: Option<Timestamp>,
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

/// Inference jobs, newest first, without results.
#[utoipa::path(get, path = "/inference-jobs", tag = "inference jobs", params(ListQuery),
    responses((status = 200, body = Page<JobView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<JobView>>, ApiError> {
    let filter = JobFilter {
        execution_id: query.execution_id,
        workflow_id: query.workflow_id,
        node_id: query.node_id,
        model_id: query.model_id,
        task: query.task,
        statuses: query.status.0,
        error_code: query.error_code,
        submitted_after: query.submitted_after,
    };
    let window = Window::new(query.limit, query.cursor.as_deref(), ("jobs", &filter))?;
    let before = window.after_id()?.map(JobId::from_uuid);
    let request = PageRequest { limit: window.limit, before };
    let page = state.store.jobs(caller.tenant, filter.clone(), request).await?;
    let total = if query.total { Some(count(&state, caller, &filter).await?) } else { None };
    Ok(Json(window.page(page.items, page.next.map(JobId::uuid), JobView::item).with_total(total)))
}

async fn count(state: &ApiState, caller: Caller, filter: &JobFilter) -> Result<u64, ApiError> {
    page::count(|before| async move {
        let page = state.store.jobs(caller.tenant, filter.clone(), PageRequest { limit: 100, before }).await?;
        Ok((page.items.len(), page.next))
    })
    .await
}

/// One inference job with its result.
#[utoipa::path(get, path = "/inference-jobs/{id}", tag = "inference jobs", params(("id" = schema::JobId, Path)),
    responses((status = 200, body = JobView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<JobId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    etag::json(&headers, &JobView::full(state.store.job(caller.tenant, id).await?))
}
