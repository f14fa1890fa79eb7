//! Leases of inference jobs: claim, complete, give back.

use std::collections::HashMap;

use serde_json::{Value, json};
use sightflow_types::error::code;
use sightflow_types::{JobId, TenantId, Timestamp, WorkerId, event};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::events;
use super::jobs::{self, JobRow};
use super::narrow::make_ready;
use super::row::{Reading, columns_of, parse, stored, unreadable};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::job::{ClaimRequest, ClaimedJob, JobLease, JobResult, ModelHead};

pub(super) async fn heads(db: &SqlitePool) -> Result<Vec<ModelHead>> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "WITH RECURSIVE m (model_id) AS (
           SELECT min(model_id) FROM wf_ready_jobs
           UNION ALL SELECT (SELECT min(r.model_id) FROM wf_ready_jobs r WHERE r.model_id > m.model_id) FROM m WHERE m.model_id IS NOT NULL)
         SELECT r.model_id, r.rank, r.vt, r.queued_at FROM m CROSS JOIN wf_ready_jobs r
         WHERE (r.model_id, r.rank, r.vt, r.job_id) =
           (SELECT h.model_id, h.rank, h.vt, h.job_id FROM wf_ready_jobs h WHERE h.model_id = m.model_id ORDER BY h.rank, h.vt, h.job_id LIMIT 1)
         ORDER BY r.rank, r.vt, r.queued_at",
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(model_id, rank, vt, queued_at)| ModelHead {
            model_id,
            rank,
            vt,
            queued_at: Timestamp::from_millis(queued_at),
        })
        .collect())
}

pub(super) async fn claim(tx: &mut Tx, worker: WorkerId, request: ClaimRequest) -> Result<Vec<ClaimedJob>> {
    let capped: Vec<_> = request.capped_tenants.iter().map(|tenant: &TenantId| tenant.uuid().to_string()).collect();
    let chosen: Vec<(String, i64)> = sqlx::query_as(
        "SELECT job_id, queued_at FROM (
           SELECT job_id, queued_at, row_number() OVER claim_order AS n, sum(pixels) OVER claim_order AS total FROM (
             SELECT rank, vt, job_id, pixels, queued_at FROM wf_ready_jobs
             WHERE model_id = ?1 AND tenant_id NOT IN (SELECT value FROM json_each(?2)) ORDER BY rank, vt, job_id LIMIT ?3)
           WINDOW claim_order AS (ORDER BY rank, vt, job_id ROWS UNBOUNDED PRECEDING))
         WHERE total <= ?4 OR n = 1 ORDER BY n",
    )
    .bind(&request.model_id)
    .bind(json!(capped).to_string())
    .bind(request.max_count)
    .bind(stored(request.pixel_budget).unwrap_or(i64::MAX))
    .fetch_all(&mut tx.conn)
    .await?;
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let ids = json!(chosen.iter().map(|job| &job.0).collect::<Vec<_>>()).to_string();
    sqlx::query("DELETE FROM wf_ready_jobs WHERE job_id IN (SELECT value FROM json_each(?1))")
        .bind(&ids)
        .execute(&mut tx.conn)
        .await?;
    let rows = sqlx::query(
        "UPDATE wf_inference_jobs SET status = 'running', started_at = ?2, worker_id = ?3, attempt = attempt + ?5, lease_token = lease_token + 1,
           queue_ms = max(0, ?2 - i.queued_at), batch_size = ?4, progress = 0, updated_at = max(?2, updated_at + 1)
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS queued_at FROM json_each(?1)) i
         WHERE wf_inference_jobs.id = i.id AND wf_inference_jobs.status = 'queued' RETURNING *",
    )
    .bind(json!(chosen).to_string())
    .bind(tx.now)
    .bind(worker.uuid().to_string())
    .bind(stored(chosen.len())?)
    .bind(request.begin)
    .fetch_all(&mut tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO wf_job_leases (job_id, lease_token, worker_id, execution_id, tenant_id, model_id, claimed_at, deadline_at)
         SELECT j.id, j.lease_token, ?2, j.execution_id, j.tenant_id, j.model_id, ?3, CASE WHEN ?4 THEN ?3 + j.timeout_ms END
         FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value AND j.status = 'running'",
    )
    .bind(&ids)
    .bind(worker.uuid().to_string())
    .bind(tx.now)
    .bind(request.begin)
    .execute(&mut tx.conn)
    .await?;
    let mut claimed = HashMap::with_capacity(rows.len());
    for row in &rows {
        let id: String = row.try_get("id")?;
        match read(row, tx.now, request.begin) {
            Ok(job) => {
                claimed.insert(id, job);
            }
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(job.id = id, reason = why, "a job cannot be read; it fails");
                jobs::fail_unreadable(tx, &id, code::INTERNAL, &unreadable(&why)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    let claimed: Vec<ClaimedJob> = chosen.iter().filter_map(|(id, _)| claimed.remove(id)).collect();
    let entries: Vec<_> = claimed
        .iter()
        .map(|claimed| {
            let job = &claimed.job;
            let (node, item) = (job.node_id.as_str(), job.item_path.as_str());
            let subject = events::Subject { execution: job.execution_id, job: job.id, node, item };
            subject.event(event::JOB_RUNNING, json!({ "attempt": job.attempt + u32::from(!request.begin) }))
        })
        .collect();
    events::record(tx, &entries).await?;
    Ok(claimed)
}

fn read(row: &SqliteRow, now: i64, begun: bool) -> Result<ClaimedJob> {
    let job = columns_of::<JobRow>(row)?.read(&mut Reading::Strict)?;
    let deadline_at = begun.then(|| Timestamp::from_millis(now + i64::from(job.timeout_ms)));
    Ok(ClaimedJob { job, deadline_at })
}

/// Leases as statements take them.
fn leases(list: impl Iterator<Item = JobLease>) -> String {
    Value::from_iter(list.map(|lease| json!([lease.job_id.uuid().to_string(), lease.token]))).to_string()
}

pub(super) async fn begin(tx: &mut Tx, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>> {
    let held: Vec<String> = sqlx::query_scalar(
        "UPDATE wf_inference_jobs SET attempt = attempt + 1, updated_at = max(?3, updated_at + 1)
         WHERE id IN (SELECT l.job_id FROM json_each(?2) i CROSS JOIN wf_job_leases l
           WHERE l.job_id = i.value ->> 0 AND l.lease_token = i.value ->> 1 AND l.worker_id = ?1 AND l.deadline_at IS NULL);
         UPDATE wf_job_leases SET deadline_at = coalesce(deadline_at, ?3 + (SELECT j.timeout_ms FROM wf_inference_jobs j WHERE j.id = job_id))
         WHERE worker_id = ?1 AND (job_id, lease_token) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2)) RETURNING job_id",
    )
    .bind(worker.uuid().to_string())
    .bind(leases(jobs.into_iter()))
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    held.iter().map(|id| parse(id)).collect()
}

/// Takes the leases that this worker still holds, each with whether its computing had begun; the others are stale.
pub(super) async fn take_leases(
    tx: &mut Tx,
    worker: WorkerId,
    list: impl Iterator<Item = JobLease>,
) -> Result<HashMap<String, bool>> {
    let held: Vec<(String, bool)> = sqlx::query_as(
        "DELETE FROM wf_job_leases WHERE worker_id = ?1
           AND (job_id, lease_token) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2)) RETURNING job_id, deadline_at IS NOT NULL",
    )
    .bind(worker.uuid().to_string())
    .bind(leases(list))
    .fetch_all(&mut tx.conn)
    .await?;
    Ok(held.into_iter().collect())
}

pub(super) async fn complete(tx: &mut Tx, worker: WorkerId, results: Vec<JobResult>) -> Result<Vec<JobId>> {
    let mut held = take_leases(tx, worker, results.iter().map(|result| result.lease)).await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    // A job named twice in one answer is recorded once: the first counts.
    let list: Vec<_> = results
        .into_iter()
        .filter_map(|result| {
            let id = result.lease.job_id.uuid().to_string();
            held.remove(&id).map(|begun| {
                json!({ "id": id, "result": result.result, "metadata": result.metadata, "load": result.load_ms, "compute": result.compute_ms,
                    "batch": result.batch_size, "attempt": i64::from(!begun) })
            })
        })
        .collect();
    let done: Vec<(String, String, String, String, i64)> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = 'completed', progress = 100, completed_at = ?2, result = i.value -> 'result',
           metadata = json_patch(metadata, i.value -> 'metadata'), load_ms = i.value ->> 'load', compute_ms = i.value ->> 'compute',
           attempt = attempt + (i.value ->> 'attempt'), batch_size = i.value ->> 'batch', duration_ms = (i.value ->> 'load') + (i.value ->> 'compute'),
           error_class = NULL, error_code = NULL, error_message = NULL, updated_at = max(?2, updated_at + 1)
         FROM json_each(?1) i WHERE wf_inference_jobs.id = i.value ->> 'id' AND wf_inference_jobs.status = 'running'
         RETURNING id, execution_id, node_id, item_path, duration_ms",
    )
    .bind(Value::from(list).to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    let entries: Vec<_> = done
        .iter()
        .map(|(id, execution, node, item, ms)| {
            let job = events::Subject::of(execution, id, node, item)?;
            Ok(job.event(event::JOB_COMPLETED, json!({ "duration_ms": ms })))
        })
        .collect::<Result<_>>()?;
    events::record(tx, &entries).await?;
    done.iter().map(|job| parse(&job.0)).collect()
}

pub(super) async fn release(tx: &mut Tx, worker: WorkerId, jobs: Vec<JobLease>) -> Result<Vec<JobId>> {
    let held = take_leases(tx, worker, jobs.into_iter()).await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<_> = held.iter().map(|(id, begun)| json!([id, i64::from(*begun)])).collect();
    sqlx::query(
        "UPDATE wf_inference_jobs SET status = 'queued', attempt = attempt - (i.value ->> 1), worker_id = NULL, started_at = NULL,
           updated_at = max(?2, updated_at + 1)
         FROM json_each(?1) i WHERE wf_inference_jobs.id = i.value ->> 0 AND wf_inference_jobs.status = 'running'",
    )
    .bind(Value::from(list).to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    make_ready(tx, &json!(held.keys().collect::<Vec<_>>()).to_string()).await?;
    held.keys().map(|id| parse(id)).collect()
}
