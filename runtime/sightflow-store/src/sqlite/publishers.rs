//! `wf_publishers`.

use sightflow_types::{TenantId, Timestamp};
use sqlx::SqlitePool;

use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::publisher::{MOST_PUBLISHERS, Publisher};

pub(super) async fn list(db: &SqlitePool, tenant: TenantId) -> Result<Vec<Publisher>> {
    let rows: Vec<(String, Vec<u8>, i64)> =
        sqlx::query_as("SELECT name, public_key, created_at FROM wf_publishers WHERE tenant_id = ?1 ORDER BY name")
            .bind(tenant.uuid().to_string())
            .fetch_all(db)
            .await?;
    let publisher = |(name, key, at): (String, Vec<u8>, i64)| {
        let wrong = |_| StoreError::Corrupt(format!("the key of the publisher {name} has not 32 bytes"));
        let public_key = key.as_slice().try_into().map_err(wrong)?;
        Ok(Publisher { name, public_key, created_at: Timestamp::from_millis(at) })
    };
    rows.into_iter().map(publisher).collect()
}

pub(super) async fn put(tx: &mut Tx, tenant: TenantId, name: &str, public_key: [u8; 32]) -> Result<()> {
    let written = sqlx::query(
        "INSERT INTO wf_publishers (tenant_id, name, public_key, created_at) SELECT ?1, ?2, ?3, ?4
         WHERE (SELECT count(*) FROM wf_publishers WHERE tenant_id = ?1 AND name <> ?2) < ?5
         ON CONFLICT (tenant_id, name) DO UPDATE SET public_key = excluded.public_key, created_at = excluded.created_at",
    )
    .bind(tenant.uuid().to_string())
    .bind(name)
    .bind(public_key.to_vec())
    .bind(tx.now)
    .bind(MOST_PUBLISHERS)
    .execute(&mut tx.conn)
    .await?;
    match written.rows_affected() {
        0 => Err(StoreError::Quota(format!("the tenant knows {MOST_PUBLISHERS} publishers, the most that are kept"))),
        _ => Ok(()),
    }
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM wf_publishers WHERE tenant_id = ?1 AND name = ?2")
        .bind(tenant.uuid().to_string())
        .bind(name)
        .execute(&mut tx.conn)
        .await?;
    if deleted.rows_affected() == 0 { Err(StoreError::NotFound("publisher")) } else { Ok(()) }
}
