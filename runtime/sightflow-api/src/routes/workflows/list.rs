//! `GET /workflows`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use sightflow_store::{Definitions, PageRequest, Workflow, WorkflowFilter};
use sightflow_types::{WorkflowId, WorkflowStatus};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Query;
use crate::page::{Page, PageQuery};
use crate::schema;
use crate::state::ApiState;
use crate::views::workflow::WorkflowView;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Part of the name or description.
    search: Option<String>,
    #[param(value_type = Option<schema::WorkflowStatus>)]
    status: Option<WorkflowStatus>,
    /// `definition`: items with their definitions.
    #[param(inline)]
    include: Option<Include>,
}

/// What items may carry beside their own fields.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    Definition,
}

/// Workflows, newest first.
#[utoipa::path(get, path = "/workflows", tag = "workflows", params(ListQuery, PageQuery), responses((status = 200, body = Page<WorkflowView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<WorkflowView>>, ApiError> {
    let filter = WorkflowFilter { search: query.search, status: query.status };
    let window = page.window(("workflows", &filter))?;
    let before = window.after_id()?.map(WorkflowId::from_uuid);
    let request = PageRequest { limit: window.limit, before };
    let (definitions, view): (_, fn(Workflow) -> WorkflowView) = match query.include {
        Some(Include::Definition) => (Definitions::Include, WorkflowView::full),
        None => (Definitions::Omit, WorkflowView::item),
    };
    let found = state.store.workflows(caller.tenant, filter.clone(), definitions, request).await?;
    let total = page.count(state.store.count_workflows(caller.tenant, filter)).await?;
    Ok(Json(window.page(found.items, found.next.map(WorkflowId::uuid), view).with_total(total)))
}
