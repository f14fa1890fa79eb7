//! `GET /workflows`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use sightflow_store::{PageRequest, WorkflowFilter};
use sightflow_types::{WorkflowId, WorkflowStatus};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Query;
use crate::page::{self, Page, Window};
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

/// What items may carry beside their own fields.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    Definition,
}

/// Workflows, newest first.
#[utoipa::path(get, path = "/workflows", tag = "workflows", params(ListQuery), responses((status = 200, body = Page<WorkflowView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<WorkflowView>>, ApiError> {
    let filter = WorkflowFilter { search: query.search, status: query.status };
    let window = Window::new(query.limit, query.cursor.as_deref(), ("workflows", &filter))?;
    let before = window.after_id()?.map(WorkflowId::from_uuid);
    let page =
        state.store.workflows(caller.tenant, filter.clone(), PageRequest { limit: window.limit, before }).await?;
    let total = if query.total { Some(count(&state, caller, &filter).await?) } else { None };
    let view = match query.include {
        Some(Include::Definition) => WorkflowView::full,
        None => WorkflowView::item,
    };
    Ok(Json(window.page(page.items, page.next.map(WorkflowId::uuid), view).with_total(total)))
}

async fn count(state: &ApiState, caller: Caller, filter: &WorkflowFilter) -> Result<u64, ApiError> {
    page::count(|before| async move {
        let page = state.store.workflows(caller.tenant, filter.clone(), PageRequest { limit: 100, before }).await?;
        Ok((page.items.len(), page.next))
    })
    .await
}
