//! Opening the file: its schema, and what an earlier process left in it.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Row, SqlSafeStr, SqliteConnection};

use super::private::private;
use super::row::json;
use super::writer::Tx;
use super::{models, workers, workflows};
use crate::blob::UPLOAD_TTL_MS;
use crate::digest::definition_digest;
use crate::error::{Result, StoreError};
use crate::job::MODEL_WAIT_MS;

/// A file of `migrations/sqlite`.
macro_rules! migration {
    ($file:literal) => {
        ($file, include_str!(concat!("../../../../migrations/sqlite/", $file)))
    };
}

/// Every migration, in order. Append only: each is applied once, and remembered with its checksum.
const MIGRATIONS: &[(&str, &str)] = &[
    migration!("0001_first_schema.sql"),
    migration!("0002_recovery_and_retention.sql"),
    migration!("0003_definitions_apart.sql"),
    migration!("0004_records_apart.sql"),
    migration!("0005_block_packages.sql"),
    migration!("0006_tenants.sql"),
    migration!("0007_grants_secrets_effects.sql"),
    migration!("0008_quotas.sql"),
    migration!("0009_usage.sql"),
    migration!("0010_publishers.sql"),
];

/// The number before the first `_` of a file's name is the version.
fn migrator() -> Result<Migrator> {
    let migrations = MIGRATIONS.iter().map(|(file, sql)| {
        let (version, description) = file.trim_end_matches(".sql").split_once('_').unwrap_or((file, ""));
        let version = version.parse().map_err(|_| StoreError::Schema(format!("{file} has no version")))?;
        let description = description.replace('_', " ").into();
        Ok(Migration::new(version, description, MigrationType::Simple, sql.into_sql_str(), false))
    });
    Ok(Migrator::with_migrations(migrations.collect::<Result<_>>()?))
}

/// Makes the file if there is none, readable for its owner alone; what SQLite puts beside it gets the same mode.
pub(super) fn create(path: &Path) -> Result<()> {
    private().append(true).create(true).open(path).map(drop).map_err(StoreError::unavailable)
}

pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    // `run` on a connection makes a future that is not Send; this is what it calls.
    migrator()?.run_direct(None, conn, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => {
            StoreError::Schema(format!("migration {version} is not known here; it was made by a newer program"))
        }
        MigrateError::VersionMismatch(version) => {
            StoreError::Schema(format!("migration {version} was changed after it had been applied"))
        }
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Schema(other.to_string()),
    })
}

/// The newest time that an earlier process stored.
pub(super) async fn newest_time(conn: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT max(coalesce((SELECT max(heartbeat_at) FROM wf_workers), 0), coalesce((SELECT max(created_at) FROM wf_executions), 0))",
    )
    .fetch_one(conn)
    .await?)
}

/// Brings what an earlier process left into order.
pub(super) async fn mend(tx: &mut Tx) -> Result<()> {
    // Nobody of that process is alive: it held the lock on the file.
    workers::all_gone(tx).await?;
    fill_search(tx).await?;
    fill_digests(tx).await?;
    // What waits for a time that only a wrong clock can have set waits no longer than it ever may.
    sqlx::query(
        "UPDATE wf_timers SET due_at = ?1 WHERE due_at > ?1 + ?2;
         UPDATE wf_inference_jobs SET run_at = ?1, updated_at = max(?1, updated_at + 1)
         WHERE status = 'pending' AND run_at > ?1 + ?2 AND id IN (SELECT ref_id FROM wf_timers WHERE kind = 'job');
         UPDATE wf_models SET blocked_until = NULL, updated_at = max(?1, updated_at + 1) WHERE blocked_until > ?1 + ?2;
         UPDATE wf_executions SET deadline_at = ?1 + timeout_seconds * 1000, updated_at = max(?1, updated_at + 1)
         WHERE status IN ('pending','running') AND deadline_at > ?1 + timeout_seconds * 1000;
         UPDATE wf_blob_refs SET expires_at = ?1 + ?3 WHERE expires_at > ?1 + ?3;
         UPDATE wf_idempotency_keys SET expires_at = ?1 + ?3 WHERE expires_at > ?1 + ?3;
         UPDATE wf_blobs SET unreferenced_at = ?1 WHERE unreferenced_at > ?1;
         UPDATE wf_deleted_blobs SET deleted_at = ?1 WHERE deleted_at > ?1",
    )
    .bind(tx.now)
    .bind(MODEL_WAIT_MS)
    .bind(UPLOAD_TTL_MS)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Definitions of runs that were accepted before they had a digest. One that cannot be read gets none: its run fails.
async fn fill_digests(tx: &mut Tx) -> Result<()> {
    let undigested = sqlx::query(
        "SELECT id, definition FROM wf_executions
         WHERE status IN ('pending','running') AND definition IS NOT NULL AND definition_digest IS NULL",
    )
    .fetch_all(&mut tx.conn)
    .await?;
    for row in undigested {
        let (Ok(id), Ok(text)) = (row.try_get::<String, _>("id"), row.try_get::<String, _>("definition")) else {
            continue;
        };
        let Ok(definition) = json(&text) else { continue };
        sqlx::query("UPDATE wf_executions SET definition_digest = ?2 WHERE id = ?1")
            .bind(id)
            .bind(definition_digest(&definition).to_string())
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}

/// Rows of before searches were folded.
async fn fill_search(tx: &mut Tx) -> Result<()> {
    let workflows: Vec<(String, String, Option<String>)> =
        sqlx::query_as("SELECT id, name, description FROM wf_workflows WHERE search IS NULL")
            .fetch_all(&mut tx.conn)
            .await?;
    for (id, name, description) in workflows {
        sqlx::query("UPDATE wf_workflows SET search = ?2 WHERE id = ?1")
            .bind(id)
            .bind(workflows::searched(&name, description.as_deref()))
            .execute(&mut tx.conn)
            .await?;
    }
    let models: Vec<(String, String, String)> =
        sqlx::query_as("SELECT tenant_id, id, name FROM wf_models WHERE search IS NULL")
            .fetch_all(&mut tx.conn)
            .await?;
    for (tenant, id, name) in models {
        sqlx::query("UPDATE wf_models SET search = ?3 WHERE tenant_id = ?1 AND id = ?2")
            .bind(tenant)
            .bind(&id)
            .bind(models::searched(&id, &name))
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
        let entries = std::fs::read_dir(folder).expect("migrations");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("entry").file_name()).collect();
        files.sort();
        assert_eq!(files, MIGRATIONS.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    }
}
