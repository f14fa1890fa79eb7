//! `/executions/{id}/nodes`: a record per node, in the order of the graph.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use sightflow_types::{ExecutionId, JobId, TenantId, Timestamp};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
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
    let levels = levels(&state, caller.tenant, &definition).await?;
    let items = order(&definition, &levels)
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

/// The level of each node: above those of all that it depends on.
async fn levels(state: &ApiState, tenant: TenantId, definition: &Value) -> Result<HashMap<String, usize>, ApiError> {
    match state.plan(tenant, definition).await {
        Ok(plan) => {
            let levels = plan.order().into_iter().enumerate();
            Ok(levels.flat_map(|(level, ids)| ids.into_iter().map(move |id| (id, level))).collect())
        }
        // It ran once, but a model that it names has gone since, for instance: the edges still say most of it.
        Err(error) if error.code == Code::DefinitionInvalid => Ok(levels_by_edges(definition)),
        Err(error) => Err(error),
    }
}

/// Levels by edges alone; nodes of a cycle have none.
fn levels_by_edges(definition: &Value) -> HashMap<String, usize> {
    let mut targets: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut missing: HashMap<&str, usize> =
        list(definition, "nodes").filter_map(|node| Some((text(node, "id")?, 0))).collect();
    for edge in list(definition, "edges") {
        let (Some(source), Some(target)) = (text(edge, "source"), text(edge, "target")) else { continue };
        if missing.contains_key(source)
            && let Some(missing) = missing.get_mut(target)
        {
            *missing += 1;
            targets.entry(source).or_default().push(target);
        }
    }
    let mut levels = HashMap::new();
    let mut ready: Vec<&str> = missing.iter().filter(|(_, missing)| **missing == 0).map(|(id, _)| *id).collect();
    let mut level = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for id in ready {
            levels.insert(id.to_owned(), level);
            for target in targets.remove(id).unwrap_or_default() {
                if let Some(missing) = missing.get_mut(target) {
                    *missing -= 1;
                    next.extend((*missing == 0).then_some(target));
                }
            }
        }
        ready = next;
        level += 1;
    }
    levels
}

/// Node ids and types by level, in document order within one; what has no level comes last.
fn order(definition: &Value, levels: &HashMap<String, usize>) -> Vec<(String, Option<String>)> {
    let node = |node| Some((text(node, "id")?.to_owned(), text(node, "type").map(str::to_owned)));
    let mut nodes: Vec<_> = list(definition, "nodes").filter_map(node).collect();
    nodes.sort_by_key(|(id, _)| levels.get(id).copied().unwrap_or(usize::MAX));
    nodes
}

fn list<'a>(definition: &'a Value, key: &str) -> std::slice::Iter<'a, Value> {
    definition.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice).iter()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_plan_edges_decide() {
        let edge = |source: &str, target: &str| json!({"source": source, "target": target});
        for (ids, edges, expected) in [
            (vec!["c", "b", "a"], vec![edge("a", "b"), edge("b", "c")], vec!["a", "b", "c"]),
            (vec!["x", "y"], vec![], vec!["x", "y"]),
            (
                vec!["d", "b", "c", "a"],
                vec![edge("a", "b"), edge("a", "c"), edge("b", "d"), edge("c", "d")],
                vec!["a", "b", "c", "d"],
            ),
            (vec!["b", "a"], vec![edge("a", "b"), edge("a", "b"), edge("gone", "a")], vec!["a", "b"]),
            (vec!["x", "y", "z"], vec![edge("x", "y"), edge("y", "x")], vec!["z", "x", "y"]),
        ] {
            let nodes: Vec<_> = ids.iter().map(|id| json!({"id": id, "type": "t"})).collect();
            let definition = json!({"nodes": nodes, "edges": edges});
            let ordered = order(&definition, &levels_by_edges(&definition));
            assert_eq!(ordered.into_iter().map(|node| node.0).collect::<Vec<_>>(), expected, "{ids:?}");
        }
    }
}
