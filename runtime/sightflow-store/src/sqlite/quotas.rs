//! `wf_quotas`.

use sightflow_types::TenantId;
use sqlx::SqliteExecutor;

use super::row::{number_some, parse, stored};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::quota::QuotaChanges;

pub(super) async fn get(conn: impl SqliteExecutor<'_>, tenant: TenantId) -> Result<QuotaChanges> {
    let rows: Vec<(String, Option<i64>)> = sqlx::query_as("SELECT name, value FROM wf_quotas WHERE tenant_id = ?1")
        .bind(tenant.uuid().to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|(name, value)| Ok((parse(&name)?, number_some(value)?))).collect()
}

pub(super) async fn set(tx: &mut Tx, tenant: TenantId, changes: &QuotaChanges) -> Result<()> {
    super::tenants::get(&mut tx.conn, tenant).await?;
    let id = tenant.uuid().to_string();
    sqlx::query("DELETE FROM wf_quotas WHERE tenant_id = ?1").bind(&id).execute(&mut tx.conn).await?;
    for (quota, value) in changes {
        sqlx::query("INSERT INTO wf_quotas (tenant_id, name, value) VALUES (?1, ?2, ?3)")
            .bind(&id)
            .bind(quota.as_str())
            .bind(value.map(stored).transpose()?)
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}

/// Refuses a tenant that has as many waiting executions as it may have. They are counted only where all tenants together have
/// as many.
pub(super) async fn room_to_wait(tx: &mut Tx, tenant: &str, most: u64) -> Result<()> {
    let most_stored = stored(most)?;
    let full: bool = sqlx::query_scalar(
        "SELECT (SELECT value FROM wf_counters WHERE name = 'waiting_executions') >= ?2
           AND (SELECT count(*) FROM (SELECT 1 FROM wf_executions WHERE tenant_id = ?1 AND status = 'pending' LIMIT ?2)) >= ?2",
    )
    .bind(tenant)
    .bind(most_stored)
    .fetch_one(&mut tx.conn)
    .await?;
    if full {
        return Err(StoreError::Quota(format!("{most} executions of the tenant wait, as many as may")));
    }
    Ok(())
}
