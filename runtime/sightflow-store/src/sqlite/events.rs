//! `wf_execution_events`: dense numbers, whoever writes.

use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use sightflow_types::{ExecutionId, JobId, TenantId, Timestamp, event};
use sqlx::SqlitePool;

use super::row::{json, parse};
use super::writer::Tx;
use crate::error::Result;
use crate::execution::{EVENT_PAGE_BYTES, Event};
use crate::signal::EndedJob;

/// An event on its way into the database.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(rename = "e")]
    execution: String,
    #[serde(rename = "k")]
    kind: String,
    #[serde(rename = "p")]
    payload: Value,
    /// The job that ended with it.
    #[serde(skip)]
    ended: Option<EndedJob>,
}

impl Entry {
    pub(super) fn new(execution: &str, kind: &str, payload: Value) -> Self {
        Self { execution: execution.to_owned(), kind: kind.to_owned(), payload, ended: None }
    }
}

/// The job that an event is about.
pub(super) struct Subject<'a> {
    pub(super) execution: ExecutionId,
    pub(super) job: JobId,
    pub(super) node: &'a str,
    pub(super) item: &'a str,
}

impl<'a> Subject<'a> {
    /// From the columns `execution_id`, `id`, `node_id` and `item_path`.
    pub(super) fn of(execution: &str, job: &str, node: &'a str, item: &'a str) -> Result<Self> {
        Ok(Self { execution: parse(execution)?, job: parse(job)?, node, item })
    }

    /// An event; `extra` adds to the usual fields.
    pub(super) fn event(&self, kind: &str, extra: Value) -> Entry {
        let item = if self.item.is_empty() { Value::Null } else { Value::from(self.item) };
        let mut payload = json!({ "job_id": self.job, "node_id": self.node, "item": item });
        if let (Some(payload), Value::Object(extra)) = (payload.as_object_mut(), extra) {
            payload.extend(extra);
        }
        let ended = matches!(kind, event::JOB_COMPLETED | event::JOB_FAILED | event::JOB_CANCELLED);
        let ended = ended.then_some(EndedJob { execution_id: self.execution, job_id: self.job });
        Entry { ended, ..Entry::new(&self.execution.uuid().to_string(), kind, payload) }
    }
}

/// Records events in the given order, numbers them, and tells the executions' followers.
pub(super) async fn record(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(entries).map_err(|error| crate::StoreError::Refused(error.to_string()))?;
    sqlx::query(
        "UPDATE wf_executions SET event_seq = event_seq + c.n, updated_at = max(updated_at, ?2)
         FROM (SELECT value ->> 'e' AS id, count(*) AS n FROM json_each(?1) GROUP BY 1) c WHERE wf_executions.id = c.id",
    )
    .bind(&list)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO wf_execution_events (execution_id, seq, at, kind, payload)
         SELECT e.id, e.event_seq - count(*) OVER (PARTITION BY e.id) + row_number() OVER (PARTITION BY e.id ORDER BY i.key), ?2,
           i.value ->> 'k', i.value -> 'p'
         FROM json_each(?1) i CROSS JOIN wf_executions e WHERE e.id = i.value ->> 'e'",
    )
    .bind(&list)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    for entry in entries {
        // Nobody can follow an execution whose id cannot be read.
        if let Ok(execution) = parse(&entry.execution) {
            tx.signals.news(execution);
        }
        if let Some(job) = entry.ended {
            tx.signals.job_ended(job);
        }
    }
    Ok(())
}

/// Inserts events of one execution whose number has been raised to `last` for them already.
pub(super) async fn insert(tx: &mut Tx, execution: ExecutionId, entries: &[Entry], last: i64) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let first = last - entries.len() as i64 + 1;
    sqlx::query(
        "INSERT INTO wf_execution_events (execution_id, seq, at, kind, payload)
         SELECT ?1, ?2 + i.key, ?3, i.value ->> 'k', i.value -> 'p' FROM json_each(?4) i",
    )
    .bind(execution.uuid().to_string())
    .bind(first)
    .bind(tx.now)
    .bind(serde_json::to_string(entries).map_err(|error| crate::StoreError::Refused(error.to_string()))?)
    .execute(&mut tx.conn)
    .await?;
    tx.signals.news(execution);
    Ok(())
}

pub(super) async fn after(
    db: &SqlitePool,
    tenant: TenantId,
    id: ExecutionId,
    seq: i64,
    limit: u32,
) -> Result<Vec<Event>> {
    let found: Option<i64> = sqlx::query_scalar("SELECT event_seq FROM wf_executions WHERE id = ?1 AND tenant_id = ?2")
        .bind(id.uuid().to_string())
        .bind(tenant.uuid().to_string())
        .fetch_optional(db)
        .await?;
    if found.is_none() {
        return Err(crate::StoreError::NotFound("execution"));
    }
    let mut rows = sqlx::query_as::<_, (i64, i64, String, String)>(
        "SELECT seq, at, kind, payload FROM wf_execution_events WHERE execution_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )
    .bind(id.uuid().to_string())
    .bind(seq)
    .bind(limit.clamp(1, 1000))
    .fetch(db);
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < EVENT_PAGE_BYTES
        && let Some((seq, at, kind, payload)) = rows.try_next().await?
    {
        bytes += payload.len();
        events.push(Event { seq, at: Timestamp::from_millis(at), kind, payload: json(&payload)? });
    }
    Ok(events)
}
