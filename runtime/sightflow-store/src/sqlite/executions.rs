//! `wf_executions` as clients read them.

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};
use sightflow_types::{ExecutionId, ExecutionMode, ExecutionStatus, TenantId, Timestamp};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqlitePool};

use super::records;
use super::row::{
    Reading, before, columns_of, counted, json, listed, number, number_some, object, parse, parse_some, time,
};
use crate::digest::definition_digest;
use crate::error::{Result, StoreError};
use crate::execution::{Cost, Execution, ExecutionFilter, JobCounts, RunDefinition};
use crate::page::{COUNT_CAP, Page, PageRequest};

columns! {
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
        block_cpu_us: Option<i64>,
        worker_cpu_ms: Option<i64>,
        gpu_ms: Option<i64>,
        started_at: Option<i64>,
        completed_at: Option<i64>,
        duration_ms: Option<i64>,
        created_at: i64,
        updated_at: i64,
    }
}

impl ExecutionRow {
    pub(super) fn read(self, reading: &mut Reading) -> Result<Execution> {
        let none = Value::Null;
        let id = parse(&self.id)?;
        let mut input = reading.take("input_data", object(&self.input_data), Map::new)?;
        let parameters = match input.remove("parameters") {
            None => Ok(Map::new()),
            Some(Value::Object(parameters)) => Ok(parameters),
            Some(_) => Err(StoreError::Corrupt("run parameters are not an object".to_owned())),
        };
        let cause = serde_json::from_str(&self.error_cause).map_err(|error| StoreError::Corrupt(error.to_string()));
        let cause = reading.take("error_cause", cause, Vec::new)?;
        let error = self.error_code.map(|code| RunError {
            code,
            message: self.error_message.unwrap_or_default(),
            node_id: self.error_node_id,
            item: self.error_item,
            cause,
        });
        let map = |text: &str| object(text).map(Value::Object);
        let mut execution = Execution {
            id,
            tenant_id: reading.take("tenant_id", parse(&self.tenant_id), || TenantId::BUILT_IN)?,
            workflow_id: reading.take("workflow_id", parse_some(self.workflow_id.as_deref()), || None)?,
            workflow_name: self.workflow_name,
            workflow_version: reading.take("workflow_version", number_some(self.workflow_version), || None)?,
            pins: reading.take("pins", map(&self.pins), || json!({}))?,
            status: reading.take("status", parse(&self.status), || ExecutionStatus::Failed)?,
            mode: reading.take("execution_mode", parse(&self.execution_mode), || ExecutionMode::Async)?,
            priority: reading.take("priority", number(self.priority), || 5)?,
            input,
            parameters: reading.take("input_data", parameters, Map::new)?,
            outputs: reading.take("output_data", self.output_data.as_deref().map(json).transpose(), || Some(none))?,
            node_metrics: json!({}),
            progress: reading.take("progress", map(&self.progress), || json!({}))?,
            error,
            metadata: reading.take("metadata", map(&self.metadata), || json!({}))?,
            timeout_seconds: reading.take("timeout_seconds", number(self.timeout_seconds), || 300)?,
            deadline_at: time(self.deadline_at),
            max_retries: reading.take("max_retries", number(self.max_retries), || 0)?,
            resume_count: reading.take("resume_count", number(self.resume_count), || 0)?,
            replayed_from: reading.take("replayed_from", parse_some(self.replayed_from.as_deref()), || None)?,
            batch_id: reading.take("batch_id", parse_some(self.batch_id.as_deref()), || None)?,
            lease_token: self.lease_token,
            event_seq: self.event_seq,
            traceparent: self.traceparent,
            jobs: JobCounts {
                pending: reading.take("inference_jobs_pending", number(self.inference_jobs_pending), || 0)?,
                completed: reading.take("inference_jobs_completed", number(self.inference_jobs_completed), || 0)?,
                failed: reading.take("inference_jobs_failed", number(self.inference_jobs_failed), || 0)?,
                cancelled: reading.take("inference_jobs_cancelled", number(self.inference_jobs_cancelled), || 0)?,
            },
            cost: Cost {
                block_cpu_us: reading.take("block_cpu_us", number_some(self.block_cpu_us), || None)?,
                worker_cpu_ms: reading.take("worker_cpu_ms", number_some(self.worker_cpu_ms), || None)?,
                gpu_ms: reading.take("gpu_ms", number_some(self.gpu_ms), || None)?,
            },
            started_at: time(self.started_at),
            completed_at: time(self.completed_at),
            duration_ms: reading.take("duration_ms", number_some(self.duration_ms), || None)?,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        };
        if let Some(fault) = reading.fault() {
            execution.error = Some(RunError::new(code::INTERNAL, fault));
        }
        Ok(execution)
    }
}

/// What people see: what cannot be read is named in its `error`.
fn shown(row: &SqliteRow, reading: &mut Reading) -> Result<Execution> {
    columns_of::<ExecutionRow>(row)?.read(reading)
}

pub(super) async fn get(db: &SqlitePool, tenant: TenantId, id: ExecutionId) -> Result<Execution> {
    let row = sqlx::query(
        "SELECT e.*, w.name AS workflow_name FROM wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id
         WHERE e.id = ?1 AND e.tenant_id = ?2",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("execution"))?;
    let mut reading = Reading::lenient();
    let node_metrics = records::of_nodes(db, id, &mut reading).await?;
    Ok(Execution { node_metrics, ..shown(&row, &mut reading)? })
}

/// Fails unless the tenant has this execution.
pub(super) async fn check(db: &SqlitePool, tenant: TenantId, id: ExecutionId) -> Result<()> {
    let found: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM wf_executions WHERE id = ?1 AND tenant_id = ?2)")
            .bind(id.uuid().to_string())
            .bind(tenant.uuid().to_string())
            .fetch_one(db)
            .await?;
    if found { Ok(()) } else { Err(StoreError::NotFound("execution")) }
}

pub(super) async fn status(db: &SqlitePool, tenant: TenantId, id: ExecutionId) -> Result<ExecutionStatus> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM wf_executions WHERE id = ?1 AND tenant_id = ?2")
            .bind(id.uuid().to_string())
            .bind(tenant.uuid().to_string())
            .fetch_optional(db)
            .await?;
    parse(&status.ok_or(StoreError::NotFound("execution"))?)
}

pub(super) async fn definition(db: &SqlitePool, tenant: TenantId, id: ExecutionId) -> Result<RunDefinition> {
    let row = sqlx::query(
        "SELECT coalesce(e.definition, v.definition) AS definition, coalesce(e.definition_digest, v.digest) AS digest FROM wf_executions e
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = e.workflow_id AND v.version = e.workflow_version
         WHERE e.id = ?1 AND e.tenant_id = ?2",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("execution"))?;
    let (text, digest): (Option<String>, Option<String>) = (row.try_get("definition")?, row.try_get("digest")?);
    let definition = json(&text.ok_or(StoreError::NotFound("workflow version"))?)?;
    // A run that ended before definitions had a digest has none.
    let digest = parse_some(digest.as_deref())?.unwrap_or_else(|| definition_digest(&definition));
    Ok(RunDefinition { digest, definition })
}

/// One choice of executions, listed without the large parts and counted. Both take the same arguments.
struct Statements {
    list: &'static str,
    count: &'static str,
}

/// The condition decides which index serves it.
macro_rules! statements {
    ($condition:literal) => {
        Statements {
            list: matching!(
                "SELECT e.id, e.tenant_id, e.workflow_id, w.name AS workflow_name, e.workflow_version, '{}' AS pins, e.status, e.execution_mode,
                   e.priority, '{}' AS input_data, NULL AS output_data, e.progress, e.error_code, e.error_message,
                   e.error_node_id, e.error_item, e.error_cause, e.metadata, e.timeout_seconds, e.deadline_at, e.max_retries, e.resume_count,
                   e.replayed_from, e.batch_id, e.lease_token, e.event_seq, e.traceparent, e.inference_jobs_pending, e.inference_jobs_completed,
                   e.inference_jobs_failed, e.inference_jobs_cancelled, e.block_cpu_us, e.worker_cpu_ms, e.gpu_ms, e.started_at, e.completed_at, e.duration_ms, e.created_at, e.updated_at
                 FROM wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id",
                $condition,
                "ORDER BY e.id DESC LIMIT ?7"
            ),
            count: matching!("SELECT count(*) FROM (SELECT 1 FROM wf_executions e", $condition, "LIMIT ?7)"),
        }
    };
}

macro_rules! matching {
    ($select:literal, $condition:literal, $end:literal) => {
        concat!(
            $select,
            " WHERE e.tenant_id = ?1 AND e.id < ?2 AND ",
            $condition,
            " AND (?5 IS NULL OR e.created_at > ?5) AND (?6 IS NULL OR e.created_at < ?6) ",
            $end
        )
    };
}

fn query(
    tenant: TenantId,
    filter: &ExecutionFilter,
    page: (Option<ExecutionId>, i64),
    pick: fn(Statements) -> &'static str,
) -> Query<'static, Sqlite, SqliteArguments> {
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let (statements, status_argument) = match (&filter.workflow_id, statuses.as_slice()) {
        (Some(_), _) => (
            statements!("e.workflow_id = ?3 AND (?4 IS NULL OR e.status IN (SELECT value FROM json_each(?4)))"),
            (!statuses.is_empty()).then(|| json!(statuses).to_string()),
        ),
        (None, [one]) => (statements!("?3 IS NULL AND e.status = ?4"), Some((*one).to_owned())),
        (None, _) => (
            statements!("?3 IS NULL AND (?4 IS NULL OR +e.status IN (SELECT value FROM json_each(?4)))"),
            (!statuses.is_empty()).then(|| json!(statuses).to_string()),
        ),
    };
    let (last, limit) = page;
    sqlx::query(pick(statements))
        .bind(tenant.uuid().to_string())
        .bind(before(last.map(ExecutionId::uuid)))
        .bind(filter.workflow_id.map(|id| id.uuid().to_string()))
        .bind(status_argument)
        .bind(filter.created_after.map(Timestamp::millis))
        .bind(filter.created_before.map(Timestamp::millis))
        .bind(limit)
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: ExecutionFilter,
    page: PageRequest<ExecutionId>,
) -> Result<Page<Execution, ExecutionId>> {
    let rows = query(tenant, &filter, (page.before, page.rows()), |of| of.list).fetch_all(db).await?;
    let read = |row: SqliteRow| listed("execution", shown(&row, &mut Reading::lenient()));
    Ok(Page::cut(rows, page.rows(), read, |execution| execution.id))
}

pub(super) async fn count(db: &SqlitePool, tenant: TenantId, filter: ExecutionFilter) -> Result<u64> {
    counted(&query(tenant, &filter, (None, COUNT_CAP as i64), |of| of.count).fetch_one(db).await?)
}
