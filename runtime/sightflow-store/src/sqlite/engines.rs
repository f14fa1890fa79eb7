//! `wf_executions` as engines drive them: start, take over, append, finish. Every write is fenced by the lease token.

use serde_json::{Value, json};
use sightflow_types::{ExecutionId, WorkerId, event};
use sqlx::SqlitePool;

use super::executions::{ExecutionRow, drop_narrow_rows};
use super::row::{json, parse};
use super::writer::Tx;
use super::{blobs, events};
use crate::error::{Result, StoreError};
use crate::execution::{ExecutionLease, FinishedExecution, NewEvent, Progress, StartedExecution};

pub(super) async fn start(tx: &mut Tx, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT execution_id FROM wf_ready_executions ORDER BY rank, vt, execution_id LIMIT ?1")
            .bind(limit)
            .fetch_all(&mut tx.conn)
            .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let list = json!(ids).to_string();
    sqlx::query("DELETE FROM wf_ready_executions WHERE execution_id IN (SELECT value FROM json_each(?1))")
        .bind(&list)
        .execute(&mut tx.conn)
        .await?;
    sqlx::query(
        "UPDATE wf_executions SET resume_count = resume_count + (status = 'running'), status = 'running', lease_token = lease_token + 1,
           started_at = coalesce(started_at, ?2), deadline_at = coalesce(deadline_at, ?2 + timeout_seconds * 1000),
           updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&list)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO wf_execution_leases (execution_id, engine_id, lease_token, tenant_id, workflow_id, claimed_at)
         SELECT e.id, ?2, e.lease_token, e.tenant_id, e.workflow_id, ?3 FROM json_each(?1) i CROSS JOIN wf_executions e WHERE e.id = i.value",
    )
    .bind(&list)
    .bind(engine.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    announce(tx, &list).await
}

pub(super) async fn take_over(tx: &mut Tx, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT l.execution_id FROM wf_execution_leases l
         WHERE NOT EXISTS (SELECT 1 FROM wf_workers w WHERE w.id = l.engine_id AND w.state <> 'gone') LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let list = json!(ids).to_string();
    sqlx::query(
        "UPDATE wf_executions SET lease_token = lease_token + 1, resume_count = resume_count + 1, updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'running'",
    )
    .bind(&list)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    sqlx::query(
        "UPDATE wf_execution_leases SET engine_id = ?2, claimed_at = ?3,
           lease_token = (SELECT e.lease_token FROM wf_executions e WHERE e.id = wf_execution_leases.execution_id)
         WHERE execution_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&list)
    .bind(engine.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    announce(tx, &list).await
}

/// Records `execution.started` or `.resumed` and reads what the engine needs.
async fn announce(tx: &mut Tx, list: &str) -> Result<Vec<StartedExecution>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT e.id, e.resume_count FROM json_each(?1) i CROSS JOIN wf_executions e WHERE e.id = i.value ORDER BY i.key",
    )
    .bind(list)
    .fetch_all(&mut tx.conn)
    .await?;
    let entries: Vec<_> = rows
        .iter()
        .map(|(id, resumes)| {
            let kind = if *resumes == 0 { event::EXECUTION_STARTED } else { event::EXECUTION_RESUMED };
            events::Entry::new(id, kind, json!({ "resume_count": resumes }))
        })
        .collect();
    events::record(tx, &entries).await?;

    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        execution: ExecutionRow,
        run_definition: String,
    }
    let rows = sqlx::query_as::<_, Row>(
        "SELECT e.*, w.name AS workflow_name, coalesce(e.definition, v.definition) AS run_definition
         FROM json_each(?1) i CROSS JOIN wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = e.workflow_id AND v.version = e.workflow_version
         WHERE e.id = i.value ORDER BY i.key",
    )
    .bind(list)
    .fetch_all(&mut tx.conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StartedExecution { execution: row.execution.try_into()?, definition: json(&row.run_definition)? })
        })
        .collect()
}

/// Fails unless the lease is still the newest one of a running execution.
pub(super) async fn check_lease(tx: &mut Tx, lease: ExecutionLease) -> Result<()> {
    let held: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM wf_executions WHERE id = ?1 AND lease_token = ?2 AND status = 'running'")
            .bind(lease.execution_id.uuid().to_string())
            .bind(lease.token)
            .fetch_optional(&mut tx.conn)
            .await?;
    held.map(|_| ()).ok_or(StoreError::StaleLease)
}

pub(super) async fn hand_back(tx: &mut Tx, lease: ExecutionLease) -> Result<()> {
    check_lease(tx, lease).await?;
    let dropped = sqlx::query("DELETE FROM wf_execution_leases WHERE execution_id = ?1 AND lease_token = ?2")
        .bind(lease.execution_id.uuid().to_string())
        .bind(lease.token)
        .execute(&mut tx.conn)
        .await?;
    if dropped.rows_affected() == 0 {
        // Handed back before: it waits already.
        return Err(StoreError::StaleLease);
    }
    sqlx::query(
        "INSERT INTO wf_ready_executions (rank, vt, execution_id, tenant_id, queued_at)
         SELECT 11 - priority, 0, id, tenant_id, ?2 FROM wf_executions WHERE id = ?1",
    )
    .bind(lease.execution_id.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    tx.signals.execution_ready();
    Ok(())
}

pub(super) async fn set_pins(tx: &mut Tx, lease: ExecutionLease, pins: Value) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE wf_executions SET pins = ?3, updated_at = max(?4, updated_at + 1) WHERE id = ?1 AND lease_token = ?2 AND status = 'running'",
    )
    .bind(lease.execution_id.uuid().to_string())
    .bind(lease.token)
    .bind(pins.to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    if updated.rows_affected() == 0 { Err(StoreError::StaleLease) } else { Ok(()) }
}

pub(super) async fn append(
    tx: &mut Tx,
    lease: ExecutionLease,
    new: Vec<NewEvent>,
    progress: Option<Progress>,
) -> Result<()> {
    check_lease(tx, lease).await?;
    let id = lease.execution_id.uuid().to_string();
    if let Some(progress) = progress {
        sqlx::query("UPDATE wf_executions SET progress = ?2, node_metrics = ?3, updated_at = max(?4, updated_at + 1) WHERE id = ?1")
            .bind(&id)
            .bind(progress.progress.to_string())
            .bind(progress.node_metrics.to_string())
            .bind(tx.now)
            .execute(&mut tx.conn)
            .await?;
    }
    let entries: Vec<_> = new.into_iter().map(|event| events::Entry::new(&id, &event.kind, event.payload)).collect();
    events::record(tx, &entries).await
}

pub(super) async fn finish(tx: &mut Tx, lease: ExecutionLease, end: FinishedExecution) -> Result<()> {
    check_lease(tx, lease).await?;
    let id = lease.execution_id.uuid().to_string();
    let mut entries = end_open_jobs(tx, &id).await?;
    if !entries.is_empty() {
        tx.signals.cancelled(lease.execution_id);
    }
    let (status, kind) = match &end.error {
        None => ("completed", event::EXECUTION_COMPLETED),
        Some(_) => ("failed", event::EXECUTION_FAILED),
    };
    let error = end.error.as_ref();
    let (tenant, workflow, duration_ms): (String, Option<String>, i64) = sqlx::query_as(
        "UPDATE wf_executions SET status = ?2, output_data = ?3, node_metrics = ?4, progress = ?5, error_code = ?6, error_message = ?7,
           error_node_id = ?8, error_item = ?9, error_cause = ?10, completed_at = ?11, duration_ms = ?11 - started_at,
           updated_at = max(?11, updated_at + 1)
         WHERE id = ?1 RETURNING tenant_id, workflow_id, duration_ms",
    )
    .bind(&id)
    .bind(status)
    .bind(end.outputs.to_string())
    .bind(end.node_metrics.to_string())
    .bind(end.progress.to_string())
    .bind(error.map(|error| error.code.as_str()))
    .bind(error.map(|error| error.message.as_str()))
    .bind(error.and_then(|error| error.node_id.as_deref()))
    .bind(error.and_then(|error| error.item.as_deref()))
    .bind(json!(error.map_or(&[][..], |error| &error.cause)).to_string())
    .bind(tx.now)
    .fetch_one(&mut tx.conn)
    .await?;
    sqlx::query("DELETE FROM wf_execution_leases WHERE execution_id = ?1").bind(&id).execute(&mut tx.conn).await?;
    // Handed back and finished all the same: its ready row goes too.
    sqlx::query("DELETE FROM wf_ready_executions WHERE execution_id = ?1").bind(&id).execute(&mut tx.conn).await?;
    if let Some(workflow) = workflow {
        sqlx::query(
            "UPDATE wf_workflows SET run_count = run_count + 1, last_run_at = ?2,
               avg_duration_ms = coalesce(avg_duration_ms, ?3) + (?3 - coalesce(avg_duration_ms, ?3)) / (run_count + 1)
             WHERE id = ?1",
        )
        .bind(workflow)
        .bind(tx.now)
        .bind(duration_ms)
        .execute(&mut tx.conn)
        .await?;
    }
    blobs::hold_outputs(tx, parse(&tenant)?, lease.execution_id, &end.output_blobs).await?;
    let mut payload = json!({ "duration_ms": duration_ms });
    if let Some(error) = error {
        payload["code"] = json!(error.code);
        payload["message"] = json!(error.message.chars().take(1000).collect::<String>());
        payload["node_id"] = json!(error.node_id);
    }
    entries.push(events::Entry::new(&id, kind, payload));
    events::record(tx, &entries).await
}

/// Fails the jobs that nobody will need any more; the events that say so.
async fn end_open_jobs(tx: &mut Tx, execution: &str) -> Result<Vec<events::Entry>> {
    let jobs: Vec<(String, String, String)> = sqlx::query_as(
        "UPDATE wf_inference_jobs SET status = 'failed', completed_at = ?2, run_at = NULL, error_code = 'E-EXECUTION-ENDED',
           error_message = 'the execution ended before this job did', updated_at = max(?2, updated_at + 1)
         WHERE execution_id = ?1 AND status IN ('pending', 'queued', 'running') RETURNING id, node_id, item_path",
    )
    .bind(execution)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    drop_narrow_rows(tx, jobs.iter().map(|job| job.0.as_str())).await?;
    if !jobs.is_empty() {
        sqlx::query(
            "INSERT INTO wf_failed_jobs (job_id, tenant_id, model_id, error_code, failed_at)
             SELECT id, tenant_id, model_id, error_code, ?2 FROM wf_inference_jobs
             WHERE execution_id = ?1 AND id IN (SELECT value FROM json_each(?3))",
        )
        .bind(execution)
        .bind(tx.now)
        .bind(json!(jobs.iter().map(|job| &job.0).collect::<Vec<_>>()).to_string())
        .execute(&mut tx.conn)
        .await?;
    }
    jobs.iter()
        .map(|(id, node, item)| {
            events::of_job(execution, event::JOB_FAILED, id, node, item, json!({ "code": "E-EXECUTION-ENDED" }))
        })
        .collect()
}

pub(super) async fn lost(db: &SqlitePool, leases: &[ExecutionLease]) -> Result<Vec<ExecutionId>> {
    let list: Vec<_> = leases.iter().map(|lease| json!([lease.execution_id.uuid().to_string(), lease.token])).collect();
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT i.value ->> 0 FROM json_each(?1) i LEFT JOIN wf_executions e
           ON e.id = i.value ->> 0 AND e.lease_token = i.value ->> 1 AND e.status = 'running' WHERE e.id IS NULL",
    )
    .bind(Value::from(list).to_string())
    .fetch_all(db)
    .await?;
    ids.iter().map(|id| parse(id)).collect()
}

pub(super) async fn overdue(db: &SqlitePool, engine: WorkerId, now: i64, limit: u32) -> Result<Vec<ExecutionLease>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT e.id, e.lease_token FROM wf_execution_leases l CROSS JOIN wf_executions e
         WHERE l.engine_id = ?1 AND e.id = l.execution_id AND e.deadline_at <= ?2 LIMIT ?3",
    )
    .bind(engine.uuid().to_string())
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|(id, token)| Ok(ExecutionLease { execution_id: parse(id)?, token: *token })).collect()
}
