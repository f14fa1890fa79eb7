//! `wf_idempotency_keys`.

use sightflow_types::TenantId;
use sqlx::SqlitePool;
use uuid::Uuid;

use super::row::parse;
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::idempotency::Idempotency;

/// How long an idempotency key is remembered.
const KEY_TTL_MS: i64 = 86_400_000;

/// What became of a key.
pub(super) enum Claim {
    /// It is new and now belongs to the resource.
    New,
    /// An earlier request with the same key made this resource.
    Taken(Uuid),
}

/// Remembers a key for `resource`, or tells which resource an earlier request with the same key made.
pub(super) async fn claim(tx: &mut Tx, tenant: TenantId, key: &Idempotency, resource: Uuid) -> Result<Claim> {
    let inserted = sqlx::query(
        "INSERT INTO wf_idempotency_keys (tenant_id, key, request_hash, resource_id, expires_at) VALUES (?1, ?2, ?3, ?4, ?6)
         ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash, resource_id = excluded.resource_id,
           expires_at = excluded.expires_at WHERE wf_idempotency_keys.expires_at <= ?5",
    )
    .bind(tenant.uuid().to_string())
    .bind(&key.key)
    .bind(&key.request_hash[..])
    .bind(resource.to_string())
    .bind(tx.now)
    .bind(tx.now + KEY_TTL_MS)
    .execute(&mut tx.conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let first: (Vec<u8>, String) =
        sqlx::query_as("SELECT request_hash, resource_id FROM wf_idempotency_keys WHERE tenant_id = ?1 AND key = ?2")
            .bind(tenant.uuid().to_string())
            .bind(&key.key)
            .fetch_one(&mut tx.conn)
            .await?;
    made_by(key, first).map(Claim::Taken)
}

/// What an earlier request with this key made, if the key is remembered.
pub(super) async fn taken(db: &SqlitePool, tenant: TenantId, key: &Idempotency, now: i64) -> Result<Option<Uuid>> {
    let first: Option<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT request_hash, resource_id FROM wf_idempotency_keys WHERE tenant_id = ?1 AND key = ?2 AND expires_at > ?3",
    )
    .bind(tenant.uuid().to_string())
    .bind(&key.key)
    .bind(now)
    .fetch_optional(db)
    .await?;
    first.map(|first| made_by(key, first)).transpose()
}

fn made_by(key: &Idempotency, (hash, resource): (Vec<u8>, String)) -> Result<Uuid> {
    if hash == key.request_hash { parse(&resource) } else { Err(StoreError::IdempotencyConflict) }
}
