//! `wf_blobs`, `wf_blob_refs`.
//!
//! Whoever stores bytes and then records them may race the collector: it found old bytes, they are deleted, it records them.
//! Hence the deletion of bytes is remembered for a while, and bytes that were stored before it are refused.

use serde_json::json;
use sightflow_types::{Digest, ExecutionId, TenantId, Timestamp};
use sqlx::SqliteExecutor;

use super::row::{list, number, number_some, parse, stored, time};
use super::writer::Tx;
use crate::blob::{Blob, BlobRef, NewBlob, RefKind, SECOND_LOOK_MS};
use crate::error::{Result, StoreError};

columns! {
    struct Row {
        digest: String,
        size: i64,
        media_type: String,
        width: Option<i64>,
        height: Option<i64>,
        created_at: i64,
        expires_at: Option<i64>,
    }
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

pub(super) async fn record_one(tx: &mut Tx, blob: NewBlob, reference: BlobRef) -> Result<Blob> {
    let digest = blob.digest;
    record(tx, &[blob]).await?;
    add_refs(tx, &[digest], reference).await?;
    get(&mut tx.conn, reference.tenant_id, &digest).await
}

/// Records stored bytes. References must follow in the same transaction.
pub(super) async fn record(tx: &mut Tx, blobs: &[NewBlob]) -> Result<()> {
    if blobs.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(blobs.len());
    for blob in blobs {
        rows.push(json!({
            "digest": blob.digest, "size": stored(blob.size)?, "type": blob.media_type, "width": blob.width, "height": blob.height,
            "stored": blob.stored_at.millis(),
        }));
    }
    let recorded: Vec<String> = sqlx::query_scalar(
        "INSERT INTO wf_blobs (digest, size, media_type, width, height, created_at)
         SELECT value ->> 'digest', value ->> 'size', value ->> 'type', value ->> 'width', value ->> 'height', ?2 FROM json_each(?1)
         WHERE NOT EXISTS (SELECT 1 FROM wf_deleted_blobs d WHERE d.digest = value ->> 'digest' AND d.deleted_at >= value ->> 'stored')
         ON CONFLICT (digest) DO UPDATE SET unreferenced_at = NULL WHERE state = 'ready' RETURNING digest",
    )
    .bind(json!(rows).to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    let refused = blobs.iter().find(|blob| !recorded.contains(&blob.digest.to_string()));
    refused.map_or(Ok(()), |blob| Err(StoreError::BlobBusy(blob.digest)))
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
    let every = list(digests);
    refer(tx, digests, reference, &every).await
}

/// References of a new execution to its inputs; the tenant must be able to read each of them already, or have just stored it.
pub(super) async fn hold_inputs(
    tx: &mut Tx,
    tenant: TenantId,
    execution: ExecutionId,
    digests: &[Digest],
    new: &[NewBlob],
) -> Result<()> {
    let mut every: Vec<Digest> = digests.iter().copied().chain(new.iter().map(|blob| blob.digest)).collect();
    every.sort_unstable();
    every.dedup();
    let readable = list(new.iter().map(|blob| &blob.digest));
    refer(tx, &every, reference(tenant, RefKind::Input, execution), &readable).await
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

/// Adds a reference to each blob that is stored and that is in `readable` or readable for the tenant; all or nothing.
async fn refer(tx: &mut Tx, digests: &[Digest], reference: BlobRef, readable: &str) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let held: Vec<String> = sqlx::query_scalar(
        "UPDATE wf_blobs SET unreferenced_at = NULL WHERE unreferenced_at IS NOT NULL AND state = 'ready' AND digest IN (SELECT value FROM json_each(?1));
         INSERT INTO wf_blob_refs (digest, tenant_id, kind, ref_id, expires_at)
         SELECT b.digest, ?2, ?3, ?4, ?5 FROM json_each(?1) i CROSS JOIN wf_blobs b WHERE b.digest = i.value AND b.state = 'ready'
           AND (b.digest IN (SELECT value FROM json_each(?6)) OR EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest AND r.tenant_id = ?2))
         ON CONFLICT (digest, tenant_id, kind, ref_id) DO UPDATE SET
           expires_at = CASE WHEN expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL ELSE max(expires_at, excluded.expires_at) END
         RETURNING digest",
    )
    .bind(list(digests))
    .bind(reference.tenant_id.uuid().to_string())
    .bind(reference.kind.as_str())
    .bind(reference.ref_id.to_string())
    .bind(reference.expires_at.map(Timestamp::millis))
    .bind(readable)
    .fetch_all(&mut tx.conn)
    .await?;
    let missing = digests.iter().find(|digest| !held.contains(&digest.to_string()));
    missing.map_or(Ok(()), |digest| Err(StoreError::MissingBlob(*digest)))
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
    note_unreferenced(tx, &[digest.to_string()]).await
}

/// Drops the tenant's reference to weights that none of its models is made of.
pub(super) async fn drop_weights(tx: &mut Tx, tenant: TenantId, digest: &str) -> Result<()> {
    let dropped: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_blob_refs WHERE digest = ?1 AND tenant_id = ?2 AND kind = 'model'
           AND NOT EXISTS (SELECT 1 FROM wf_models m WHERE m.tenant_id = ?2 AND m.digest = ?1) RETURNING digest",
    )
    .bind(digest)
    .bind(tenant.uuid().to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    note_unreferenced(tx, &dropped).await
}

/// Drops a package's reference to a component that none of its versions needs any more.
pub(super) async fn drop_component(tx: &mut Tx, tenant: &str, package: &str, digest: &str) -> Result<()> {
    let dropped: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_blob_refs WHERE digest = ?1 AND tenant_id = ?2 AND kind = 'block' AND ref_id = ?3
           AND NOT EXISTS (SELECT 1 FROM wf_block_versions v WHERE v.package_id = ?3 AND v.digest = ?1 AND v.released = 0) RETURNING digest",
    )
    .bind(digest)
    .bind(tenant)
    .bind(package)
    .fetch_all(&mut tx.conn)
    .await?;
    note_unreferenced(tx, &dropped).await
}

/// Drops the references of executions.
pub(super) async fn drop_execution_refs(tx: &mut Tx, executions: &str) -> Result<()> {
    let digests: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_blob_refs WHERE kind IN ('input', 'output') AND ref_id IN (SELECT value FROM json_each(?1)) RETURNING digest",
    )
    .bind(executions)
    .fetch_all(&mut tx.conn)
    .await?;
    note_unreferenced(tx, &digests).await
}

/// Drops references of a tenant; how many.
pub(super) async fn drop_tenant_refs(tx: &mut Tx, tenant: &str, limit: u32) -> Result<u64> {
    let digests: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_blob_refs WHERE (digest, tenant_id, kind, ref_id) IN (
           SELECT digest, tenant_id, kind, ref_id FROM wf_blob_refs WHERE tenant_id = ?1 LIMIT ?2) RETURNING digest",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    note_unreferenced(tx, &digests).await?;
    Ok(digests.len() as u64)
}

/// Drops references that ran out; how many.
pub(super) async fn drop_expired_refs(tx: &mut Tx, limit: u32) -> Result<u64> {
    let digests: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_blob_refs WHERE (digest, tenant_id, kind, ref_id) IN (
           SELECT digest, tenant_id, kind, ref_id FROM wf_blob_refs WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2) RETURNING digest",
    )
    .bind(tx.now)
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    note_unreferenced(tx, &digests).await?;
    Ok(digests.len() as u64)
}

/// First look: from now on these blobs have no reference, if that is so.
async fn note_unreferenced(tx: &mut Tx, digests: &[String]) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE wf_blobs SET unreferenced_at = ?2 WHERE digest IN (SELECT value FROM json_each(?1)) AND unreferenced_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = wf_blobs.digest)",
    )
    .bind(json!(digests).to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Whether the second look would find anything; without the writer.
pub(super) async fn anything_to_condemn(db: impl SqliteExecutor<'_>, now: i64) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wf_blobs WHERE unreferenced_at <= ?1) OR EXISTS (SELECT 1 FROM wf_blobs WHERE deleting_at IS NOT NULL)",
    )
    .bind(now - SECOND_LOOK_MS)
    .fetch_one(db)
    .await?)
}

/// Second look: nobody can refer to these from now on.
pub(super) async fn condemn(tx: &mut Tx, limit: u32) -> Result<Vec<Digest>> {
    sqlx::query(
        "UPDATE wf_blobs SET state = 'deleting', deleting_at = ?1, unreferenced_at = NULL WHERE digest IN (
           SELECT b.digest FROM wf_blobs b WHERE b.unreferenced_at <= ?2 AND b.state = 'ready'
             AND NOT EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = b.digest) ORDER BY b.unreferenced_at LIMIT ?3)",
    )
    .bind(tx.now)
    .bind(tx.now - SECOND_LOOK_MS)
    .bind(limit)
    .execute(&mut tx.conn)
    .await?;
    let digests: Vec<String> =
        sqlx::query_scalar("SELECT digest FROM wf_blobs WHERE deleting_at IS NOT NULL ORDER BY deleting_at LIMIT ?1")
            .bind(limit)
            .fetch_all(&mut tx.conn)
            .await?;
    digests.iter().map(|digest| parse(digest)).collect()
}

/// Bytes without a row get one, so that nobody can refer to them while they are deleted.
pub(super) async fn condemn_unknown(tx: &mut Tx, digests: &[Digest]) -> Result<Vec<Digest>> {
    let unknown: Vec<String> = sqlx::query_scalar(
        "INSERT INTO wf_blobs (digest, size, media_type, state, deleting_at, created_at)
         SELECT value, 0, '', 'deleting', ?2, ?2 FROM json_each(?1) WHERE true ON CONFLICT (digest) DO NOTHING RETURNING digest",
    )
    .bind(list(digests))
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    unknown.iter().map(|digest| parse(digest)).collect()
}

/// Which of the digests have no row; without the writer.
pub(super) async fn unknown(db: impl SqliteExecutor<'_>, digests: &[Digest]) -> Result<Vec<Digest>> {
    let unknown: Vec<String> = sqlx::query_scalar(
        "SELECT i.value FROM json_each(?1) i WHERE NOT EXISTS (SELECT 1 FROM wf_blobs b WHERE b.digest = i.value)",
    )
    .bind(list(digests))
    .fetch_all(db)
    .await?;
    unknown.iter().map(|digest| parse(digest)).collect()
}

pub(super) async fn forget(tx: &mut Tx, digests: &[Digest]) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_deleted_blobs (digest, deleted_at) SELECT b.digest, ?2 FROM json_each(?1) i CROSS JOIN wf_blobs b
           WHERE b.digest = i.value AND b.state = 'deleting' ON CONFLICT (digest) DO UPDATE SET deleted_at = excluded.deleted_at;
         DELETE FROM wf_blobs WHERE digest IN (SELECT value FROM json_each(?1)) AND state = 'deleting'",
    )
    .bind(list(digests))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
