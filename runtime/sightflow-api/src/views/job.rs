//! An inference job on the wire.

use serde::Serialize;
use serde_json::Value;
use sightflow_store::Job;
use sightflow_types::{ExecutionId, JobId, JobStatus, ModelSource, Task, Timestamp, WorkerId, WorkflowId};
use utoipa::ToSchema;

use super::images;
use crate::schema;

/// One inference: an image, a model, a result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceJob)]
pub(crate) struct JobView {
    #[schema(value_type = schema::JobId)]
    pub(crate) id: JobId,
    #[schema(value_type = schema::ExecutionId)]
    pub(crate) execution_id: ExecutionId,
    #[schema(value_type = Option<schema::WorkflowId>)]
    pub(crate) workflow_id: Option<WorkflowId>,
    pub(crate) node_id: String,
    /// Loop indexes `3/1`, `#k` for the k-th image of a list, empty otherwise.
    pub(crate) item: String,
    #[schema(value_type = schema::Task)]
    pub(crate) task: Task,
    pub(crate) model_id: String,
    #[schema(value_type = schema::ModelSource)]
    pub(crate) model_source: ModelSource,
    #[schema(value_type = schema::JobStatus)]
    pub(crate) status: JobStatus,
    /// 0..100.
    pub(crate) progress: u8,
    pub(crate) priority: u8,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    #[schema(value_type = Option<schema::WorkerId>)]
    pub(crate) worker_id: Option<WorkerId>,
    #[schema(value_type = schema::Time)]
    pub(crate) submitted_at: Timestamp,
    #[schema(value_type = Option<schema::Time>)]
    pub(crate) started_at: Option<Timestamp>,
    #[schema(value_type = Option<schema::Time>)]
    pub(crate) completed_at: Option<Timestamp>,
    /// `load_ms` + `compute_ms`.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) queue_ms: Option<u64>,
    pub(crate) load_ms: Option<u64>,
    /// Of the whole batch.
    pub(crate) compute_ms: Option<u64>,
    pub(crate) batch_size: Option<u32>,
    /// Only when one job is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) result: Option<Value>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    #[schema(value_type = Object)]
    pub(crate) metadata: Value,
    #[schema(value_type = schema::Time)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = schema::Time)]
    pub(crate) updated_at: Timestamp,
}

impl JobView {
    /// One job with its result.
    pub(crate) fn full(mut row: Job) -> Self {
        let mut result = row.result.take().unwrap_or_default();
        images::add_urls(&mut result);
        Self { result: Some(result), ..Self::item(row) }
    }

    /// An item of a list.
    pub(crate) fn item(row: Job) -> Self {
        Self {
            id: row.id,
            execution_id: row.execution_id,
            workflow_id: row.workflow_id,
            node_id: row.node_id,
            item: row.item_path,
            task: row.task,
            model_id: row.model_id,
            model_source: row.model_source,
            status: row.status,
            progress: row.progress,
            priority: row.priority,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            worker_id: row.worker_id,
            submitted_at: row.submitted_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            duration_ms: row.duration_ms,
            queue_ms: row.queue_ms,
            load_ms: row.load_ms,
            compute_ms: row.compute_ms,
            batch_size: row.batch_size,
            result: None,
            error_code: row.error_code,
            error_message: row.error_message,
            metadata: row.metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
