//! What became of a node, on the wire.

use serde::Serialize;
use serde_json::{Map, Value};
use sightflow_store::JobSummary;
use sightflow_types::JobId;
use utoipa::ToSchema;

use crate::schema;

/// Fields of a record that may be null. The store leaves them out then.
const NULLABLE: [&str; 5] = ["duration_ms", "error", "items", "queue_ms", "skip_reason"];

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
    /// Its inference jobs, the first 1,000 of them; the execution's list of jobs has all, by pages.
    #[schema(value_type = Vec<schema::JobId>)]
    job_ids: Vec<JobId>,
    /// What its block logged, in order: `{"level", "message"}`.
    #[schema(value_type = Vec<Object>)]
    logs: Value,
}

/// Ids that one node shows: a loop has a job for each of thousands of items.
const JOB_IDS: usize = 1000;

impl NodeView {
    /// Of a record, as the store keeps it, and of the jobs that belong to it.
    pub(crate) fn new(node_id: String, block_type: Option<String>, record: Value, jobs: &[JobSummary]) -> Self {
        let mut record = match record {
            Value::Object(record) => record,
            _ => Map::new(),
        };
        let mut take = |key: &str| record.remove(key).unwrap_or_default();
        let or = |value: Value, default: Value| if value.is_null() { default } else { value };
        let waited = jobs.iter().filter_map(|job| job.queue_ms).max();
        Self {
            block_type: or(take("type"), block_type.into()),
            status: or(take("status"), "pending".into()),
            skip_reason: take("skip_reason"),
            attempts: or(take("attempts"), 0.into()),
            duration_ms: take("duration_ms"),
            queue_ms: or(take("queue_ms"), waited.into()),
            items: take("items"),
            error: take("error"),
            logs: or(take("logs"), Value::Array(Vec::new())),
            job_ids: jobs.iter().take(JOB_IDS).map(|job| job.id).collect(),
            node_id,
        }
    }
}

/// Records by node with all their fields.
pub(crate) fn whole(mut records: Value) -> Value {
    let records_of_nodes = records.as_object_mut().into_iter().flat_map(|records| records.values_mut());
    for record in records_of_nodes.filter_map(Value::as_object_mut) {
        for field in NULLABLE {
            record.entry(field).or_insert(Value::Null);
        }
    }
    records
}
