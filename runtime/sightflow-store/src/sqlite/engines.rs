//! `wf_executions` as engines drive them: start, take over, append, finish. Every write is fenced by the lease token.

use serde_json::{Value, json};
use sightflow_types::error::code;
use sightflow_types::{ExecutionId, WorkerId, event};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::executions::ExecutionRow;
use super::row::{Reading, columns_of, parse, stored, unreadable};
use super::writer::Tx;
use super::{blobs, costs, ending, events, records};
use crate::error::{Result, StoreError};
use crate::execution::{Append, CRASH_LOOP, ExecutionLease, FinishedExecution, NewEvent, StartedExecution};

/// Whether an execution waits; without the writer.
pub(super) async fn any_ready(db: &SqlitePool) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM wf_ready_executions)").fetch_one(db).await?)
}

/// Whether an execution has lost its engine; without the writer.
pub(super) async fn any_orphan(db: &SqlitePool) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wf_execution_leases l
           WHERE NOT EXISTS (SELECT 1 FROM wf_workers w WHERE w.id = l.engine_id AND w.state <> 'gone'))",
    )
    .fetch_one(db)
    .await?)
}

pub(super) async fn start(tx: &mut Tx, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_ready_executions WHERE (rank, vt, execution_id) IN (
           SELECT rank, vt, execution_id FROM wf_ready_executions ORDER BY rank, vt, execution_id LIMIT ?1) RETURNING execution_id",
    )
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let started: Vec<(String, i64)> = sqlx::query_as(
        "UPDATE wf_executions SET resume_count = resume_count + (status = 'running'), status = 'running', lease_token = lease_token + 1,
           started_at = coalesce(started_at, ?2), updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'running') RETURNING id, resume_count",
    )
    .bind(json!(ids).to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO wf_execution_leases (execution_id, engine_id, lease_token, tenant_id, workflow_id, claimed_at)
         SELECT e.id, ?2, e.lease_token, e.tenant_id, e.workflow_id, ?3 FROM json_each(?1) i CROSS JOIN wf_executions e
         WHERE e.id = i.value AND e.status = 'running'",
    )
    .bind(json!(ids).to_string())
    .bind(engine.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    announce(tx, started).await
}

pub(super) async fn take_over(tx: &mut Tx, engine: WorkerId, limit: u32) -> Result<Vec<StartedExecution>> {
    let orphans: Vec<(String, i64)> = sqlx::query_as(
        "SELECT e.id, e.stalled_resumes * (e.inference_jobs_completed + coalesce(e.progress ->> 'completed_nodes', 0) <= e.progress_mark)
         FROM wf_execution_leases l CROSS JOIN wf_executions e
         WHERE e.id = l.execution_id AND NOT EXISTS (SELECT 1 FROM wf_workers w WHERE w.id = l.engine_id AND w.state <> 'gone') LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    let (looping, taken): (Vec<_>, Vec<_>) = orphans.into_iter().partition(|row| row.1 >= i64::from(CRASH_LOOP));
    let looping: Vec<String> = looping.into_iter().map(|row| row.0).collect();
    let why = format!("every engine that ran it was lost: resumed {CRASH_LOOP} times without progress");
    ending::fail_all(tx, &looping, code::CRASH_LOOP, &why).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let list = json!(taken.iter().map(|row| &row.0).collect::<Vec<_>>()).to_string();
    let resumed: Vec<(String, i64)> = sqlx::query_as(
        "UPDATE wf_executions SET lease_token = lease_token + 1, resume_count = resume_count + 1,
           stalled_resumes = 1 + stalled_resumes * (inference_jobs_completed + coalesce(progress ->> 'completed_nodes', 0) <= progress_mark),
           progress_mark = max(progress_mark, inference_jobs_completed + coalesce(progress ->> 'completed_nodes', 0)),
           updated_at = max(?2, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'running' RETURNING id, resume_count",
    )
    .bind(&list)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    // A lease of an execution that does not run is nobody's.
    sqlx::query(
        "DELETE FROM wf_execution_leases WHERE execution_id IN (SELECT value FROM json_each(?1))
           AND NOT EXISTS (SELECT 1 FROM wf_executions e WHERE e.id = execution_id AND e.status = 'running');
         UPDATE wf_execution_leases SET engine_id = ?2, claimed_at = ?3,
           lease_token = (SELECT e.lease_token FROM wf_executions e WHERE e.id = wf_execution_leases.execution_id)
         WHERE execution_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&list)
    .bind(engine.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    announce(tx, resumed).await
}

/// Records `execution.started` or `.resumed` and reads what the engine needs. What cannot be read fails, alone.
async fn announce(tx: &mut Tx, taken: Vec<(String, i64)>) -> Result<Vec<StartedExecution>> {
    let entries: Vec<_> = taken
        .iter()
        .map(|(id, resumes)| {
            let kind = if *resumes == 0 { event::EXECUTION_STARTED } else { event::EXECUTION_RESUMED };
            events::Entry::new(id, kind, json!({ "resume_count": resumes }))
        })
        .collect();
    events::record(tx, &entries).await?;
    let rows = sqlx::query(
        "SELECT e.*, w.name AS workflow_name, coalesce(e.definition_digest, v.digest) AS run_digest
         FROM json_each(?1) i CROSS JOIN wf_executions e LEFT JOIN wf_workflows w ON w.id = e.workflow_id
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = e.workflow_id AND v.version = e.workflow_version
         WHERE e.id = i.value ORDER BY 11 - e.priority, e.id",
    )
    .bind(json!(taken.iter().map(|row| &row.0).collect::<Vec<_>>()).to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    let mut started = Vec::with_capacity(rows.len());
    for row in rows {
        match read(&row) {
            Ok(execution) => started.push(execution),
            Err(error) => {
                let id: String = row.try_get("id")?;
                tracing::error!(
                    execution.id = id,
                    error = &error as &dyn std::error::Error,
                    "an execution cannot be read; it fails"
                );
                let StoreError::Corrupt(why) = error else { return Err(error) };
                ending::fail_all(tx, &[id], code::INTERNAL, &unreadable(&why)).await?;
            }
        }
    }
    Ok(started)
}

fn read(row: &SqliteRow) -> Result<StartedExecution> {
    let execution = columns_of::<ExecutionRow>(row)?.read(&mut Reading::Strict)?;
    let digest: Option<String> = row.try_get("run_digest")?;
    let digest = digest.ok_or_else(|| StoreError::Corrupt("its definition is gone or cannot be read".to_owned()))?;
    Ok(StartedExecution { execution, definition_digest: parse(&digest)? })
}

/// Counts as a takeover does, so that a run which no engine can go on with ends.
pub(super) async fn give_up(tx: &mut Tx, lease: ExecutionLease) -> Result<()> {
    let id = lease.execution_id.uuid().to_string();
    let stalled: Option<i64> = sqlx::query_scalar(
        "UPDATE wf_executions SET
           stalled_resumes = 1 + stalled_resumes * (inference_jobs_completed + coalesce(progress ->> 'completed_nodes', 0) <= progress_mark),
           progress_mark = max(progress_mark, inference_jobs_completed + coalesce(progress ->> 'completed_nodes', 0)),
           updated_at = max(?3, updated_at + 1)
         WHERE id = ?1 AND lease_token = ?2 AND status = 'running'
           AND EXISTS (SELECT 1 FROM wf_execution_leases l WHERE l.execution_id = ?1 AND l.lease_token = ?2) RETURNING stalled_resumes",
    )
    .bind(&id)
    .bind(lease.token)
    .bind(tx.now)
    .fetch_optional(&mut tx.conn)
    .await?;
    if stalled.ok_or(StoreError::StaleLease)? <= i64::from(CRASH_LOOP) {
        return hand_back(tx, lease).await;
    }
    let why = format!("no engine could go on with it: given up {CRASH_LOOP} times without progress");
    ending::fail_all(tx, &[id], code::CRASH_LOOP, &why).await
}

pub(super) async fn hand_back(tx: &mut Tx, lease: ExecutionLease) -> Result<()> {
    // Without a lease row it was handed back before and waits already.
    let dropped = sqlx::query(
        "DELETE FROM wf_execution_leases WHERE execution_id = ?1 AND lease_token = ?2
           AND EXISTS (SELECT 1 FROM wf_executions e WHERE e.id = ?1 AND e.lease_token = ?2 AND e.status = 'running')",
    )
    .bind(lease.execution_id.uuid().to_string())
    .bind(lease.token)
    .execute(&mut tx.conn)
    .await?;
    if dropped.rows_affected() == 0 {
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

fn entries(lease: ExecutionLease, new: Vec<NewEvent>) -> Vec<events::Entry> {
    let id = lease.execution_id.uuid().to_string();
    new.into_iter().map(|event| events::Entry::new(&id, &event.kind, event.payload)).collect()
}

pub(super) async fn append(tx: &mut Tx, lease: ExecutionLease, append: Append) -> Result<()> {
    let id = lease.execution_id.uuid().to_string();
    let entries = entries(lease, append.events);
    let last: Option<i64> = sqlx::query_scalar(
        "UPDATE wf_executions SET event_seq = event_seq + ?3, progress = coalesce(?4, progress), pins = coalesce(?5, pins),
           block_cpu_us = block_cpu_us + ?6, updated_at = max(?7, updated_at + 1)
         WHERE id = ?1 AND lease_token = ?2 AND status = 'running' RETURNING event_seq",
    )
    .bind(&id)
    .bind(lease.token)
    .bind(entries.len() as i64)
    .bind(append.progress.map(|progress| progress.to_string()))
    .bind(append.pins.map(|pins| pins.to_string()))
    .bind(stored(append.block_cpu_us)?)
    .bind(tx.now)
    .fetch_optional(&mut tx.conn)
    .await?;
    let last = last.ok_or(StoreError::StaleLease)?;
    records::keep(tx, &id, append.records).await?;
    events::insert(tx, lease.execution_id, &entries, last).await
}

pub(super) async fn finish(tx: &mut Tx, lease: ExecutionLease, end: FinishedExecution) -> Result<()> {
    let id = lease.execution_id.uuid().to_string();
    let (status, kind) = match &end.error {
        None => ("completed", event::EXECUTION_COMPLETED),
        Some(_) => ("failed", event::EXECUTION_FAILED),
    };
    let error = end.error.as_ref();
    let ended: Option<(String, Option<String>, i64, i64, i64)> = sqlx::query_as(
        "UPDATE wf_executions SET status = ?2, output_data = ?3, block_cpu_us = block_cpu_us + ?4, progress = ?5, error_code = ?6, error_message = ?7,
           error_node_id = ?8, error_item = ?9, error_cause = ?10, completed_at = ?11, duration_ms = ?11 - started_at,
           pins = coalesce(?12, pins), updated_at = max(?11, updated_at + 1)
         WHERE id = ?1 AND lease_token = ?13 AND status = 'running' RETURNING tenant_id, workflow_id, duration_ms, inference_jobs_pending, inference_jobs_completed",
    )
    .bind(&id)
    .bind(status)
    .bind(end.outputs.to_string())
    .bind(stored(end.block_cpu_us)?)
    .bind(end.progress.to_string())
    .bind(error.map(|error| error.code.as_str()))
    .bind(error.map(|error| error.message.as_str()))
    .bind(error.and_then(|error| error.node_id.as_deref()))
    .bind(error.and_then(|error| error.item.as_deref()))
    .bind(json!(error.map_or(&[][..], |error| &error.cause)).to_string())
    .bind(tx.now)
    .bind(end.pins.map(|pins| pins.to_string()))
    .bind(lease.token)
    .fetch_optional(&mut tx.conn)
    .await?;
    let (tenant, workflow, duration_ms, open_jobs, completed_jobs) = ended.ok_or(StoreError::StaleLease)?;
    records::keep(tx, &id, end.records).await?;
    if completed_jobs > 0 {
        costs::count(tx, &json!([id]).to_string()).await?;
    }
    let mut entries = entries(lease, end.events);
    if open_jobs > 0 {
        entries.extend(ending::fail_open_jobs(tx, &id).await?);
        tx.signals.cancelled(lease.execution_id);
    }
    let mut payload = json!({ "duration_ms": duration_ms });
    if let Some(error) = error {
        payload["code"] = json!(error.code);
        payload["message"] = json!(error.message.chars().take(1000).collect::<String>());
        payload["node_id"] = json!(error.node_id);
    }
    entries.push(events::Entry::new(&id, kind, payload));
    blobs::hold_outputs(tx, parse(&tenant)?, lease.execution_id, &end.output_blobs).await?;
    // Handed back and finished all the same: its ready row goes too.
    let last: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM wf_execution_leases WHERE execution_id = ?1;
         DELETE FROM wf_ready_executions WHERE execution_id = ?1;
         UPDATE wf_workflows SET run_count = run_count + 1, last_run_at = ?3,
           avg_duration_ms = coalesce(avg_duration_ms, ?4) + (?4 - coalesce(avg_duration_ms, ?4)) / (run_count + 1) WHERE id = ?2;
         UPDATE wf_executions SET event_seq = event_seq + ?5, updated_at = max(?3, updated_at) WHERE id = ?1 RETURNING event_seq",
    )
    .bind(&id)
    .bind(&workflow)
    .bind(tx.now)
    .bind(duration_ms)
    .bind(entries.len() as i64)
    .fetch_all(&mut tx.conn)
    .await?;
    events::insert(tx, lease.execution_id, &entries, *last.last().ok_or(StoreError::StaleLease)?).await
}

pub(super) async fn leases_of(db: &SqlitePool, engine: WorkerId) -> Result<Vec<ExecutionLease>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT execution_id, lease_token FROM wf_execution_leases WHERE engine_id = ?1")
            .bind(engine.uuid().to_string())
            .fetch_all(db)
            .await?;
    Ok(rows
        .iter()
        .filter_map(|(id, token)| Some(ExecutionLease { execution_id: parse(id).ok()?, token: *token }))
        .collect())
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
