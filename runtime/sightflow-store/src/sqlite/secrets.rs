//! `wf_secrets`.

use sightflow_types::{TenantId, Timestamp};
use sqlx::SqlitePool;

use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::secret::{MOST_SECRETS, SecretName};

const NO_SECRET: StoreError = StoreError::NotFound("secret");

pub(super) async fn list(db: &SqlitePool, tenant: TenantId) -> Result<Vec<SecretName>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, updated_at FROM wf_secrets WHERE tenant_id = ?1 ORDER BY name")
            .bind(tenant.uuid().to_string())
            .fetch_all(db)
            .await?;
    let named = |(name, at)| SecretName { name, updated_at: Timestamp::from_millis(at) };
    Ok(rows.into_iter().map(named).collect())
}

pub(super) async fn get(db: &SqlitePool, tenant: TenantId, name: &str) -> Result<Vec<u8>> {
    sqlx::query_scalar("SELECT ciphertext FROM wf_secrets WHERE tenant_id = ?1 AND name = ?2")
        .bind(tenant.uuid().to_string())
        .bind(name)
        .fetch_optional(db)
        .await?
        .ok_or(NO_SECRET)
}

pub(super) async fn put(tx: &mut Tx, tenant: TenantId, name: &str, ciphertext: &[u8]) -> Result<()> {
    let written = sqlx::query(
        "INSERT INTO wf_secrets (tenant_id, name, ciphertext, updated_at) SELECT ?1, ?2, ?3, ?4
         WHERE (SELECT count(*) FROM wf_secrets WHERE tenant_id = ?1 AND name <> ?2) < ?5
         ON CONFLICT (tenant_id, name) DO UPDATE SET ciphertext = excluded.ciphertext, updated_at = excluded.updated_at",
    )
    .bind(tenant.uuid().to_string())
    .bind(name)
    .bind(ciphertext)
    .bind(tx.now)
    .bind(MOST_SECRETS)
    .execute(&mut tx.conn)
    .await?;
    match written.rows_affected() {
        0 => Err(StoreError::Quota(format!("the tenant has {MOST_SECRETS} secrets, the most that are kept"))),
        _ => Ok(()),
    }
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM wf_secrets WHERE tenant_id = ?1 AND name = ?2")
        .bind(tenant.uuid().to_string())
        .bind(name)
        .execute(&mut tx.conn)
        .await?;
    if deleted.rows_affected() == 0 { Err(NO_SECRET) } else { Ok(()) }
}
