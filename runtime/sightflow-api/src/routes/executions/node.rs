//! `/executions/{id}/nodes/{node_id}`: one node, its items, or one of them.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_store::JobSummary;
use sightflow_types::{ExecutionId, TenantId};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{ItemPath, Path, Query};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::node::NodeView;
use crate::{etag, schema};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NodeQuery {
    /// One item alone, by its loop indexes, outermost first: `3`, or `3/1` (also `3,1`).
    #[param(value_type = Option<ItemPath>)]
    item: Option<ItemPath>,
}

/// What became of one item of a node in a loop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionNodeItem)]
pub(crate) struct ItemView {
    /// Its loop indexes, outermost first: `3`, `3/1`.
    item: String,
    #[serde(flatten)]
    record: NodeView,
}

/// What became of one node, or of one item of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionNodeDetail)]
pub(crate) struct NodeDetail {
    /// The item's loop indexes; null for the node as a whole.
    item: Option<String>,
    #[serde(flatten)]
    record: NodeView,
    /// A page of its items, in the order of their indexes; null for one item.
    records: Option<Page<ItemView>>,
}

/// One node of an execution with its items, or with `item` one of them.
#[utoipa::path(get, path = "/executions/{id}/nodes/{node_id}", tag = "executions",
    params(("id" = schema::ExecutionId, Path), ("node_id" = String, Path), NodeQuery, PageQuery),
    responses((status = 200, body = NodeDetail), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn node(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, node_id)): Path<(ExecutionId, String)>,
    Query(query): Query<NodeQuery>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let jobs = state.store.job_summaries(caller.tenant, id, Some(&node_id)).await?;
    let detail = match query.item {
        Some(ItemPath(item)) => one_item(&state, caller.tenant, id, node_id, item, &jobs).await?,
        None => whole_node(&state, caller.tenant, id, node_id, &page, &jobs).await?,
    };
    etag::json(&headers, &detail)
}

async fn one_item(
    state: &ApiState,
    tenant: TenantId,
    id: ExecutionId,
    node_id: String,
    item: String,
    jobs: &[JobSummary],
) -> Result<NodeDetail, ApiError> {
    let found = state.store.node_record(tenant, id, &node_id, &item).await?;
    let found = found.ok_or_else(|| ApiError::not_found("item", format!("`{item}` of node `{node_id}` in {id}")))?;
    let record = NodeView::new(node_id, None, found.record, &jobs_of_item(jobs, &item));
    Ok(NodeDetail { item: Some(item), record, records: None })
}

async fn whole_node(
    state: &ApiState,
    tenant: TenantId,
    id: ExecutionId,
    node_id: String,
    page: &PageQuery,
    jobs: &[JobSummary],
) -> Result<NodeDetail, ApiError> {
    let window = page.window(("node items", id, &node_id))?;
    let (record, block_type) = match state.store.node_record(tenant, id, &node_id, "").await? {
        Some(found) => (found.record, None),
        // Nothing became of it yet.
        None => (Value::Null, Some(block_type(state, tenant, id, &node_id).await?)),
    };
    let found = state.store.node_items(tenant, id, &node_id, window.after_name()?, window.limit).await?;
    let total = page.count(state.store.count_node_items(tenant, id, &node_id)).await?;
    let view = |found: sightflow_store::NodeRecord| {
        let jobs = jobs_of_item(jobs, &found.item_path);
        ItemView { item: found.item_path, record: NodeView::new(found.node_id, None, found.record, &jobs) }
    };
    let records = window.page(found.items, found.next, view).with_total(total);
    Ok(NodeDetail { item: None, record: NodeView::new(node_id, block_type, record, jobs), records: Some(records) })
}

/// The type of a node of the definition.
async fn block_type(state: &ApiState, tenant: TenantId, id: ExecutionId, node_id: &str) -> Result<String, ApiError> {
    let run = state.store.execution_definition(tenant, id).await?;
    let mut nodes = run.definition["nodes"].as_array().into_iter().flatten();
    let node = nodes.find(|node| node["id"] == node_id);
    let node = node.ok_or_else(|| ApiError::not_found("node", format!("`{node_id}` in {id}")))?;
    Ok(node["type"].as_str().unwrap_or_default().to_owned())
}

/// Those of a node's jobs that look at images of this item: `3/1`, or `3/1#0` for the first of several.
fn jobs_of_item(jobs: &[JobSummary], item: &str) -> Vec<JobSummary> {
    let of = |job: &&JobSummary| job.item_path.split('#').next().is_some_and(|path| path.trim_end_matches('/') == item);
    jobs.iter().filter(of).cloned().collect()
}
