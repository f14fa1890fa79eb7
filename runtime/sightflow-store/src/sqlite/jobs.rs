//! `wf_inference_jobs`: rows, lists, enqueue.

use serde_json::{Value, json};
use sightflow_types::error::code;
use sightflow_types::{ExecutionId, JobId, JobStatus, ModelSource, Task, TenantId, Timestamp, event};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteExecutor, SqlitePool};

use super::row::{Reading, before, columns_of, counted, json, listed, number, number_some, parse, parse_some, time};
use super::writer::Tx;
use super::{events, models, narrow};
use crate::error::{Result, StoreError};
use crate::execution::ExecutionLease;
use crate::job::{Job, JobFilter, JobSummary, NewJob};
use crate::page::{COUNT_CAP, Page, PageRequest};

columns! {
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
}

impl JobRow {
    pub(super) fn read(self, reading: &mut Reading) -> Result<Job> {
        let mut job = Job {
            id: parse(&self.id)?,
            execution_id: parse(&self.execution_id)?,
            workflow_id: reading.take("workflow_id", parse_some(self.workflow_id.as_deref()), || None)?,
            tenant_id: reading.take("tenant_id", parse(&self.tenant_id), || TenantId::BUILT_IN)?,
            node_id: self.node_id,
            item_path: self.item_path,
            task: reading.take("task", parse(&self.task), || Task::Detection)?,
            model_id: self.model_id,
            model_source: reading.take("model_source", parse(&self.model_source), || ModelSource::Pretrained)?,
            model_digest: reading.take("model_digest", parse_some(self.model_digest.as_deref()), || None)?,
            params: reading.take("params", json(&self.params), || Value::Null)?,
            input: reading.take("input", json(&self.input), || Value::Null)?,
            pixels: reading.take("pixels", number(self.pixels), || 0)?,
            status: reading.take("status", parse(&self.status), || JobStatus::Failed)?,
            progress: reading.take("progress", number(self.progress), || 0)?,
            priority: reading.take("priority", number(self.priority), || 5)?,
            vt: self.vt,
            attempt: reading.take("attempt", number(self.attempt), || 0)?,
            max_attempts: reading.take("max_attempts", number(self.max_attempts), || 1)?,
            max_batch: reading.take("max_batch", number_some(self.max_batch), || None)?,
            lease_token: self.lease_token,
            worker_id: reading.take("worker_id", parse_some(self.worker_id.as_deref()), || None)?,
            timeout_ms: reading.take("timeout_ms", number(self.timeout_ms), || 1)?,
            run_at: time(self.run_at),
            submitted_at: Timestamp::from_millis(self.submitted_at),
            started_at: time(self.started_at),
            completed_at: time(self.completed_at),
            duration_ms: reading.take("duration_ms", number_some(self.duration_ms), || None)?,
            queue_ms: reading.take("queue_ms", number_some(self.queue_ms), || None)?,
            load_ms: reading.take("load_ms", number_some(self.load_ms), || None)?,
            compute_ms: reading.take("compute_ms", number_some(self.compute_ms), || None)?,
            batch_size: reading.take("batch_size", number_some(self.batch_size), || None)?,
            result: reading.take("result", self.result.as_deref().map(json).transpose(), || None)?,
            error_class: reading.take("error_class", parse_some(self.error_class.as_deref()), || None)?,
            error_code: self.error_code,
            error_message: self.error_message,
            metadata: reading.take("metadata", json(&self.metadata), || Value::Null)?,
            traceparent: self.traceparent,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        };
        if let Some(fault) = reading.fault() {
            if job.status == JobStatus::Completed {
                job.status = JobStatus::Failed;
            }
            (job.error_code, job.error_message) = (Some(code::INTERNAL.to_owned()), Some(fault));
        }
        Ok(job)
    }
}

/// What people and engines see: a job that cannot be read has failed, and its error says why.
fn shown(row: &SqliteRow) -> Result<Job> {
    columns_of::<JobRow>(row)?.read(&mut Reading::lenient())
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: JobId) -> Result<Job> {
    let row = sqlx::query("SELECT * FROM wf_inference_jobs WHERE id = ?1 AND tenant_id = ?2")
        .bind(id.uuid().to_string())
        .bind(tenant.uuid().to_string())
        .fetch_optional(db)
        .await?;
    shown(&row.ok_or(StoreError::NotFound("inference job"))?)
}

/// Those of these jobs that have ended, in the given order.
pub(super) async fn ended(db: &SqlitePool, ids: &[JobId]) -> Result<Vec<Job>> {
    // What is neither open nor known cannot be read: it is shown as failed.
    let rows = sqlx::query(
        "SELECT j.* FROM json_each(?1) i CROSS JOIN wf_inference_jobs j
         WHERE j.id = i.value AND j.status NOT IN ('pending', 'queued', 'running') ORDER BY i.key",
    )
    .bind(Value::from_iter(ids.iter().map(|id| id.uuid().to_string())).to_string())
    .fetch_all(db)
    .await?;
    rows.iter().map(shown).collect()
}

/// The jobs of an execution, or of one of its nodes, in the order in which they were enqueued.
pub(super) async fn summaries(db: &SqlitePool, execution: ExecutionId, node: Option<&str>) -> Result<Vec<JobSummary>> {
    let rows: Vec<(String, String, String, Option<i64>)> = sqlx::query_as(
        "SELECT id, node_id, item_path, queue_ms FROM wf_inference_jobs
         WHERE execution_id = ?1 AND (?2 IS NULL OR node_id = ?2) ORDER BY id",
    )
    .bind(execution.uuid().to_string())
    .bind(node)
    .fetch_all(db)
    .await?;
    let read = |(id, node_id, item_path, queue_ms): (String, _, _, _)| {
        Ok(JobSummary { id: parse(&id)?, node_id, item_path, queue_ms: number_some(queue_ms)? })
    };
    Ok(rows.into_iter().filter_map(|row| listed("job", read(row))).collect())
}

/// Fails a job whose row cannot be read, past everything that would have to read it.
pub(super) async fn fail_unreadable(tx: &mut Tx, id: &str, code: &str, message: &str) -> Result<()> {
    let row: Option<(String, String, String)> = sqlx::query_as(
        "DELETE FROM wf_job_leases WHERE job_id = ?1;
         INSERT INTO wf_failed_jobs (job_id, tenant_id, model_id, error_code, failed_at)
         SELECT id, tenant_id, model_id, ?3, ?2 FROM wf_inference_jobs WHERE id = ?1;
         UPDATE wf_inference_jobs SET status = 'failed', completed_at = ?2, error_code = ?3, error_message = ?4, updated_at = max(?2, updated_at + 1)
         WHERE id = ?1 RETURNING execution_id, node_id, item_path",
    )
    .bind(id)
    .bind(tx.now)
    .bind(code)
    .bind(message)
    .fetch_all(&mut tx.conn)
    .await?
    .pop();
    let Some((execution, node, item)) = row else { return Ok(()) };
    // Its execution learns of it by the event, which only a readable id can have.
    match events::Subject::of(&execution, id, &node, &item) {
        Ok(job) => events::record(tx, &[job.event(event::JOB_FAILED, json!({ "code": code }))]).await,
        Err(_) => Ok(()),
    }
}

/// One choice of jobs, listed without results and counted. Both take the same arguments.
struct Statements {
    list: &'static str,
    count: &'static str,
}

/// The source decides which index serves it.
macro_rules! statements {
    ($source:literal) => {
        Statements {
            list: matching!(
                "SELECT j.id, j.execution_id, j.workflow_id, j.tenant_id, j.node_id, j.item_path, j.task, j.model_id, j.model_source, j.model_digest,
                   j.params, j.input, j.pixels, j.status, j.progress, j.priority, j.vt, j.attempt, j.max_attempts, j.max_batch, j.lease_token,
                   j.worker_id, j.timeout_ms, j.run_at, j.submitted_at, j.started_at, j.completed_at, j.duration_ms, j.queue_ms, j.load_ms,
                   j.compute_ms, j.batch_size, NULL AS result, j.error_class, j.error_code, j.error_message, j.metadata, j.traceparent,
                   j.created_at, j.updated_at
                 FROM wf_inference_jobs j",
                $source,
                "ORDER BY j.id DESC LIMIT ?11"
            ),
            count: matching!("SELECT count(*) FROM (SELECT 1 FROM wf_inference_jobs j", $source, "LIMIT ?11)"),
        }
    };
}

macro_rules! matching {
    ($select:literal, $source:literal, $end:literal) => {
        concat!(
            $select,
            " WHERE ",
            $source,
            " AND j.tenant_id = ?1 AND j.id < ?2 AND (?3 IS NULL OR j.execution_id = ?3) AND (?4 IS NULL OR j.workflow_id = ?4)
             AND (?5 IS NULL OR j.node_id = ?5) AND (?6 IS NULL OR j.model_id = ?6) AND (?7 IS NULL OR j.task = ?7)
             AND (?8 IS NULL OR j.status IN (SELECT value FROM json_each(?8))) AND (?9 IS NULL OR j.error_code = ?9)
             AND (?10 IS NULL OR j.submitted_at > ?10) ",
            $end
        )
    };
}

fn query(
    tenant: TenantId,
    filter: JobFilter,
    page: (Option<JobId>, i64),
    pick: fn(Statements) -> &'static str,
) -> Query<'static, Sqlite, SqliteArguments> {
    use JobStatus::{Failed, Pending, Queued, Running};
    let narrow = |status| matches!(status, Pending | Queued | Running | Failed);
    let statements = if filter.execution_id.is_some() {
        statements!("j.execution_id = ?3")
    } else if filter.workflow_id.is_some() {
        statements!("j.workflow_id = ?4")
    } else if !filter.statuses.is_empty() && filter.statuses.iter().copied().all(narrow) {
        // The narrow tables are the index by status: a rare status is found without reading every job.
        statements!(
            "j.id IN (SELECT job_id FROM wf_ready_jobs WHERE tenant_id = ?1 AND instr(?8, '\"queued\"')
                UNION ALL SELECT job_id FROM wf_job_leases WHERE tenant_id = ?1 AND instr(?8, '\"running\"')
                UNION ALL SELECT job_id FROM wf_failed_jobs WHERE tenant_id = ?1 AND instr(?8, '\"failed\"')
                UNION ALL SELECT ref_id FROM wf_timers WHERE kind = 'job' AND instr(?8, '\"pending\"'))"
        )
    } else {
        statements!("true")
    };
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let (last, limit) = page;
    sqlx::query(pick(statements))
        .bind(tenant.uuid().to_string())
        .bind(before(last.map(JobId::uuid)))
        .bind(filter.execution_id.map(|id| id.uuid().to_string()))
        .bind(filter.workflow_id.map(|id| id.uuid().to_string()))
        .bind(filter.node_id)
        .bind(filter.model_id)
        .bind(filter.task.map(sightflow_types::Task::as_str))
        .bind((!statuses.is_empty()).then(|| json!(statuses).to_string()))
        .bind(filter.error_code)
        .bind(filter.submitted_after.map(Timestamp::millis))
        .bind(limit)
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: JobFilter,
    page: PageRequest<JobId>,
) -> Result<Page<Job, JobId>> {
    let rows = query(tenant, filter, (page.before, page.rows()), |of| of.list).fetch_all(db).await?;
    let read = |row: SqliteRow| listed("job", shown(&row));
    Ok(Page::cut(rows, page.rows(), read, |job| job.id))
}

pub(super) async fn count(db: &SqlitePool, tenant: TenantId, filter: JobFilter) -> Result<u64> {
    counted(&query(tenant, filter, (None, COUNT_CAP as i64), |of| of.count).fetch_one(db).await?)
}

columns! {
    struct Run {
        tenant_id: String,
        workflow_id: Option<String>,
        priority: i64,
        max_retries: i64,
        traceparent: Option<String>,
    }
}

pub(super) async fn enqueue(tx: &mut Tx, lease: ExecutionLease, jobs: Vec<NewJob>) -> Result<()> {
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
        return Ok(());
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
    if new.is_empty() {
        return Ok(());
    }
    let ids = json!(new.iter().map(|job| &job.0).collect::<Vec<_>>()).to_string();
    narrow::make_ready(tx, &ids).await?;
    narrow::defer(tx, &ids).await?;
    let entries: Vec<_> = new
        .iter()
        .map(
            |(id, node, item)| Ok(events::Subject::of(&execution, id, node, item)?.event(event::JOB_QUEUED, json!({}))),
        )
        .collect::<Result<_>>()?;
    events::record(tx, &entries).await
}

/// Names of jobs within an execution, `[node, item]`, as [`named`] takes them.
pub(super) fn names(jobs: &[NewJob]) -> Vec<Value> {
    jobs.iter().map(|job| json!([job.node_id, job.item_path])).collect()
}

/// The jobs with these names, one for each, in the same order.
pub(super) async fn named(db: &SqlitePool, execution: ExecutionId, names: Vec<Value>) -> Result<Vec<Job>> {
    let wanted = names.len();
    let rows = sqlx::query(
        "SELECT j.* FROM json_each(?1) i CROSS JOIN wf_inference_jobs j
         WHERE j.execution_id = ?2 AND j.node_id = i.value ->> 0 AND j.item_path = i.value ->> 1 ORDER BY i.key",
    )
    .bind(Value::from(names).to_string())
    .bind(execution.uuid().to_string())
    .fetch_all(db)
    .await?;
    if rows.len() == wanted { rows.iter().map(shown).collect() } else { Err(StoreError::StaleLease) }
}
