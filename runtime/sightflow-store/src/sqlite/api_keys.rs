//! `wf_api_keys`.

use std::collections::BTreeSet;

use sightflow_types::{KeyId, TenantId, Timestamp};
use sqlx::{SqliteExecutor, SqlitePool};

use super::row::{before, columns_of, counted, listed, parse, stored, time};
use super::writer::Tx;
use crate::api_key::{ApiKey, KeyHash, KeyOwner, NewApiKey, Scope};
use crate::error::{Result, StoreError};
use crate::page::{COUNT_CAP, Page, PageRequest};
use crate::quota::QuotaChanges;

/// A use is recorded when the recorded one is older than this.
const USE_MS: i64 = 60_000;

columns! {
    struct Row {
        id: String,
        tenant_id: String,
        name: String,
        prefix: String,
        scopes: String,
        expires_at: Option<i64>,
        last_used_at: Option<i64>,
        revoked_at: Option<i64>,
        created_at: i64,
    }
}

columns! {
    struct Owner {
        id: String,
        tenant_id: String,
        status: String,
        scopes: String,
        expires_at: Option<i64>,
        last_used_at: Option<i64>,
    }
}

fn scopes(text: &str) -> Result<BTreeSet<Scope>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

impl TryFrom<Row> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            tenant_id: parse(&row.tenant_id)?,
            name: row.name,
            prefix: row.prefix,
            scopes: scopes(&row.scopes)?,
            expires_at: time(row.expires_at),
            last_used_at: time(row.last_used_at),
            revoked_at: time(row.revoked_at),
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

impl TryFrom<Owner> for KeyOwner {
    type Error = StoreError;

    fn try_from(row: Owner) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            tenant_id: parse(&row.tenant_id)?,
            status: parse(&row.status)?,
            scopes: scopes(&row.scopes)?,
            expires_at: time(row.expires_at),
            last_used_at: time(row.last_used_at),
            quotas: QuotaChanges::new(),
        })
    }
}

pub(super) async fn create(tx: &mut Tx, new: NewApiKey) -> Result<ApiKey> {
    super::tenants::get(&mut tx.conn, new.tenant_id).await?;
    let id = KeyId::new();
    sqlx::query(
        "INSERT INTO wf_api_keys (id, tenant_id, name, prefix, key_hash, scopes, expires_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(id.uuid().to_string())
    .bind(new.tenant_id.uuid().to_string())
    .bind(&new.name)
    .bind(new.secret.prefix())
    .bind(new.secret.hash().bytes().to_vec())
    .bind(serde_json::json!(new.scopes).to_string())
    .bind(new.expires_at.map(Timestamp::millis))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    get(&mut tx.conn, id).await
}

async fn get(conn: impl SqliteExecutor<'_>, id: KeyId) -> Result<ApiKey> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM wf_api_keys WHERE id = ?1")
        .bind(id.uuid().to_string())
        .fetch_optional(conn)
        .await?;
    row.ok_or(StoreError::NotFound("key"))?.try_into()
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: Option<TenantId>,
    page: PageRequest<KeyId>,
) -> Result<Page<ApiKey, KeyId>> {
    let rows = sqlx::query(
        "SELECT * FROM wf_api_keys WHERE (?1 IS NULL OR tenant_id = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )
    .bind(tenant.map(|tenant| tenant.uuid().to_string()))
    .bind(before(page.before.map(KeyId::uuid)))
    .bind(page.rows())
    .fetch_all(readers)
    .await?;
    let read = |row| listed("key", columns_of::<Row>(&row).and_then(ApiKey::try_from));
    Ok(Page::cut(rows, page.rows(), read, |key| key.id))
}

pub(super) async fn revoke(tx: &mut Tx, id: KeyId) -> Result<()> {
    let revoked = sqlx::query("UPDATE wf_api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")
        .bind(id.uuid().to_string())
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    if revoked.rows_affected() == 0 { Err(StoreError::NotFound("key")) } else { Ok(()) }
}

pub(super) async fn owner(readers: &SqlitePool, hash: KeyHash, now: i64) -> Result<KeyOwner> {
    let row: Option<Owner> = sqlx::query_as(
        "SELECT k.id, k.tenant_id, t.status, k.scopes, k.expires_at, k.last_used_at
         FROM wf_api_keys k JOIN wf_tenants t ON t.id = k.tenant_id
         WHERE k.key_hash = ?1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2)",
    )
    .bind(hash.bytes().to_vec())
    .bind(now)
    .fetch_optional(readers)
    .await?;
    let owner: KeyOwner = row.ok_or(StoreError::NotFound("key"))?.try_into()?;
    Ok(KeyOwner { quotas: super::quotas::get(readers, owner.tenant_id).await?, ..owner })
}

pub(super) async fn used(tx: &mut Tx, id: KeyId) -> Result<()> {
    sqlx::query("UPDATE wf_api_keys SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, 0) <= ?2 - ?3")
        .bind(id.uuid().to_string())
        .bind(tx.now)
        .bind(USE_MS)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

pub(super) async fn count(readers: &SqlitePool) -> Result<u64> {
    let row = sqlx::query("SELECT count(*) FROM (SELECT 1 FROM wf_api_keys LIMIT ?1)")
        .bind(stored(COUNT_CAP)?)
        .fetch_one(readers)
        .await?;
    counted(&row)
}
