//! Failed attempts, lost workers, pauses: `wf_failed_jobs`, `wf_timers`.

use std::collections::HashMap;

use serde_json::{Value, json};
use sightflow_types::{JobStatus, Timestamp, WorkerId, error, event};
use sqlx::SqlitePool;

use super::claims::take_leases;
use super::narrow::{defer, list_failed, make_ready};
use super::row::{parse, time};
use super::writer::Tx;
use super::{events, models};
use crate::error::Result;
use crate::job::{FailureClass, FailureOutcome, JobFailure, RESCUE_PAGE, RescuedJob, SILENCE_MS};
use crate::retry::{Attempt, decide};

/// Longest error message that is kept, in characters.
const MESSAGE_LENGTH: usize = 4000;

columns! {
    struct Failing {
        id: String,
        tenant_id: String,
        model_id: String,
        attempt: i64,
        max_attempts: i64,
        held_since: Option<i64>,
        random: i64,
    }
}

columns! {
    struct Changed {
        id: String,
        execution_id: String,
        node_id: String,
        item_path: String,
        status: String,
        run_at: Option<i64>,
        error_code: String,
    }
}

pub(super) async fn fail(tx: &mut Tx, worker: WorkerId, failures: Vec<JobFailure>) -> Result<Vec<FailureOutcome>> {
    let held = take_leases(tx, worker, failures.iter().map(|failure| failure.lease)).await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let ids = json!(held.keys().collect::<Vec<_>>()).to_string();
    let rows: Vec<Failing> = sqlx::query_as(
        "SELECT j.id, j.tenant_id, j.model_id, j.attempt, j.max_attempts, j.metadata ->> 'held_since' AS held_since, random() & 0x7fffffff AS random
         FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value",
    )
    .bind(&ids)
    .fetch_all(&mut tx.conn)
    .await?;
    let rows: HashMap<&str, &Failing> = rows.iter().map(|row| (row.id.as_str(), row)).collect();

    let mut verdicts = Vec::new();
    let mut breakers: HashMap<(String, String), i64> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for failure in failures {
        let id = failure.lease.job_id.uuid().to_string();
        let Some(row) = rows.get(id.as_str()) else {
            continue;
        };
        if !seen.insert(id.clone()) {
            continue;
        }
        let held_since = row.held_since.unwrap_or(tx.now);
        // A reported failure is an attempt, whether or not computing had begun.
        let uncounted = i64::from(!held.get(&id).copied().unwrap_or(true));
        let verdict = decide(Attempt {
            class: failure.class,
            batch_size: failure.batch_size,
            attempt: row.attempt + uncounted,
            max_attempts: row.max_attempts,
            hold_ms: failure.hold_ms,
            held_ms: tx.now - held_since,
            random: row.random,
        });
        let model = failure.class == FailureClass::Model;
        if let (true, Some(wait)) = (model, verdict.wait_ms) {
            let until = breakers.entry((row.tenant_id.clone(), row.model_id.clone())).or_default();
            *until = (*until).max(tx.now + wait);
        }
        let code = if model && verdict.wait_ms.is_none() { error::code::MODEL_UNAVAILABLE } else { &failure.code };
        verdicts.push(json!({
            "id": id, "run_at": verdict.wait_ms.map(|wait| tx.now + wait), "attempts": uncounted - i64::from(verdict.free), "max_batch": verdict.max_batch,
            "class": failure.class.as_str(), "code": code, "message": failure.message.chars().take(MESSAGE_LENGTH).collect::<String>(),
            "metadata": if model { json!({ "held_since": held_since }) } else { json!({}) },
        }));
    }
    let changed: Vec<Changed> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = CASE WHEN i.value ->> 'run_at' IS NULL THEN 'failed' ELSE 'pending' END,
           completed_at = CASE WHEN i.value ->> 'run_at' IS NULL THEN ?2 END, run_at = i.value ->> 'run_at',
           attempt = attempt + (i.value ->> 'attempts'), max_batch = coalesce(i.value ->> 'max_batch', max_batch), worker_id = NULL,
           error_class = i.value ->> 'class', error_code = i.value ->> 'code', error_message = i.value ->> 'message',
           metadata = json_patch(metadata, i.value -> 'metadata'), updated_at = max(?2, updated_at + 1)
         FROM json_each(?1) i WHERE wf_inference_jobs.id = i.value ->> 'id' AND wf_inference_jobs.status = 'running'
         RETURNING id, execution_id, node_id, item_path, status, run_at, error_code",
    )
    .bind(Value::from(verdicts).to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    settle(tx, &changed).await?;
    for ((tenant, model), until) in breakers {
        models::open_breaker(tx, &tenant, &model, until).await?;
    }
    changed
        .iter()
        .map(|job| {
            Ok(FailureOutcome { job_id: parse(&job.id)?, status: parse(&job.status)?, run_at: time(job.run_at) })
        })
        .collect()
}

/// Narrow rows and events of jobs that just left `running`.
async fn settle(tx: &mut Tx, changed: &[Changed]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let ids = json!(changed.iter().map(|job| &job.id).collect::<Vec<_>>()).to_string();
    make_ready(tx, &ids).await?;
    defer(tx, &ids).await?;
    list_failed(tx, &ids).await?;
    let entries: Vec<_> = changed
        .iter()
        .map(|job| {
            let kind = if job.status == JobStatus::Failed.as_str() { event::JOB_FAILED } else { event::JOB_RETRYING };
            let extra = json!({ "code": job.error_code, "run_at": time(job.run_at) });
            let subject = events::Subject::of(&job.execution_id, &job.id, &job.node_id, &job.item_path)?;
            Ok(subject.event(kind, extra))
        })
        .collect::<Result<_>>()?;
    events::record(tx, &entries).await
}

/// Whether there is anybody to declare gone, or a job to take; without the writer.
pub(super) async fn anything_to_rescue(db: &SqlitePool, now: i64) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wf_workers WHERE state <> 'gone' AND heartbeat_at <= ?2)
           OR EXISTS (SELECT 1 FROM wf_job_leases l WHERE l.deadline_at <= ?1
             OR NOT EXISTS (SELECT 1 FROM wf_workers w WHERE w.id = l.worker_id AND w.state <> 'gone'))",
    )
    .bind(now)
    .bind(now - SILENCE_MS)
    .fetch_one(db)
    .await?)
}

pub(super) async fn rescue(tx: &mut Tx) -> Result<Vec<RescuedJob>> {
    let gone: Vec<String> = sqlx::query_scalar(
        "UPDATE wf_workers SET state = 'gone' WHERE state <> 'gone' AND heartbeat_at <= ?1 RETURNING role",
    )
    .bind(tx.now - SILENCE_MS)
    .fetch_all(&mut tx.conn)
    .await?;
    if gone.iter().any(|role| role == "engine") {
        tx.signals.execution_ready();
    }
    let taken: Vec<(String, bool, bool)> = sqlx::query_as(
        "DELETE FROM wf_job_leases WHERE job_id IN (
           SELECT l.job_id FROM wf_job_leases l WHERE l.deadline_at <= ?1
             OR NOT EXISTS (SELECT 1 FROM wf_workers w WHERE w.id = l.worker_id AND w.state <> 'gone') LIMIT ?2)
         RETURNING job_id, coalesce(deadline_at <= ?1, false), deadline_at IS NOT NULL",
    )
    .bind(tx.now)
    .bind(RESCUE_PAGE)
    .fetch_all(&mut tx.conn)
    .await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<_> = taken
        .iter()
        .map(|(id, overdue, begun)| {
            let (code, message) = if *overdue {
                (error::code::JOB_TIMEOUT, "the job did not end within its time")
            } else {
                (error::code::WORKER_LOST, "the worker that ran the job is gone")
            };
            json!({ "id": id, "code": code, "message": message, "begun": begun })
        })
        .collect();
    // A job that had not begun is not to blame. Else the first loss halves the batch, the second leaves the job alone: it is
    // the suspect.
    let changed: Vec<Changed> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = CASE WHEN attempt < max_attempts THEN 'queued' ELSE 'failed' END,
           completed_at = CASE WHEN attempt < max_attempts THEN NULL ELSE ?2 END, worker_id = NULL,
           max_batch = CASE WHEN NOT (i.value ->> 'begun') THEN max_batch WHEN metadata ->> 'suspect' THEN 1 ELSE max(1, min(coalesce(batch_size, 2), coalesce(max_batch, 1000000)) / 2) END,
           metadata = CASE WHEN i.value ->> 'begun' THEN json_set(metadata, '$.suspect', json('true')) ELSE metadata END,
           error_class = 'transient', error_code = i.value ->> 'code', error_message = i.value ->> 'message', updated_at = max(?2, updated_at + 1)
         FROM json_each(?1) i WHERE wf_inference_jobs.id = i.value ->> 'id' AND wf_inference_jobs.status = 'running'
         RETURNING id, execution_id, node_id, item_path, status, run_at, error_code",
    )
    .bind(Value::from(list).to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    settle(tx, &changed).await?;
    changed
        .into_iter()
        .map(|job| Ok(RescuedJob { job_id: parse(&job.id)?, status: parse(&job.status)?, code: job.error_code }))
        .collect()
}

pub(super) async fn promote(tx: &mut Tx, limit: u32) -> Result<u64> {
    let ids: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_timers WHERE (due_at, kind, ref_id) IN (
           SELECT due_at, kind, ref_id FROM wf_timers WHERE due_at <= ?1 AND kind = 'job' ORDER BY due_at LIMIT ?2) RETURNING ref_id",
    )
    .bind(tx.now)
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let list = json!(ids).to_string();
    sqlx::query(
        "UPDATE wf_inference_jobs SET status = 'queued', run_at = NULL, updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'pending'",
    )
    .bind(&list)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    make_ready(tx, &list).await?;
    Ok(ids.len() as u64)
}

pub(super) async fn next_due(db: &SqlitePool) -> Result<Option<Timestamp>> {
    let due: Option<i64> =
        sqlx::query_scalar("SELECT min(due_at) FROM wf_timers WHERE kind = 'job'").fetch_one(db).await?;
    Ok(time(due))
}
