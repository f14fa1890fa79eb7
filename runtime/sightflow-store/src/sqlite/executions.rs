//! `wf_executions` as clients see them: submit, read, cancel, delete.

use serde_json::{Value, json};
use sightflow_types::error::RunError;
use sightflow_types::{ExecutionId, TenantId, Timestamp, WorkflowId, event};
use sqlx::{SqliteExecutor, SqlitePool};

use super::row::{json, number, number_some, object, parse, parse_some, time};
use super::workflows::{before, claim_key};
use super::writer::Tx;
use super::{blobs, events};
use crate::error::{Result, StoreError};
use crate::execution::{Execution, ExecutionFilter, JobCounts, NewExecution, RunSource};
use crate::page::{Page, PageRequest};
use crate::workflow::Created;

#[derive(sqlx::FromRow)]
pub(super) struct ExecutionRow {
    id: String,
    tenant_id: String,
    workflow_id: Option<String>,
    workflow_name: Option<String>,
    workflow_version: Option<i64>,
    pins: String,
    status: String,
    execution_mode: String,
    priority: i64,
    input_data: String,
    output_data: Option<String>,
    node_metrics: String,
    progress: String,
    error_code: Option<String>,
    error_message: Option<String>,
    error_node_id: Option<String>,
    error_item: Option<String>,
    error_cause: String,
    metadata: String,
    timeout_seconds: i64,
    deadline_at: Option<i64>,
    max_retries: i64,
    resume_count: i64,
    replayed_from: Option<String>,
    batch_id: Option<String>,
    lease_token: i64,
    event_seq: i64,
    traceparent: Option<String>,
    inference_jobs_pending: i64,
    inference_jobs_completed: i64,
    inference_jobs_failed: i64,
    inference_jobs_cancelled: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    duration_ms: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<ExecutionRow> for Execution {
    type Error = StoreError;

    fn try_from(row: ExecutionRow) -> Result<Self> {
        let mut input = object(&row.input_data)?;
        let parameters = match input.remove("parameters") {
            None => serde_json::Map::new(),
            Some(Value::Object(parameters)) => parameters,
            Some(_) => {
                return Err(StoreError::Corrupt("run parameters are not an object".to_owned()));
            }
        };
        let error = match row.error_code {
            None => None,
            Some(code) => Some(RunError {
                code,
                message: row.error_message.unwrap_or_default(),
                node_id: row.error_node_id,
                item: row.error_item,
                cause: serde_json::from_str(&row.error_cause)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))?,
            }),
        };
        Ok(Self {
            id: parse(&row.id)?,
            tenant_id: parse(&row.tenant_id)?,
            workflow_id: parse_some(row.workflow_id.as_deref())?,
            workflow_name: row.workflow_name,
            workflow_version: number_some(row.workflow_version)?,
            pins: json(&row.pins)?,
            status: parse(&row.status)?,
            mode: parse(&row.execution_mode)?,
            priority: number(row.priority)?,
            input,
            parameters,
            outputs: row.output_data.as_deref().map(json).transpose()?,
            node_metrics: json(&row.node_metrics)?,
            progress: json(&row.progress)?,
            error,
            metadata: json(&row.metadata)?,
            timeout_seconds: number(row.timeout_seconds)?,
            deadline_at: time(row.deadline_at),
            max_retries: number(row.max_retries)?,
            resume_count: number(row.resume_count)?,
            replayed_from: parse_some(row.replayed_from.as_deref())?,
            batch_id: parse_some(row.batch_id.as_deref())?,
            lease_token: row.lease_token,
            event_seq: row.event_seq,
            traceparent: row.traceparent,
            jobs: JobCounts {
                pending: number(row.inference_jobs_pending)?,
                completed: number(row.inference_jobs_completed)?,
                failed: number(row.inference_jobs_failed)?,
                cancelled: number(row.inference_jobs_cancelled)?,
            },
            started_at: time(row.started_at),
            completed_at: time(row.completed_at),
            duration_ms: number_some(row.duration_ms)?,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

pub(super) async fn submit(tx: &mut Tx, new: NewExecution) -> Result<Created<Execution>> {
    let id = ExecutionId::new();
    let tenant = new.tenant_id.uuid().to_string();
    if let Some(key) = &new.idempotency
        && let Some(first) = claim_key(tx, new.tenant_id, key, id.uuid()).await?
    {
        let value = get(&mut tx.conn, new.tenant_id, ExecutionId::from_uuid(first)).await?;
        return Ok(Created { value, replayed: true });
    }
    let (workflow, version, definition) = match &new.source {
        RunSource::Inline(definition) => (None, None, Some(definition.to_string())),
        RunSource::Workflow { id, version } => {
            let version = runnable_version(tx, &tenant, *id, *version).await?;
            (Some(id.uuid().to_string()), Some(version), None)
        }
    };
    let mut input = new.input;
    if !new.parameters.is_empty() {
        input.insert("parameters".to_owned(), Value::Object(new.parameters));
    }
    sqlx::query(
        "INSERT INTO wf_executions (id, tenant_id, workflow_id, workflow_version, definition, execution_mode, priority, input_data, metadata,
           timeout_seconds, max_retries, traceparent, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)",
    )
    .bind(id.uuid().to_string())
    .bind(&tenant)
    .bind(workflow)
    .bind(version)
    .bind(definition)
    .bind(new.mode.as_str())
    .bind(new.priority)
    .bind(Value::Object(input).to_string())
    .bind(new.metadata.to_string())
    .bind(new.timeout_seconds)
    .bind(new.max_retries)
    .bind(new.traceparent)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    sqlx::query("INSERT INTO wf_ready_executions (rank, vt, execution_id, tenant_id, queued_at) VALUES (11 - ?1, 0, ?2, ?3, ?4)")
        .bind(new.priority)
        .bind(id.uuid().to_string())
        .bind(&tenant)
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    blobs::hold_inputs(tx, new.tenant_id, id, &new.input_blobs).await?;
    tx.signals.execution_ready();
    let value = get(&mut tx.conn, new.tenant_id, id).await?;
    Ok(Created { value, replayed: false })
}

/// The version to run, if the workflow can run at all.
async fn runnable_version(tx: &mut Tx, tenant: &str, id: WorkflowId, wanted: Option<u32>) -> Result<u32> {
    let (current, status): (u32, String) = sqlx::query_as(
        "SELECT current_version, status FROM wf_workflows WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
    )
    .bind(id.uuid().to_string())
    .bind(tenant)
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::NotFound("workflow"))?;
    if status == "archived" {
        return Err(StoreError::Archived);
    }
    sqlx::query_scalar("SELECT version FROM wf_workflow_versions WHERE workflow_id = ?1 AND version = ?2")
        .bind(id.uuid().to_string())
        .bind(wanted.unwrap_or(current))
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::NotFound("workflow version"))
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
    sqlx::query_as::<_, ExecutionRow>(
        "SELECT e.*, w.name AS workflow_name FROM wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id
         WHERE e.id = ?1 AND e.tenant_id = ?2",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("execution"))?
    .try_into()
}

pub(super) async fn definition(db: &SqlitePool, tenant: TenantId, id: ExecutionId) -> Result<Value> {
    let text: String = sqlx::query_scalar(
        "SELECT coalesce(e.definition, v.definition) FROM wf_executions e
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = e.workflow_id AND v.version = e.workflow_version
         WHERE e.id = ?1 AND e.tenant_id = ?2",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("execution"))?;
    json(&text)
}

/// A light list statement; the condition decides which index serves it.
macro_rules! list_executions {
    ($condition:literal) => {
        concat!(
            "SELECT e.id, e.tenant_id, e.workflow_id, w.name AS workflow_name, e.workflow_version, '{}' AS pins, e.status, e.execution_mode,
               e.priority, '{}' AS input_data, NULL AS output_data, '{}' AS node_metrics, e.progress, e.error_code, e.error_message,
               e.error_node_id, e.error_item, e.error_cause, e.metadata, e.timeout_seconds, e.deadline_at, e.max_retries, e.resume_count,
               e.replayed_from, e.batch_id, e.lease_token, e.event_seq, e.traceparent, e.inference_jobs_pending, e.inference_jobs_completed,
               e.inference_jobs_failed, e.inference_jobs_cancelled, e.started_at, e.completed_at, e.duration_ms, e.created_at, e.updated_at
             FROM wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id
             WHERE e.tenant_id = ?1 AND e.id < ?2 AND ",
            $condition,
            " AND (?5 IS NULL OR e.created_at > ?5) AND (?6 IS NULL OR e.created_at < ?6) ORDER BY e.id DESC LIMIT ?7"
        )
    };
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: ExecutionFilter,
    page: PageRequest<ExecutionId>,
) -> Result<Page<Execution, ExecutionId>> {
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let (statement, status_argument) = match (&filter.workflow_id, statuses.as_slice()) {
        (Some(_), _) => (
            list_executions!("e.workflow_id = ?3 AND (?4 IS NULL OR e.status IN (SELECT value FROM json_each(?4)))"),
            (!statuses.is_empty()).then(|| json!(statuses).to_string()),
        ),
        (None, [one]) => (list_executions!("?3 IS NULL AND e.status = ?4"), Some((*one).to_owned())),
        (None, _) => (
            list_executions!("?3 IS NULL AND (?4 IS NULL OR +e.status IN (SELECT value FROM json_each(?4)))"),
            (!statuses.is_empty()).then(|| json!(statuses).to_string()),
        ),
    };
    let rows = sqlx::query_as::<_, ExecutionRow>(statement)
        .bind(tenant.uuid().to_string())
        .bind(before(page.before.map(ExecutionId::uuid)))
        .bind(filter.workflow_id.map(|id| id.uuid().to_string()))
        .bind(status_argument)
        .bind(filter.created_after.map(Timestamp::millis))
        .bind(filter.created_before.map(Timestamp::millis))
        .bind(page.rows() + 1)
        .fetch_all(db)
        .await?;
    let items = rows.into_iter().map(Execution::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(items, page.rows(), |execution| execution.id))
}

pub(super) async fn cancel(tx: &mut Tx, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
    if get(&mut tx.conn, tenant, id).await?.status.is_terminal() {
        return Err(StoreError::AlreadyTerminal);
    }
    cancel_all(tx, &[id.uuid().to_string()]).await?;
    get(&mut tx.conn, tenant, id).await
}

/// Cancels open executions with everything that hangs on them.
pub(super) async fn cancel_all(tx: &mut Tx, executions: &[String]) -> Result<()> {
    let ids = json!(executions).to_string();
    let jobs: Vec<(String, String, String, String)> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = 'cancelled', completed_at = ?2, lease_token = lease_token + 1, run_at = NULL,
           updated_at = max(?2, updated_at + 1)
         WHERE execution_id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'queued', 'running')
         RETURNING id, execution_id, node_id, item_path",
    )
    .bind(&ids)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    drop_narrow_rows(tx, jobs.iter().map(|job| job.0.as_str())).await?;
    sqlx::query(
        "UPDATE wf_executions SET status = 'cancelled', completed_at = ?2, lease_token = lease_token + 1, duration_ms = ?2 - started_at,
           updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'running')",
    )
    .bind(&ids)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    for statement in [
        "DELETE FROM wf_execution_leases WHERE execution_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM wf_ready_executions WHERE execution_id IN (SELECT value FROM json_each(?1))",
    ] {
        sqlx::query(statement).bind(&ids).execute(&mut tx.conn).await?;
    }
    let mut news: Vec<_> = jobs
        .iter()
        .map(|(id, execution, node, item)| events::of_job(execution, event::JOB_CANCELLED, id, node, item, json!({})))
        .collect::<Result<_>>()?;
    news.extend(executions.iter().map(|id| events::Entry::new(id, event::EXECUTION_CANCELLED, json!({}))));
    for id in executions {
        tx.signals.cancelled(parse(id)?);
    }
    events::record(tx, &news).await
}

/// Takes jobs out of the ready, lease and timer tables.
pub(super) async fn drop_narrow_rows(tx: &mut Tx, jobs: impl Iterator<Item = &str>) -> Result<()> {
    let jobs: Vec<_> = jobs.collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let ids = json!(jobs).to_string();
    for statement in [
        "DELETE FROM wf_job_leases WHERE job_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM wf_ready_jobs WHERE job_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM wf_timers WHERE kind = 'job' AND ref_id IN (SELECT value FROM json_each(?1))",
    ] {
        sqlx::query(statement).bind(&ids).execute(&mut tx.conn).await?;
    }
    Ok(())
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: ExecutionId) -> Result<()> {
    if !get(&mut tx.conn, tenant, id).await?.status.is_terminal() {
        return Err(StoreError::NotTerminal);
    }
    delete_all(tx, &[id.uuid().to_string()]).await
}

/// Most executions deleted by one statement.
const DELETE_PAGE: usize = 500;

pub(super) async fn clear(tx: &mut Tx, tenant: TenantId, workflow: WorkflowId) -> Result<u64> {
    super::workflows::get(&mut tx.conn, tenant, workflow).await?;
    let ended: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM wf_executions WHERE workflow_id = ?1 AND status IN ('completed', 'failed', 'cancelled')",
    )
    .bind(workflow.uuid().to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    for page in ended.chunks(DELETE_PAGE) {
        delete_all(tx, page).await?;
    }
    Ok(ended.len() as u64)
}

async fn delete_all(tx: &mut Tx, executions: &[String]) -> Result<()> {
    let ids = json!(executions).to_string();
    for statement in [
        "DELETE FROM wf_blob_refs WHERE kind IN ('input', 'output') AND ref_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM wf_idempotency_keys WHERE resource_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM wf_executions WHERE id IN (SELECT value FROM json_each(?1))",
    ] {
        sqlx::query(statement).bind(&ids).execute(&mut tx.conn).await?;
    }
    Ok(())
}
