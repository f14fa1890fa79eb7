//! `/usage`: what the caller's tenant used.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use sightflow_store::{Usage, UsageBy, UsageQuery};
use sightflow_types::{Timestamp, WorkflowId};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Query;
use crate::schema;
use crate::state::ApiState;

/// How far back usage goes where nobody says.
const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Executions that ended at this time or later. Default: a day before `to`.
    #[param(value_type = Option<schema::Time>)]
    from: Option<Timestamp>,
    /// And before this time. Default: now.
    #[param(value_type = Option<schema::Time>)]
    to: Option<Timestamp>,
    /// `hour` (default), `day`, `workflow`, `model` or `block`.
    #[param(value_type = Option<schema::UsageBy>)]
    group_by: Option<UsageBy>,
}

/// What was used, of one group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageView {
    /// The beginning of the hour or day, the workflow's id, or the name of model or block; null for runs of definitions that came
    /// with them.
    key: Option<String>,
    /// Executions that ended; 0 by model and block.
    executions: u64,
    /// Inference jobs that were completed.
    jobs: u64,
    gpu_seconds: f64,
    worker_cpu_ms: f64,
    block_cpu_ms: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageList {
    /// In the order of their keys; at most 10,000.
    items: Vec<UsageView>,
}

impl UsageView {
    fn new(by: UsageBy, usage: Usage) -> Self {
        let Usage { key, executions, jobs, gpu_us, worker_cpu_us, block_cpu_us } = usage;
        let time = || key.parse().map_or_else(|_| key.clone(), |ms| Timestamp::from_millis(ms).to_string());
        let key = match by {
            UsageBy::Hour | UsageBy::Day => Some(time()),
            UsageBy::Workflow => key.parse().ok().map(|id: WorkflowId| id.to_string()),
            UsageBy::Model | UsageBy::Block => Some(key),
        };
        let milli = |us: u64| us as f64 / 1e3;
        let gpu_seconds = gpu_us as f64 / 1e6;
        Self {
            key,
            executions,
            jobs,
            gpu_seconds,
            worker_cpu_ms: milli(worker_cpu_us),
            block_cpu_ms: milli(block_cpu_us),
        }
    }
}

/// What the tenant used, an execution where it ended. It stays known when executions are deleted.
#[utoipa::path(get, path = "/usage", tag = "tenants", params(Asked), responses((status = 200, body = UsageList), (status = 400, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<UsageList>, ApiError> {
    let to = asked.to.unwrap_or_else(|| state.store.now());
    let from = asked.from.unwrap_or_else(|| to.plus_millis(-DAY_MS));
    let by = asked.group_by.unwrap_or(UsageBy::Hour);
    let found = state.store.usage(caller.tenant, UsageQuery { from, to, by }).await?;
    Ok(Json(UsageList { items: found.into_iter().map(|usage| UsageView::new(by, usage)).collect() }))
}
