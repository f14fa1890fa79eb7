//! `wf_inference_jobs`: rows, lists, enqueue.

use serde_json::{Value, json};
use sightflow_types::{ExecutionId, JobId, JobStatus, TenantId, Timestamp, event};
use sqlx::{SqliteExecutor, SqlitePool};

use super::row::{json, number, number_some, parse, parse_some, time};
use super::workflows::before;
use super::writer::Tx;
use super::{events, models};
use crate::error::{Result, StoreError};
use crate::execution::ExecutionLease;
use crate::job::{Job, JobFilter, NewJob};
use crate::page::{Page, PageRequest};

#[derive(sqlx::FromRow)]
pub(super) struct JobRow {
    pub(super) id: String,
    pub(super) execution_id: String,
    workflow_id: Option<String>,
    tenant_id: String,
    pub(super) node_id: String,
    pub(super) item_path: String,
    task: String,
    model_id: String,
    model_source: String,
    model_digest: Option<String>,
    params: String,
    input: String,
    pixels: i64,
    status: String,
    progress: i64,
    priority: i64,
    vt: i64,
    pub(super) attempt: i64,
    max_attempts: i64,
    max_batch: Option<i64>,
    lease_token: i64,
    worker_id: Option<String>,
    pub(super) timeout_ms: i64,
    run_at: Option<i64>,
    submitted_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    duration_ms: Option<i64>,
    queue_ms: Option<i64>,
    load_ms: Option<i64>,
    compute_ms: Option<i64>,
    batch_size: Option<i64>,
    result: Option<String>,
    error_class: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    metadata: String,
    traceparent: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            execution_id: parse(&row.execution_id)?,
            workflow_id: parse_some(row.workflow_id.as_deref())?,
            tenant_id: parse(&row.tenant_id)?,
            node_id: row.node_id,
            item_path: row.item_path,
            task: parse(&row.task)?,
            model_id: row.model_id,
            model_source: parse(&row.model_source)?,
            model_digest: parse_some(row.model_digest.as_deref())?,
            params: json(&row.params)?,
            input: json(&row.input)?,
            pixels: number(row.pixels)?,
            status: parse(&row.status)?,
            progress: number(row.progress)?,
            priority: number(row.priority)?,
            vt: row.vt,
            attempt: number(row.attempt)?,
            max_attempts: number(row.max_attempts)?,
            max_batch: number_some(row.max_batch)?,
            lease_token: row.lease_token,
            worker_id: parse_some(row.worker_id.as_deref())?,
            timeout_ms: number(row.timeout_ms)?,
            run_at: time(row.run_at),
            submitted_at: Timestamp::from_millis(row.submitted_at),
            started_at: time(row.started_at),
            completed_at: time(row.completed_at),
            duration_ms: number_some(row.duration_ms)?,
            queue_ms: number_some(row.queue_ms)?,
            load_ms: number_some(row.load_ms)?,
            compute_ms: number_some(row.compute_ms)?,
            batch_size: number_some(row.batch_size)?,
            result: row.result.as_deref().map(json).transpose()?,
            error_class: parse_some(row.error_class.as_deref())?,
            error_code: row.error_code,
            error_message: row.error_message,
            metadata: json(&row.metadata)?,
            traceparent: row.traceparent,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

pub(super) fn domain(rows: Vec<JobRow>) -> Result<Vec<Job>> {
    rows.into_iter().map(Job::try_from).collect()
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: JobId) -> Result<Job> {
    sqlx::query_as::<_, JobRow>("SELECT * FROM wf_inference_jobs WHERE id = ?1 AND tenant_id = ?2")
        .bind(id.uuid().to_string())
        .bind(tenant.uuid().to_string())
        .fetch_optional(db)
        .await?
        .ok_or(StoreError::NotFound("inference job"))?
        .try_into()
}

pub(super) async fn of_execution(db: &SqlitePool, execution: ExecutionId) -> Result<Vec<Job>> {
    domain(
        sqlx::query_as::<_, JobRow>("SELECT * FROM wf_inference_jobs WHERE execution_id = ?1 ORDER BY id")
            .bind(execution.uuid().to_string())
            .fetch_all(db)
            .await?,
    )
}

/// A list statement without results; the source decides which index serves it.
macro_rules! list_jobs {
    ($source:literal) => {
        concat!(
            "SELECT j.id, j.execution_id, j.workflow_id, j.tenant_id, j.node_id, j.item_path, j.task, j.model_id, j.model_source, j.model_digest,
               j.params, j.input, j.pixels, j.status, j.progress, j.priority, j.vt, j.attempt, j.max_attempts, j.max_batch, j.lease_token,
               j.worker_id, j.timeout_ms, j.run_at, j.submitted_at, j.started_at, j.completed_at, j.duration_ms, j.queue_ms, j.load_ms,
               j.compute_ms, j.batch_size, NULL AS result, j.error_class, j.error_code, j.error_message, j.metadata, j.traceparent,
               j.created_at, j.updated_at
             FROM wf_inference_jobs j WHERE ",
            $source,
            " AND j.tenant_id = ?1 AND j.id < ?2 AND (?3 IS NULL OR j.execution_id = ?3) AND (?4 IS NULL OR j.workflow_id = ?4)
             AND (?5 IS NULL OR j.node_id = ?5) AND (?6 IS NULL OR j.model_id = ?6) AND (?7 IS NULL OR j.task = ?7)
             AND (?8 IS NULL OR j.status IN (SELECT value FROM json_each(?8))) AND (?9 IS NULL OR j.error_code = ?9)
             AND (?10 IS NULL OR j.submitted_at > ?10) ORDER BY j.id DESC LIMIT ?11"
        )
    };
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: JobFilter,
    page: PageRequest<JobId>,
) -> Result<Page<Job, JobId>> {
    use JobStatus::{Failed, Pending, Queued, Running};
    let narrow = |status| matches!(status, Pending | Queued | Running | Failed);
    let statement = if filter.execution_id.is_some() {
        list_jobs!("j.execution_id = ?3")
    } else if filter.workflow_id.is_some() {
        list_jobs!("j.workflow_id = ?4")
    } else if !filter.statuses.is_empty() && filter.statuses.iter().copied().all(narrow) {
        // The narrow tables are the index by status: a rare status is found without reading every job.
        list_jobs!(
            "j.id IN (SELECT job_id FROM wf_ready_jobs WHERE tenant_id = ?1 AND instr(?8, '\"queued\"')
                UNION ALL SELECT job_id FROM wf_job_leases WHERE tenant_id = ?1 AND instr(?8, '\"running\"')
                UNION ALL SELECT job_id FROM wf_failed_jobs WHERE tenant_id = ?1 AND instr(?8, '\"failed\"')
                UNION ALL SELECT ref_id FROM wf_timers WHERE kind = 'job' AND instr(?8, '\"pending\"'))"
        )
    } else {
        list_jobs!("true")
    };
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let rows = sqlx::query_as::<_, JobRow>(statement)
        .bind(tenant.uuid().to_string())
        .bind(before(page.before.map(JobId::uuid)))
        .bind(filter.execution_id.map(|id| id.uuid().to_string()))
        .bind(filter.workflow_id.map(|id| id.uuid().to_string()))
        .bind(filter.node_id)
        .bind(filter.model_id)
        .bind(filter.task.map(sightflow_types::Task::as_str))
        .bind((!statuses.is_empty()).then(|| json!(statuses).to_string()))
        .bind(filter.error_code)
        .bind(filter.submitted_after.map(Timestamp::millis))
        .bind(page.rows() + 1)
        .fetch_all(db)
        .await?;
    Ok(Page::cut(domain(rows)?, page.rows(), |job| job.id))
}

#[derive(sqlx::FromRow)]
struct Run {
    tenant_id: String,
    workflow_id: Option<String>,
    priority: i64,
    max_retries: i64,
    traceparent: Option<String>,
}

pub(super) async fn enqueue(tx: &mut Tx, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
    let execution = lease.execution_id.uuid().to_string();
    let run: Run = sqlx::query_as(
        "SELECT tenant_id, workflow_id, priority, max_retries, traceparent FROM wf_executions
         WHERE id = ?1 AND lease_token = ?2 AND status = 'running'",
    )
    .bind(&execution)
    .bind(lease.token)
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::StaleLease)?;
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let blocked = models::blocked(tx, &run.tenant_id, jobs.iter().map(|job| job.model_id.as_str())).await?;
    let list: Vec<Value> = jobs
        .into_iter()
        .map(|job| {
            json!({
                "id": JobId::new().uuid().to_string(), "node": job.node_id, "item": job.item_path, "task": job.task, "model": job.model_id,
                "source": job.model_source, "digest": job.model_digest, "params": job.params, "input": job.input, "pixels": job.pixels,
                "vt": job.vt, "timeout": job.timeout_ms, "run_at": blocked.get(&job.model_id),
            })
        })
        .collect();
    let list = Value::from(list).to_string();
    let new: Vec<(String, String, String)> = sqlx::query_as(
        "INSERT INTO wf_inference_jobs (id, execution_id, workflow_id, tenant_id, node_id, item_path, task, model_id, model_source, model_digest,
           params, input, pixels, vt, timeout_ms, run_at, status, priority, max_attempts, traceparent, submitted_at, created_at, updated_at)
         SELECT value ->> 'id', ?2, ?3, ?4, value ->> 'node', value ->> 'item', value ->> 'task', value ->> 'model', value ->> 'source',
           value ->> 'digest', value -> 'params', value -> 'input', value ->> 'pixels', value ->> 'vt', value ->> 'timeout', value ->> 'run_at',
           CASE WHEN value ->> 'run_at' IS NULL THEN 'queued' ELSE 'pending' END, ?5, ?6 + 1, ?7, ?8, ?8, ?8
         FROM json_each(?1) WHERE true ON CONFLICT (execution_id, node_id, item_path) DO NOTHING
         RETURNING id, node_id, item_path",
    )
    .bind(&list)
    .bind(&execution)
    .bind(&run.workflow_id)
    .bind(&run.tenant_id)
    .bind(run.priority)
    .bind(run.max_retries)
    .bind(&run.traceparent)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    if !new.is_empty() {
        let ids = json!(new.iter().map(|job| &job.0).collect::<Vec<_>>()).to_string();
        make_ready(tx, &ids).await?;
        defer(tx, &ids).await?;
        let entries: Vec<_> = new
            .iter()
            .map(|(id, node, item)| events::of_job(&execution, event::JOB_QUEUED, id, node, item, json!({})))
            .collect::<Result<_>>()?;
        events::record(tx, &entries).await?;
    }
    let rows = sqlx::query_as::<_, JobRow>(
        "SELECT j.* FROM json_each(?1) i CROSS JOIN wf_inference_jobs j
         WHERE j.execution_id = ?2 AND j.node_id = i.value ->> 'node' AND j.item_path = i.value ->> 'item' ORDER BY i.key",
    )
    .bind(&list)
    .bind(&execution)
    .fetch_all(&mut tx.conn)
    .await?;
    domain(rows)
}

/// Ready rows for those of the jobs that are queued.
pub(super) async fn make_ready(tx: &mut Tx, ids: &str) -> Result<()> {
    let models: Vec<String> = sqlx::query_scalar(
        "INSERT INTO wf_ready_jobs (model_id, rank, vt, job_id, execution_id, tenant_id, pixels, queued_at, aged_at)
         SELECT j.model_id, 11 - j.priority, j.vt, j.id, j.execution_id, j.tenant_id, j.pixels, ?2, ?2
         FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value AND j.status = 'queued' RETURNING model_id",
    )
    .bind(ids)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    for model in models {
        tx.signals.jobs_ready(model);
    }
    Ok(())
}

/// Timers for those of the jobs that are pending.
pub(super) async fn defer(tx: &mut Tx, ids: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_timers (due_at, kind, ref_id)
         SELECT j.run_at, 'job', j.id FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value AND j.status = 'pending'",
    )
    .bind(ids)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
