//! `/executions/{id}/nodes`: a record per node, in the order of the graph.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use sightflow_store::{JobSummary, RunDefinition};
use sightflow_types::{ExecutionId, TenantId};

use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::Path;
use crate::page::Page;
use crate::schema;
use crate::state::ApiState;
use crate::views::node::NodeView;

/// The nodes of an execution in plan order.
#[utoipa::path(get, path = "/executions/{id}/nodes", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = Page<NodeView>), (status = 404, body = ErrorBody)))]
pub(crate) async fn nodes(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
) -> Result<Json<Page<NodeView>>, ApiError> {
    let execution = state.store.execution(caller.tenant, id).await?;
    let (run, jobs) = tokio::try_join!(
        state.store.execution_definition(caller.tenant, id),
        state.store.job_summaries(caller.tenant, id, None)
    )?;
    let Value::Object(mut records) = execution.node_metrics else {
        return Err(ApiError::internal("node records are no object"));
    };
    let mut by_node: HashMap<String, Vec<JobSummary>> = HashMap::new();
    for job in jobs {
        by_node.entry(job.node_id.clone()).or_default().push(job);
    }
    let levels = levels(&state, caller.tenant, &run).await?;
    let items = order(&run.definition, &levels)
        .into_iter()
        .map(|(node_id, block_type)| {
            let record = records.remove(&node_id).unwrap_or_default();
            let jobs = by_node.remove(&node_id).unwrap_or_default();
            NodeView::new(node_id, block_type, record, &jobs)
        })
        .collect();
    Ok(Json(Page { items, next_cursor: None, total: None, total_capped: None }))
}

/// The level of each node: above those of all that it depends on.
async fn levels(state: &ApiState, tenant: TenantId, run: &RunDefinition) -> Result<HashMap<String, usize>, ApiError> {
    match state.plan(tenant, run.digest, async { Ok(run.definition.clone()) }).await {
        Ok(plan) => {
            let levels = plan.order().into_iter().enumerate();
            Ok(levels.flat_map(|(level, ids)| ids.into_iter().map(move |id| (id, level))).collect())
        }
        // It ran once, but a model that it names has gone since, for instance: the edges still say most of it.
        Err(error) if error.code == Code::DefinitionInvalid => Ok(levels_by_edges(&run.definition)),
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
