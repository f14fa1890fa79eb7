//! Executions that others than their engine end: cancelled, failed, deleted.

use serde_json::json;
use sightflow_types::{ExecutionId, ExecutionStatus, TenantId, WorkflowId, error, event};
use sqlx::SqlitePool;

use super::row::parse;
use super::writer::Tx;
use super::{blobs, costs, events, narrow, usage};
use crate::error::{Result, StoreError};
use crate::execution::DEADLINE_GRACE_MS;

/// How jobs and executions end together.
struct End<'a> {
    /// Of the jobs.
    job_status: &'a str,
    job_event: &'a str,
    /// `E-…` and why, for jobs that fail.
    job_error: Option<(&'a str, &'a str)>,
    /// Of the execution.
    status: &'a str,
    event: &'a str,
    error: Option<(&'a str, &'a str)>,
}

pub(super) async fn cancel(tx: &mut Tx, tenant: TenantId, id: ExecutionId) -> Result<()> {
    if status(tx, tenant, id).await?.is_terminal() {
        return Err(StoreError::AlreadyTerminal);
    }
    cancel_all(tx, &[id.uuid().to_string()]).await
}

async fn status(tx: &mut Tx, tenant: TenantId, id: ExecutionId) -> Result<ExecutionStatus> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM wf_executions WHERE id = ?1 AND tenant_id = ?2")
            .bind(id.uuid().to_string())
            .bind(tenant.uuid().to_string())
            .fetch_optional(&mut tx.conn)
            .await?;
    parse(&status.ok_or(StoreError::NotFound("execution"))?)
}

/// Cancels open executions with everything that hangs on them.
pub(super) async fn cancel_all(tx: &mut Tx, executions: &[String]) -> Result<()> {
    let end = End {
        job_status: "cancelled",
        job_event: event::JOB_CANCELLED,
        job_error: None,
        status: "cancelled",
        event: event::EXECUTION_CANCELLED,
        error: None,
    };
    end_all(tx, executions, &end).await
}

/// Fails open executions, whoever holds them.
pub(super) async fn fail_all(tx: &mut Tx, executions: &[String], code: &str, message: &str) -> Result<()> {
    let end = End {
        job_status: "failed",
        job_event: event::JOB_FAILED,
        job_error: Some(ENDED),
        status: "failed",
        event: event::EXECUTION_FAILED,
        error: Some((code, message)),
    };
    end_all(tx, executions, &end).await
}

/// What a job fails with when its execution ends before it.
const ENDED: (&str, &str) = (error::code::EXECUTION_ENDED, "the execution ended before this job did");

async fn end_all(tx: &mut Tx, executions: &[String], end: &End<'_>) -> Result<()> {
    if executions.is_empty() {
        return Ok(());
    }
    let ids = json!(executions).to_string();
    let mut news = end_jobs(tx, &ids, end.job_status, end.job_event, end.job_error).await?;
    sqlx::query(
        "UPDATE wf_executions SET status = ?3, completed_at = ?2, lease_token = lease_token + 1, duration_ms = ?2 - started_at,
           error_code = ?4, error_message = ?5, error_cause = '[]', updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'running');
         DELETE FROM wf_execution_leases WHERE execution_id IN (SELECT value FROM json_each(?1));
         DELETE FROM wf_ready_executions WHERE execution_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&ids)
    .bind(tx.now)
    .bind(end.status)
    .bind(end.error.map(|error| error.0))
    .bind(end.error.map(|error| error.1))
    .execute(&mut tx.conn)
    .await?;
    costs::count(tx, &ids).await?;
    let payload = end.error.map_or_else(|| json!({}), |(code, message)| json!({ "code": code, "message": message }));
    news.extend(executions.iter().map(|id| events::Entry::new(id, end.event, payload.clone())));
    for id in executions {
        if let Ok(id) = parse(id) {
            tx.signals.cancelled(id);
        }
    }
    events::record(tx, &news).await
}

/// Fails the open jobs of an execution that has ended; the events that say so.
pub(super) async fn fail_open_jobs(tx: &mut Tx, execution: &str) -> Result<Vec<events::Entry>> {
    end_jobs(tx, &json!([execution]).to_string(), "failed", event::JOB_FAILED, Some(ENDED)).await
}

async fn end_jobs(
    tx: &mut Tx,
    executions: &str,
    status: &str,
    kind: &str,
    error: Option<(&str, &str)>,
) -> Result<Vec<events::Entry>> {
    let jobs: Vec<(String, String, String, String)> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = ?3, completed_at = ?2, lease_token = lease_token + 1, run_at = NULL, updated_at = max(?2, updated_at + 1),
           error_code = coalesce(?4, error_code), error_message = coalesce(?5, error_message)
         WHERE execution_id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'queued', 'running')
         RETURNING id, execution_id, node_id, item_path",
    )
    .bind(executions)
    .bind(tx.now)
    .bind(status)
    .bind(error.map(|error| error.0))
    .bind(error.map(|error| error.1))
    .fetch_all(&mut tx.conn)
    .await?;
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let ids = json!(jobs.iter().map(|job| &job.0).collect::<Vec<_>>()).to_string();
    narrow::drop_open(tx, &ids).await?;
    if error.is_some() {
        narrow::list_failed(tx, &ids).await?;
    }
    let extra = error.map_or_else(|| json!({}), |error| json!({ "code": error.0 }));
    // A job whose ids cannot be read ends without an event.
    let events = jobs.iter().filter_map(|(id, execution, node, item)| {
        Some(events::Subject::of(execution, id, node, item).ok()?.event(kind, extra.clone()))
    });
    Ok(events.collect())
}

/// Executions past their time that nobody has ended; the first look, without the writer.
pub(super) async fn overdue(db: &SqlitePool, now: i64, limit: u32) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM wf_executions WHERE status IN ('pending','running') AND deadline_at <= ?1 AND deadline_at <= ?1 - CASE status WHEN 'running' THEN ?2 ELSE 0 END
         ORDER BY deadline_at LIMIT ?3",
    )
    .bind(now)
    .bind(DEADLINE_GRACE_MS)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// Fails those of the executions that are still open and past their time.
pub(super) async fn expire(tx: &mut Tx, candidates: &[String]) -> Result<Vec<ExecutionId>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT e.id FROM json_each(?1) i CROSS JOIN wf_executions e WHERE e.id = i.value AND e.status IN ('pending', 'running')
           AND e.deadline_at <= ?2 - CASE e.status WHEN 'running' THEN ?3 ELSE 0 END",
    )
    .bind(json!(candidates).to_string())
    .bind(tx.now)
    .bind(DEADLINE_GRACE_MS)
    .fetch_all(&mut tx.conn)
    .await?;
    fail_all(tx, &ids, error::code::TIMEOUT, "the execution did not end within its time").await?;
    Ok(ids.iter().filter_map(|id| parse(id).ok()).collect())
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: ExecutionId) -> Result<()> {
    if !status(tx, tenant, id).await?.is_terminal() {
        return Err(StoreError::NotTerminal);
    }
    delete_all(tx, &[id.uuid().to_string()]).await
}

/// Deletes up to `limit` ended executions of a workflow; how many.
pub(super) async fn clear(tx: &mut Tx, workflow: WorkflowId, limit: u32) -> Result<u64> {
    let ended: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM wf_executions WHERE workflow_id = ?1 AND status IN ('completed', 'failed', 'cancelled') LIMIT ?2",
    )
    .bind(workflow.uuid().to_string())
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    delete_all(tx, &ended).await?;
    Ok(ended.len() as u64)
}

/// Deletes ended executions with everything that hangs on them; their blobs lose a reference.
pub(super) async fn delete_all(tx: &mut Tx, executions: &[String]) -> Result<()> {
    if executions.is_empty() {
        return Ok(());
    }
    let ids = json!(executions).to_string();
    usage::keep(tx, &ids).await?;
    blobs::drop_execution_refs(tx, &ids).await?;
    sqlx::query(
        "DELETE FROM wf_idempotency_keys WHERE resource_id IN (SELECT value FROM json_each(?1));
         DELETE FROM wf_executions WHERE id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&ids)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
