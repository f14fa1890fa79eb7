//! `wf_blobs`, `wf_blob_refs`.

use serde_json::json;
use sightflow_types::{Digest, ExecutionId, TenantId, Timestamp};
use sqlx::SqliteExecutor;

use super::row::{number, number_some, parse, stored, time};
use super::writer::Tx;
use crate::blob::{Blob, BlobRef, NewBlob, RefKind, SECOND_LOOK_MS};
use crate::error::{Result, StoreError};

#[derive(sqlx::FromRow)]
struct Row {
    digest: String,
    size: i64,
    media_type: String,
    width: Option<i64>,
    height: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
}

impl TryFrom<Row> for Blob {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            digest: parse(&row.digest)?,
            size: number(row.size)?,
            media_type: row.media_type,
            width: number_some(row.width)?,
            height: number_some(row.height)?,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: time(row.expires_at),
        })
    }
}

pub(super) async fn record(tx: &mut Tx, blob: NewBlob, reference: BlobRef) -> Result<Blob> {
    let state: String = sqlx::query_scalar(
        "INSERT INTO wf_blobs (digest, size, media_type, width, height, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (digest) DO UPDATE SET size = size RETURNING state",
    )
    .bind(blob.digest.to_string())
    .bind(stored(blob.size)?)
    .bind(&blob.media_type)
    .bind(blob.width)
    .bind(blob.height)
    .bind(tx.now)
    .fetch_one(&mut tx.conn)
    .await?;
    if state != "ready" {
        return Err(StoreError::BlobBusy(blob.digest));
    }
    add_refs(tx, &[blob.digest], reference).await?;
    get(&mut tx.conn, reference.tenant_id, &blob.digest).await
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, digest: &Digest) -> Result<Blob> {
    sqlx::query_as::<_, Row>(
        "SELECT b.*, (SELECT u.expires_at FROM wf_blob_refs u WHERE u.digest = b.digest AND u.tenant_id = ?2 AND u.kind = 'upload') AS expires_at
         FROM wf_blobs b WHERE b.digest = ?1 AND b.state = 'ready'
           AND EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest AND r.tenant_id = ?2)",
    )
    .bind(digest.to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("blob"))?
    .try_into()
}

pub(super) async fn add_refs(tx: &mut Tx, digests: &[Digest], reference: BlobRef) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let list = json!(digests).to_string();
    let missing: Option<String> = sqlx::query_scalar(
        "SELECT i.value FROM json_each(?1) i WHERE NOT EXISTS (SELECT 1 FROM wf_blobs b WHERE b.digest = i.value AND b.state = 'ready') LIMIT 1",
    )
    .bind(&list)
    .fetch_optional(&mut tx.conn)
    .await?;
    if let Some(digest) = missing {
        return Err(StoreError::MissingBlob(parse(&digest)?));
    }
    sqlx::query(
        "INSERT INTO wf_blob_refs (digest, tenant_id, kind, ref_id, expires_at) SELECT value, ?2, ?3, ?4, ?5 FROM json_each(?1) WHERE true
         ON CONFLICT (digest, tenant_id, kind, ref_id) DO UPDATE SET
           expires_at = CASE WHEN expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL ELSE max(expires_at, excluded.expires_at) END",
    )
    .bind(&list)
    .bind(reference.tenant_id.uuid().to_string())
    .bind(reference.kind.as_str())
    .bind(reference.ref_id.to_string())
    .bind(reference.expires_at.map(Timestamp::millis))
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// References of a new execution to its inputs; the tenant must be able to read each of them already.
pub(super) async fn hold_inputs(
    tx: &mut Tx,
    tenant: TenantId,
    execution: ExecutionId,
    digests: &[Digest],
) -> Result<()> {
    let unreadable: Option<String> = sqlx::query_scalar(
        "SELECT i.value FROM json_each(?1) i
         WHERE NOT EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = i.value AND r.tenant_id = ?2) LIMIT 1",
    )
    .bind(json!(digests).to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    if let Some(digest) = unreadable {
        return Err(StoreError::MissingBlob(parse(&digest)?));
    }
    add_refs(tx, digests, reference(tenant, RefKind::Input, execution)).await
}

/// References of an ended execution to its outputs.
pub(super) async fn hold_outputs(
    tx: &mut Tx,
    tenant: TenantId,
    execution: ExecutionId,
    digests: &[Digest],
) -> Result<()> {
    add_refs(tx, digests, reference(tenant, RefKind::Output, execution)).await
}

const fn reference(tenant_id: TenantId, kind: RefKind, execution: ExecutionId) -> BlobRef {
    BlobRef { tenant_id, kind, ref_id: execution.uuid(), expires_at: None }
}

pub(super) async fn drop_upload(tx: &mut Tx, tenant: TenantId, digest: &Digest) -> Result<()> {
    let kinds: Vec<String> = sqlx::query_scalar("SELECT kind FROM wf_blob_refs WHERE digest = ?1 AND tenant_id = ?2")
        .bind(digest.to_string())
        .bind(tenant.uuid().to_string())
        .fetch_all(&mut tx.conn)
        .await?;
    if kinds.iter().any(|kind| kind != RefKind::Upload.as_str()) {
        return Err(StoreError::InUse("blob"));
    }
    if kinds.is_empty() {
        return Err(StoreError::NotFound("blob"));
    }
    sqlx::query("DELETE FROM wf_blob_refs WHERE digest = ?1 AND tenant_id = ?2 AND kind = 'upload'")
        .bind(digest.to_string())
        .bind(tenant.uuid().to_string())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

pub(super) async fn mark_unreferenced(tx: &mut Tx, limit: u32) -> Result<u64> {
    sqlx::query(
        "DELETE FROM wf_blob_refs WHERE (digest, tenant_id, kind, ref_id) IN (
           SELECT digest, tenant_id, kind, ref_id FROM wf_blob_refs WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )
    .bind(tx.now)
    .bind(limit)
    .execute(&mut tx.conn)
    .await?;
    let marked = sqlx::query(
        "UPDATE wf_blobs SET state = 'deleting', deleting_at = ?1 WHERE digest IN (
           SELECT b.digest FROM wf_blobs b WHERE b.state = 'ready'
             AND NOT EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest) LIMIT ?2)",
    )
    .bind(tx.now)
    .bind(limit)
    .execute(&mut tx.conn)
    .await?;
    Ok(marked.rows_affected())
}

pub(super) async fn deletable(tx: &mut Tx, limit: u32) -> Result<Vec<Digest>> {
    sqlx::query(
        "UPDATE wf_blobs SET state = 'ready', deleting_at = NULL
         WHERE deleting_at <= ?1 AND EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = wf_blobs.digest)",
    )
    .bind(tx.now - SECOND_LOOK_MS)
    .execute(&mut tx.conn)
    .await?;
    let digests: Vec<String> =
        sqlx::query_scalar("SELECT digest FROM wf_blobs WHERE deleting_at <= ?1 ORDER BY deleting_at LIMIT ?2")
            .bind(tx.now - SECOND_LOOK_MS)
            .bind(limit)
            .fetch_all(&mut tx.conn)
            .await?;
    digests.iter().map(|digest| parse(digest)).collect()
}

pub(super) async fn forget(tx: &mut Tx, digest: &Digest) -> Result<()> {
    sqlx::query("DELETE FROM wf_blobs WHERE digest = ?1 AND state = 'deleting'")
        .bind(digest.to_string())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}
