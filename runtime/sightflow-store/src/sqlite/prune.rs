//! What is past its time.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::SqlitePool;

use super::writer::Tx;
use super::{blobs, block_packages, ending};
use crate::blob::DELETION_KNOWN_MS;
use crate::error::Result;
use crate::retention::{Pruned, Retention};

/// Versions beyond the newest of their workflow that no execution runs; found without the writer.
pub(super) struct OldVersions {
    /// `[workflow, version]`.
    versions: Vec<(String, i64)>,
    /// Executions accepted later were not looked at.
    newest_execution: String,
}

pub(super) async fn old_versions(db: &SqlitePool, kept: u32, limit: u32) -> Result<OldVersions> {
    let newest_execution: String =
        sqlx::query_scalar("SELECT coalesce(max(id), '') FROM wf_executions").fetch_one(db).await?;
    let versions = sqlx::query_as(
        "SELECT v.workflow_id, v.version FROM wf_workflows w CROSS JOIN wf_workflow_versions v
         WHERE w.current_version > ?1 AND v.workflow_id = w.id AND v.version <= w.current_version - ?1
           AND v.version NOT IN (SELECT e.workflow_version FROM wf_executions e WHERE e.workflow_id = w.id) LIMIT ?2",
    )
    .bind(kept.max(1))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(OldVersions { versions, newest_execution })
}

/// How long ago, in a form to subtract from the time.
fn ago(now: i64, kept: Duration) -> i64 {
    now.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX))
}

pub(super) async fn prune(tx: &mut Tx, retention: Retention, old: Option<OldVersions>, limit: u32) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    if let Some(kept) = retention.executions {
        // What ended before then was accepted before then: the index by acceptance finds it.
        let ended: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM wf_executions WHERE created_at <= ?1 AND completed_at <= ?1 ORDER BY created_at LIMIT ?2",
        )
        .bind(ago(tx.now, kept))
        .bind(limit)
        .fetch_all(&mut tx.conn)
        .await?;
        ending::delete_all(tx, &ended).await?;
        pruned.executions = ended.len() as u64;
    }
    pruned.uploads = blobs::drop_expired_refs(tx, limit).await?;
    pruned.keys = delete(
        tx,
        "DELETE FROM wf_idempotency_keys WHERE (tenant_id, key) IN (
           SELECT tenant_id, key FROM wf_idempotency_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        tx.now,
        limit,
    )
    .await?;
    let forgotten = delete(
        tx,
        "DELETE FROM wf_deleted_blobs WHERE digest IN (
           SELECT digest FROM wf_deleted_blobs WHERE deleted_at <= ?1 ORDER BY deleted_at LIMIT ?2)",
        tx.now - DELETION_KNOWN_MS,
        limit,
    )
    .await?;
    if let Some(kept) = retention.workers {
        pruned.workers = delete(
            tx,
            "DELETE FROM wf_workers WHERE id IN (SELECT w.id FROM wf_workers w WHERE w.state = 'gone' AND w.heartbeat_at <= ?1
               AND NOT EXISTS (SELECT 1 FROM wf_execution_leases l WHERE l.engine_id = w.id)
               AND NOT EXISTS (SELECT 1 FROM wf_job_leases l WHERE l.worker_id = w.id) LIMIT ?2)",
            ago(tx.now, kept),
            limit,
        )
        .await?;
    }
    if let Some(old) = old.filter(|old| !old.versions.is_empty()) {
        pruned.versions = delete_versions(tx, old).await?;
    }
    pruned.components = block_packages::release(tx, limit).await?;
    let most =
        [pruned.executions, pruned.uploads, pruned.keys, pruned.workers, pruned.versions, pruned.components, forgotten];
    pruned.more = most.into_iter().any(|count| count >= u64::from(limit));
    Ok(pruned)
}

async fn delete(tx: &mut Tx, statement: &'static str, before: i64, limit: u32) -> Result<u64> {
    Ok(sqlx::query(statement).bind(before).bind(limit).execute(&mut tx.conn).await?.rows_affected())
}

/// Deletes what nobody has started to run since it was found.
async fn delete_versions(tx: &mut Tx, old: OldVersions) -> Result<u64> {
    let list = Value::from_iter(old.versions.iter().map(|(workflow, version)| json!([workflow, version])));
    let deleted = sqlx::query(
        "DELETE FROM wf_workflow_versions WHERE (workflow_id, version) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))
           AND NOT EXISTS (SELECT 1 FROM wf_executions e WHERE e.id > ?2 AND e.workflow_id = wf_workflow_versions.workflow_id
             AND e.workflow_version = wf_workflow_versions.version)",
    )
    .bind(list.to_string())
    .bind(old.newest_execution)
    .execute(&mut tx.conn)
    .await?;
    Ok(deleted.rows_affected())
}
