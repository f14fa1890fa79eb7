//! An execution on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_store::{Cost, Execution};
use sightflow_types::error::RunError;
use sightflow_types::{BatchId, ExecutionId, ExecutionMode, ExecutionStatus, Timestamp, WorkflowId};
use utoipa::ToSchema;

use super::{images, node};
use crate::schema;

/// One run of a workflow, as lists hold it: without `input`, `parameters`, `outputs`, `output_data`, `node_metrics` and
/// `metadata`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionItem)]
pub(crate) struct ExecutionItem {
    #[schema(value_type = schema::ExecutionId)]
    pub(crate) id: ExecutionId,
    /// Same as `id`.
    #[schema(value_type = schema::ExecutionId)]
    pub(crate) execution_id: ExecutionId,
    /// Null for an inline run.
    #[schema(value_type = Option<schema::WorkflowId>)]
    pub(crate) workflow_id: Option<WorkflowId>,
    pub(crate) workflow_name: Option<String>,
    pub(crate) workflow_version: Option<u32>,
    #[schema(value_type = schema::ExecutionStatus)]
    pub(crate) status: ExecutionStatus,
    #[schema(value_type = schema::ExecutionMode)]
    pub(crate) mode: ExecutionMode,
    pub(crate) priority: u8,
    pub(crate) error: Option<ErrorView>,
    pub(crate) progress: Progress,
    pub(crate) inference_jobs: JobCounts,
    /// Null until it has ended.
    pub(crate) cost: Option<CostView>,
    #[schema(value_type = Option<schema::BatchId>)]
    pub(crate) batch_id: Option<BatchId>,
    #[schema(value_type = Option<schema::ExecutionId>)]
    pub(crate) replayed_from: Option<ExecutionId>,
    pub(crate) resume_count: u32,
    pub(crate) trace_id: Option<String>,
    pub(crate) timeout_seconds: u32,
    pub(crate) max_retries: u8,
    #[schema(value_type = schema::Time)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = Option<schema::Time>)]
    pub(crate) started_at: Option<Timestamp>,
    #[schema(value_type = Option<schema::Time>)]
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) duration_ms: Option<u64>,
}

/// One run of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Execution)]
pub(crate) struct ExecutionView {
    #[serde(flatten)]
    item: ExecutionItem,
    #[serde(flatten)]
    documents: Documents,
}

impl From<Execution> for ExecutionView {
    fn from(mut row: Execution) -> Self {
        let mut outputs = row.outputs.take().unwrap_or_default();
        let (mut input, mut parameters) =
            (Value::Object(std::mem::take(&mut row.input)), Value::Object(std::mem::take(&mut row.parameters)));
        for document in [&mut outputs, &mut input, &mut parameters] {
            images::add_urls(document);
        }
        let documents = Documents {
            input,
            parameters,
            output_data: outputs.clone(),
            outputs,
            node_metrics: node::whole(row.node_metrics.take()),
            metadata: row.metadata.take(),
        };
        Self { item: row.into(), documents }
    }
}

impl From<Execution> for ExecutionItem {
    fn from(row: Execution) -> Self {
        Self {
            id: row.id,
            execution_id: row.id,
            workflow_id: row.workflow_id,
            workflow_name: row.workflow_name,
            workflow_version: row.workflow_version,
            status: row.status,
            mode: row.mode,
            priority: row.priority,
            error: row.error.map(ErrorView::from),
            // `{}` before the start reads as zero of zero.
            progress: serde_json::from_value(row.progress).unwrap_or_default(),
            inference_jobs: JobCounts {
                pending: row.jobs.pending,
                completed: row.jobs.completed,
                failed: row.jobs.failed,
                cancelled: row.jobs.cancelled,
            },
            cost: row.status.is_terminal().then(|| row.cost.into()),
            batch_id: row.batch_id,
            replayed_from: row.replayed_from,
            resume_count: row.resume_count,
            trace_id: row.traceparent.as_deref().and_then(trace_id),
            timeout_seconds: row.timeout_seconds,
            max_retries: row.max_retries,
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            duration_ms: row.duration_ms,
        }
    }
}

/// The trace id inside a W3C `traceparent`.
fn trace_id(traceparent: &str) -> Option<String> {
    traceparent.split('-').nth(1).map(str::to_owned)
}

/// The large parts of an execution.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionDocuments)]
pub(crate) struct Documents {
    /// As recorded: images are references.
    #[schema(value_type = Object)]
    pub(crate) input: Value,
    /// Coerced to the types that the workflow declares.
    #[schema(value_type = Object)]
    pub(crate) parameters: Value,
    /// Named results; null until there are any.
    #[schema(value_type = Option<Object>)]
    pub(crate) outputs: Value,
    /// Same as `outputs`.
    #[schema(value_type = Option<Object>)]
    pub(crate) output_data: Value,
    /// By node id.
    #[schema(value_type = Object)]
    pub(crate) node_metrics: Value,
    /// The client's own.
    #[schema(value_type = Object)]
    pub(crate) metadata: Value,
}

/// Why an execution, or a node, failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunError)]
pub(crate) struct ErrorView {
    /// `E-…`.
    code: String,
    message: String,
    node_id: Option<String>,
    item: Option<String>,
    /// What lies behind the message, outermost first.
    cause: Vec<String>,
}

impl From<RunError> for ErrorView {
    fn from(error: RunError) -> Self {
        Self { code: error.code, message: error.message, node_id: error.node_id, item: error.item, cause: error.cause }
    }
}

/// How far an execution is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Progress {
    /// 0..100.
    pub(crate) percent: u8,
    pub(crate) completed_nodes: u32,
    pub(crate) total_nodes: u32,
    /// Ids of the nodes that run now.
    pub(crate) running: Vec<String>,
}

/// What an execution cost. A null time is not known, or not all of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cost)]
pub(crate) struct CostView {
    /// Price in millionths; null: there is no price list.
    amount_micros: Option<u64>,
    /// Of the price; null with it.
    currency: Option<String>,
    /// Compute time of its completed inference jobs on GPUs, each its share of its batch.
    gpu_ms: Option<u64>,
    /// The same on CPUs.
    worker_cpu_ms: Option<u64>,
    /// Processor time of its component blocks.
    block_cpu_ms: Option<u64>,
}

impl From<Cost> for CostView {
    fn from(cost: Cost) -> Self {
        Self {
            amount_micros: None,
            currency: None,
            gpu_ms: cost.gpu_ms,
            worker_cpu_ms: cost.worker_cpu_ms,
            block_cpu_ms: cost.block_cpu_us.map(|us| (us + 500) / 1000),
        }
    }
}

/// Inference jobs of an execution by state; `pending` counts all that have not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobCounts {
    pub(crate) pending: u32,
    pub(crate) completed: u32,
    pub(crate) failed: u32,
    pub(crate) cancelled: u32,
}

/// An accepted run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[schema(value_type = schema::ExecutionId)]
    pub(crate) id: ExecutionId,
    /// Same as `id`.
    #[schema(value_type = schema::ExecutionId)]
    pub(crate) execution_id: ExecutionId,
    #[schema(value_type = Option<schema::WorkflowId>)]
    pub(crate) workflow_id: Option<WorkflowId>,
    #[schema(value_type = schema::ExecutionStatus)]
    pub(crate) status: ExecutionStatus,
    pub(crate) status_url: String,
    pub(crate) events_url: String,
    #[schema(value_type = schema::Time)]
    pub(crate) created_at: Timestamp,
}
