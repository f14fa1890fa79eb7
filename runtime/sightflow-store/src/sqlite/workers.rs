//! `wf_workers`.

use serde_json::json;
use sightflow_types::{JobId, Timestamp, WorkerId};
use sqlx::{SqliteExecutor, SqlitePool};

use super::row::{columns_of, json, listed, number, number_some, parse, stored};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::job::JobLease;
use crate::worker::{Heartbeat, HeartbeatAnswer, NewWorker, Worker};

columns! {
    struct Row {
        id: String,
        role: String,
        name: String,
        version: String,
        labels: String,
        models: String,
        device: Option<String>,
        memory_total: Option<i64>,
        memory_free: Option<i64>,
        state: String,
        running_jobs: i64,
        started_at: i64,
        heartbeat_at: i64,
    }
}

impl TryFrom<Row> for Worker {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            role: parse(&row.role)?,
            name: row.name,
            version: row.version,
            labels: json(&row.labels)?,
            models: json(&row.models)?,
            device: row.device,
            memory_total: number_some(row.memory_total)?,
            memory_free: number_some(row.memory_free)?,
            state: parse(&row.state)?,
            running_jobs: number(row.running_jobs)?,
            started_at: Timestamp::from_millis(row.started_at),
            heartbeat_at: Timestamp::from_millis(row.heartbeat_at),
        })
    }
}

pub(super) async fn register(tx: &mut Tx, new: NewWorker) -> Result<Worker> {
    let inserted = sqlx::query(
        "INSERT INTO wf_workers (id, role, name, version, labels, models, device, memory_total, state, started_at, heartbeat_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'ready', ?9, ?9) ON CONFLICT DO NOTHING",
    )
    .bind(new.id.uuid().to_string())
    .bind(new.role.as_str())
    .bind(&new.name)
    .bind(&new.version)
    .bind(new.labels.to_string())
    .bind(new.models.to_string())
    .bind(&new.device)
    .bind(new.memory_total.map(stored).transpose()?)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::AlreadyExists("worker"));
    }
    get(&mut tx.conn, new.id).await
}

async fn get(db: impl SqliteExecutor<'_>, id: WorkerId) -> Result<Worker> {
    sqlx::query_as::<_, Row>("SELECT w.*, (SELECT count(*) FROM wf_job_leases l WHERE l.worker_id = w.id) AS running_jobs FROM wf_workers w WHERE w.id = ?1")
        .bind(id.uuid().to_string())
        .fetch_optional(db)
        .await?
        .ok_or(StoreError::NotFound("worker"))?
        .try_into()
}

pub(super) async fn heartbeat(tx: &mut Tx, beat: Heartbeat) -> Result<HeartbeatAnswer> {
    let alive = sqlx::query(
        "UPDATE wf_workers SET heartbeat_at = ?2, memory_free = coalesce(?3, memory_free), models = coalesce(?4, models)
         WHERE id = ?1 AND state <> 'gone'",
    )
    .bind(beat.worker_id.uuid().to_string())
    .bind(tx.now)
    .bind(beat.memory_free.map(stored).transpose()?)
    .bind(beat.models.map(|models| models.to_string()))
    .execute(&mut tx.conn)
    .await?;
    let holding: Vec<_> = beat.holding.iter().map(|job: &JobId| job.uuid().to_string()).collect();
    let lost: Vec<String> = sqlx::query_scalar(
        "SELECT i.value FROM json_each(?2) i LEFT JOIN wf_job_leases l ON l.job_id = i.value AND l.worker_id = ?1 WHERE l.job_id IS NULL",
    )
    .bind(beat.worker_id.uuid().to_string())
    .bind(json!(holding).to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    let lost = lost.iter().map(|id| parse(id)).collect::<Result<_>>()?;
    let waiting: Vec<(String, i64)> =
        sqlx::query_as("SELECT job_id, lease_token FROM wf_job_leases WHERE worker_id = ?1 AND deadline_at IS NULL")
            .bind(beat.worker_id.uuid().to_string())
            .fetch_all(&mut tx.conn)
            .await?;
    let lease = |(id, token): &(String, i64)| Ok(JobLease { job_id: parse(id)?, token: *token });
    let not_begun = waiting.iter().filter_map(|row| listed("job lease", lease(row))).collect();
    Ok(HeartbeatAnswer { alive: alive.rows_affected() > 0, lost, not_begun })
}

pub(super) async fn retire(tx: &mut Tx, id: WorkerId) -> Result<()> {
    let role: Option<String> = sqlx::query_scalar("UPDATE wf_workers SET state = 'gone' WHERE id = ?1 RETURNING role")
        .bind(id.uuid().to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    match role.as_deref() {
        None => return Err(StoreError::NotFound("worker")),
        Some("engine") => tx.signals.execution_ready(),
        Some(_) => {}
    }
    Ok(())
}

/// Nobody of a previous process is alive: it held the lock on the file.
pub(super) async fn all_gone(tx: &mut Tx) -> Result<()> {
    sqlx::query("UPDATE wf_workers SET state = 'gone' WHERE state <> 'gone'").execute(&mut tx.conn).await?;
    Ok(())
}

pub(super) async fn list(db: &SqlitePool) -> Result<Vec<Worker>> {
    let rows = sqlx::query(
        "SELECT w.*, (SELECT count(*) FROM wf_job_leases l WHERE l.worker_id = w.id) AS running_jobs FROM wf_workers w ORDER BY w.id DESC",
    )
    .fetch_all(db)
    .await?;
    let read = |row| columns_of::<Row>(row).and_then(Worker::try_from);
    Ok(rows.iter().filter_map(|row| listed("worker", read(row))).collect())
}
