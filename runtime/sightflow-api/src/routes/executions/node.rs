//! `/executions/{id}/nodes/{node_id}`: one node, its items, or one of them.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_store::{JobSummary, NodeRecord};
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
    let asked = Asked { state: &state, tenant: caller.tenant, id, node_id, jobs };
    let detail = match query.item {
        Some(ItemPath(item)) => asked.item(item).await?,
        None => asked.whole(&page).await?,
    };
    etag::json(&headers, &detail)
}

/// The node that was asked for.
struct Asked<'a> {
    state: &'a ApiState,
    tenant: TenantId,
    id: ExecutionId,
    node_id: String,
    /// All of the node's.
    jobs: Vec<JobSummary>,
}

impl Asked<'_> {
    async fn item(self, item: String) -> Result<NodeDetail, ApiError> {
        let found = self.state.store.node_record(self.tenant, self.id, &self.node_id, &item).await?;
        let Some(found) = found else {
            return Err(ApiError::not_found("item", format!("`{item}` of node `{}` in {}", self.node_id, self.id)));
        };
        let record = NodeView::new(found.node_id, None, found.record, &self.jobs_of_item(&item));
        Ok(NodeDetail { item: Some(item), record, records: None })
    }

    async fn whole(self, page: &PageQuery) -> Result<NodeDetail, ApiError> {
        let (store, tenant, id, node_id) = (&self.state.store, self.tenant, self.id, &self.node_id);
        let window = page.window(("node items", id, node_id))?;
        let (record, block_type) = match store.node_record(tenant, id, node_id, "").await? {
            Some(found) => (found.record, None),
            // Nothing became of it yet.
            None => (Value::Null, Some(self.block_type().await?)),
        };
        let found = store.node_items(tenant, id, node_id, window.after_name()?, window.limit).await?;
        let total = page.count(store.count_node_items(tenant, id, node_id)).await?;
        let view = |found: NodeRecord| {
            let jobs = self.jobs_of_item(&found.item_path);
            ItemView { item: found.item_path, record: NodeView::new(found.node_id, None, found.record, &jobs) }
        };
        let records = Some(window.page(found.items, found.next, view).with_total(total));
        let record = NodeView::new(self.node_id.clone(), block_type, record, &self.jobs);
        Ok(NodeDetail { item: None, record, records })
    }

    /// The node's type, as the definition says it.
    async fn block_type(&self) -> Result<String, ApiError> {
        let run = self.state.store.execution_definition(self.tenant, self.id).await?;
        let mut nodes = run.definition["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["id"] == self.node_id.as_str());
        let node = node.ok_or_else(|| ApiError::not_found("node", format!("`{}` in {}", self.node_id, self.id)))?;
        Ok(node["type"].as_str().unwrap_or_default().to_owned())
    }

    /// Those of the jobs that look at images of this item: `3/1`, or `3/1#0` for the first of several.
    fn jobs_of_item(&self, item: &str) -> Vec<JobSummary> {
        let path = |job: &JobSummary| job.item_path.split('#').next().unwrap_or_default().trim_end_matches('/') == item;
        self.jobs.iter().filter(|job| path(job)).cloned().collect()
    }
}
