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
use crate::page::{Page, PageQuery};
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
}

/// Inference jobs, newest first, without results.
#[utoipa::path(get, path = "/inference-jobs", tag = "inference jobs", params(ListQuery, PageQuery),
    responses((status = 200, body = Page<JobView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
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
    let window = page.window(("jobs", &filter))?;
    let before = window.after_id()?.map(JobId::from_uuid);
    let request = PageRequest { limit: window.limit, before };
    let jobs = state.store.jobs(caller.tenant, filter.clone(), request).await?;
    let total = page.count(state.store.count_jobs(caller.tenant, filter)).await?;
    Ok(Json(window.page(jobs.items, jobs.next.map(JobId::uuid), JobView::item).with_total(total)))
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
