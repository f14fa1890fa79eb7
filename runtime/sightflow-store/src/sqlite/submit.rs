//! Accepting a run.

use serde_json::{Value, json};
use sightflow_types::{Digest, ExecutionId, ExecutionStatus, Timestamp, WorkflowId};

use super::keys::{self, Claim};
use super::row::{parse, stored};
use super::writer::Tx;
use super::{blobs, quotas};
use crate::digest::definition_digest;
use crate::error::{Result, StoreError};
use crate::execution::{Cost, Execution, JobCounts, NewExecution, RunSource};

/// What the run executes, as its row names it.
#[derive(Default)]
struct Source {
    workflow: Option<WorkflowId>,
    name: Option<String>,
    version: Option<u32>,
    inline: Option<Inline>,
}

/// A definition that comes with its run.
pub(super) struct Inline {
    digest: Digest,
    text: String,
}

/// What became of a run that was sent.
pub(super) enum Submitted {
    /// It was accepted.
    New(Box<Execution>),
    /// An earlier request with the same key made this one.
    Known(ExecutionId),
}

/// A definition that comes with its run, as it is stored; made before the writer has to wait for it.
pub(super) fn inline(source: &RunSource) -> Option<Inline> {
    match source {
        RunSource::Inline(definition) => {
            Some(Inline { digest: definition_digest(definition), text: definition.to_string() })
        }
        RunSource::Workflow { .. } => None,
    }
}

pub(super) async fn submit(tx: &mut Tx, new: NewExecution, inline: Option<Inline>) -> Result<Submitted> {
    let id = ExecutionId::new();
    if let Some(key) = &new.idempotency
        && let Claim::Taken(first) = keys::claim(tx, new.tenant_id, key, id.uuid()).await?
    {
        return Ok(Submitted::Known(ExecutionId::from_uuid(first)));
    }
    let tenant = new.tenant_id.uuid().to_string();
    if let Some(most) = new.queue_quota {
        quotas::room_to_wait(tx, &tenant, most).await?;
    }
    let source = match &new.source {
        RunSource::Inline(_) => Source { inline, ..Source::default() },
        RunSource::Workflow { id, version } => runnable(tx, &tenant, *id, *version).await?,
    };
    let deadline = tx.now + i64::from(new.timeout_seconds) * 1000;
    let mut input = Value::Object(new.input.clone());
    if let (false, Value::Object(input)) = (new.parameters.is_empty(), &mut input) {
        input.insert("parameters".to_owned(), Value::Object(new.parameters.clone()));
    }
    sqlx::query(
        "INSERT INTO wf_executions (id, tenant_id, workflow_id, workflow_version, definition, execution_mode, priority, input_data, metadata,
           timeout_seconds, max_retries, traceparent, deadline_at, created_at, updated_at, definition_digest, block_cpu_us, worker_cpu_ms, gpu_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, 0, 0, 0);
         INSERT INTO wf_ready_executions (rank, vt, execution_id, tenant_id, queued_at) VALUES (11 - ?7, 0, ?1, ?2, ?14)",
    )
    .bind(id.uuid().to_string())
    .bind(&tenant)
    .bind(source.workflow.map(|id| id.uuid().to_string()))
    .bind(source.version)
    .bind(source.inline.as_ref().map(|inline| inline.text.as_str()))
    .bind(new.mode.as_str())
    .bind(new.priority)
    .bind(input.to_string())
    .bind(new.metadata.to_string())
    .bind(new.timeout_seconds)
    .bind(new.max_retries)
    .bind(&new.traceparent)
    .bind(deadline)
    .bind(tx.now)
    .bind(source.inline.as_ref().map(|inline| inline.digest.to_string()))
    .execute(&mut tx.conn)
    .await?;
    blobs::record(tx, &new.new_blobs).await?;
    blobs::hold_inputs(tx, new.tenant_id, id, &new.input_blobs, &new.new_blobs).await?;
    tx.signals.execution_ready();
    Ok(Submitted::New(Box::new(accepted(tx.now, id, deadline, new, source))))
}

/// The row as it was just written.
fn accepted(now: i64, id: ExecutionId, deadline: i64, new: NewExecution, source: Source) -> Execution {
    Execution {
        id,
        tenant_id: new.tenant_id,
        workflow_id: source.workflow,
        workflow_name: source.name,
        workflow_version: source.version,
        pins: json!({}),
        status: ExecutionStatus::Pending,
        mode: new.mode,
        priority: new.priority,
        input: new.input,
        parameters: new.parameters,
        outputs: None,
        node_metrics: json!({}),
        progress: json!({}),
        error: None,
        metadata: new.metadata,
        timeout_seconds: new.timeout_seconds,
        deadline_at: Some(Timestamp::from_millis(deadline)),
        max_retries: new.max_retries,
        resume_count: 0,
        replayed_from: None,
        batch_id: None,
        lease_token: 0,
        event_seq: 0,
        traceparent: new.traceparent,
        jobs: JobCounts::default(),
        cost: Cost { block_cpu_us: Some(0), worker_cpu_ms: Some(0), gpu_ms: Some(0) },
        started_at: None,
        completed_at: None,
        duration_ms: None,
        created_at: Timestamp::from_millis(now),
        updated_at: Timestamp::from_millis(now),
    }
}

/// The version to run, if the workflow can run at all.
async fn runnable(tx: &mut Tx, tenant: &str, id: WorkflowId, wanted: Option<u32>) -> Result<Source> {
    let (name, status, version): (String, String, Option<u32>) = sqlx::query_as(
        "SELECT w.name, w.status, v.version FROM wf_workflows w
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = w.id AND v.version = coalesce(?3, w.current_version)
         WHERE w.id = ?1 AND w.tenant_id = ?2 AND w.deleted_at IS NULL",
    )
    .bind(id.uuid().to_string())
    .bind(tenant)
    .bind(wanted.map(stored).transpose()?)
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::NotFound("workflow"))?;
    if parse::<sightflow_types::WorkflowStatus>(&status)? == sightflow_types::WorkflowStatus::Archived {
        return Err(StoreError::Archived);
    }
    let version = version.ok_or(StoreError::NotFound("workflow version"))?;
    Ok(Source { workflow: Some(id), name: Some(name), version: Some(version), ..Source::default() })
}
