//! `/executions/{id}/nodes`: a record per node, in the order of the graph.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use sightflow_types::{ExecutionId, JobId, Timestamp};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Path;
use crate::page::Page;
use crate::schema;
use crate::state::ApiState;

/// What became of one node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionNode)]
pub(crate) struct NodeView {
    node_id: String,
    /// Block type.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    block_type: Value,
    /// `pending`, `running`, `completed`, `skipped`, `failed` or `cancelled`.
    #[schema(value_type = String)]
    status: Value,
    /// Why it did not run.
    #[schema(value_type = Option<String>)]
    skip_reason: Value,
    #[schema(value_type = u32)]
    attempts: Value,
    #[schema(value_type = Option<u64>)]
    duration_ms: Value,
    /// Longest wait of its inference jobs.
    #[schema(value_type = Option<u64>)]
    queue_ms: Value,
    #[schema(value_type = Option<Object>)]
    items: Value,
    #[schema(value_type = Option<Object>)]
    error: Value,
    /// Its inference jobs.
    #[schema(value_type = Vec<schema::JobId>)]
    job_ids: Vec<JobId>,
    /// What its block logged, in order: `{"level", "message"}`.
    #[schema(value_type = Vec<Object>)]
    logs: Value,
}

/// The nodes of an execution in plan order.
#[utoipa::path(get, path = "/executions/{id}/nodes", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = Page<NodeView>), (status = 404, body = ErrorBody)))]
pub(crate) async fn nodes(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
) -> Result<Json<Page<NodeView>>, ApiError> {
    let execution = state.store.execution(caller.tenant, id).await?;
    let (definition, jobs) =
        tokio::try_join!(state.store.execution_definition(caller.tenant, id), state.store.jobs_of(id))?;
    let Value::Object(mut metrics) = execution.node_metrics else {
        return Err(ApiError::internal("node metrics are no object"));
    };
    let mut by_node: HashMap<String, Vec<(JobId, Option<u64>, Timestamp)>> = HashMap::new();
    for job in jobs {
        by_node.entry(job.node_id).or_default().push((job.id, job.queue_ms, job.submitted_at));
    }
    let items = order(&definition)
        .into_iter()
        .map(|(node_id, block_type)| {
            let record = match metrics.remove(&node_id) {
                Some(Value::Object(record)) => record,
                _ => Map::new(),
            };
            let jobs = by_node.remove(&node_id).unwrap_or_default();
            view(node_id, block_type, record, jobs)
        })
        .collect();
    Ok(Json(Page { items, next_cursor: None, total: None, total_capped: None }))
}

fn view(
    node_id: String,
    block_type: Option<String>,
    mut record: Map<String, Value>,
    jobs: Vec<(JobId, Option<u64>, Timestamp)>,
) -> NodeView {
    let mut take = |key: &str| record.remove(key).unwrap_or_default();
    let or = |value: Value, default: Value| if value.is_null() { default } else { value };
    let waited = jobs.iter().filter_map(|job| job.1).max();
    NodeView {
        block_type: or(take("type"), block_type.into()),
        status: or(take("status"), "pending".into()),
        skip_reason: take("skip_reason"),
        attempts: or(take("attempts"), 0.into()),
        duration_ms: take("duration_ms"),
        queue_ms: or(take("queue_ms"), waited.into()),
        items: take("items"),
        error: take("error"),
        logs: or(take("logs"), Value::Array(Vec::new())),
        job_ids: jobs.into_iter().map(|job| job.0).collect(),
        node_id,
    }
}

/// Node ids and types so that a node stands behind what it depends on; among equals, document order.
fn order(definition: &Value) -> Vec<(String, Option<String>)> {
    let list = |key: &str| definition.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut rest: Vec<(String, Option<String>)> =
        list("nodes").iter().filter_map(|node| Some((text(node, "id")?, text(node, "type")))).collect();
    let edges: Vec<(String, String)> =
        list("edges").iter().filter_map(|edge| Some((text(edge, "source")?, text(edge, "target")?))).collect();
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) = rest.iter().cloned().partition(|(id, _)| {
            edges.iter().all(|(source, target)| target != id || !rest.iter().any(|(other, _)| other == source))
        });
        // A cycle cannot be saved; if there is one all the same, document order does.
        let stuck = ready.is_empty();
        ordered.extend(if stuck { waiting.clone() } else { ready });
        rest = if stuck { Vec::new() } else { waiting };
    }
    ordered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dependencies_come_first() {
        let edge = |source: &str, target: &str| json!({"source": source, "target": target});
        for (ids, edges, expected) in [
            (vec!["c", "b", "a"], vec![edge("a", "b"), edge("b", "c")], vec!["a", "b", "c"]),
            (vec!["x", "y"], vec![], vec!["x", "y"]),
            (vec!["x", "y", "z"], vec![edge("x", "y"), edge("y", "x")], vec!["z", "x", "y"]),
        ] {
            let nodes: Vec<_> = ids.iter().map(|id| json!({"id": id, "type": "t"})).collect();
            let ordered: Vec<String> =
                order(&json!({"nodes": nodes, "edges": edges})).into_iter().map(|node| node.0).collect();
            assert_eq!(ordered, expected, "{ids:?}");
        }
    }
}
