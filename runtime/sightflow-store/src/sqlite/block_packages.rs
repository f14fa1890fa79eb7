//! `wf_block_packages`, `wf_block_versions`.

use sightflow_types::{Digest, PackageId, TenantId, Timestamp, fold};
use sqlx::{SqliteExecutor, SqlitePool};

use super::blobs;
use super::row::{document, json, number, parse, stored, to_document};
use super::writer::Tx;
use crate::blob::{BlobRef, RefKind};
use crate::block_package::{
    Activation, BlockPackage, BlockVersion, BlockVersionState, NamedVersion, NewBlockVersion, PackageChanges,
    PackageGrants, PackageKey, PackageQuota, PublishedVersion, Quarantined,
};
use crate::error::{Result, StoreError};

const NO_PACKAGE: StoreError = StoreError::NotFound("block package");
const NO_VERSION: StoreError = StoreError::NotFound("version of the block package");

columns! {
    struct PackageRow {
        id: String,
        tenant_id: String,
        name: String,
        active_version: Option<String>,
        previous_version: Option<String>,
        grants: String,
        created_at: i64,
        updated_at: i64,
    }
}

impl TryFrom<PackageRow> for BlockPackage {
    type Error = StoreError;

    fn try_from(row: PackageRow) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            tenant_id: parse(&row.tenant_id)?,
            name: row.name,
            active_version: row.active_version,
            previous_version: row.previous_version,
            grants: document(&row.grants)?,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

columns! {
    struct VersionRow {
        package_id: String,
        package: String,
        version: String,
        digest: String,
        size: i64,
        manifests: String,
        wit_version: String,
        signed_by: Option<String>,
        state: String,
        reason: Option<String>,
        active: bool,
        grants: String,
        created_at: i64,
    }
}

impl TryFrom<VersionRow> for NamedVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self> {
        let grants = document(&row.grants)?;
        let version = BlockVersion {
            package_id: parse(&row.package_id)?,
            package: row.package,
            version: row.version,
            digest: parse(&row.digest)?,
            size: number(row.size)?,
            manifests: json(&row.manifests)?,
            wit_version: row.wit_version,
            signed_by: row.signed_by,
            state: parse(&row.state)?,
            reason: row.reason,
            created_at: Timestamp::from_millis(row.created_at),
        };
        Ok(Self { version, active: row.active, grants })
    }
}

impl TryFrom<VersionRow> for BlockVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self> {
        NamedVersion::try_from(row).map(|named| named.version)
    }
}

/// Versions with the names of their packages; a condition follows.
macro_rules! versions {
    ($condition:literal) => {
        concat!(
            "SELECT v.*, p.name AS package, p.active_version IS v.version AS active, p.grants AS grants FROM wf_block_packages p
             JOIN wf_block_versions v ON v.package_id = p.id WHERE ",
            $condition
        )
    };
}

pub(super) async fn package(db: impl SqliteExecutor<'_>, tenant: TenantId, key: &PackageKey) -> Result<BlockPackage> {
    let (id, name) = match key {
        PackageKey::Id(id) => (Some(id.uuid().to_string()), None),
        PackageKey::Name(name) => (None, Some(fold(name))),
    };
    sqlx::query_as::<_, PackageRow>(
        "SELECT * FROM wf_block_packages WHERE tenant_id = ?1 AND (id = ?2 OR folded = ?3) AND deleted_at IS NULL",
    )
    .bind(tenant.uuid().to_string())
    .bind(id)
    .bind(name)
    .fetch_optional(db)
    .await?
    .ok_or(NO_PACKAGE)?
    .try_into()
}

pub(super) async fn list(db: &SqlitePool, tenant: TenantId) -> Result<Vec<BlockPackage>> {
    let rows = sqlx::query_as::<_, PackageRow>(
        "SELECT * FROM wf_block_packages WHERE tenant_id = ?1 AND deleted_at IS NULL ORDER BY id DESC",
    )
    .bind(tenant.uuid().to_string())
    .fetch_all(db)
    .await?;
    rows.into_iter().map(BlockPackage::try_from).collect()
}

pub(super) async fn list_versions(db: &SqlitePool, tenant: TenantId, id: PackageId) -> Result<Vec<BlockVersion>> {
    package(db, tenant, &PackageKey::Id(id)).await?;
    let rows = sqlx::query_as::<_, VersionRow>(versions!("p.id = ?1 ORDER BY v.created_at DESC, v.version DESC"))
        .bind(id.uuid().to_string())
        .fetch_all(db)
        .await?;
    rows.into_iter().map(BlockVersion::try_from).collect()
}

pub(super) async fn version(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    id: PackageId,
    version: &str,
) -> Result<BlockVersion> {
    sqlx::query_as::<_, VersionRow>(versions!(
        "p.id = ?1 AND p.tenant_id = ?2 AND p.deleted_at IS NULL AND v.version = ?3"
    ))
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .bind(version)
    .fetch_optional(db)
    .await?
    .ok_or(NO_VERSION)?
    .try_into()
}

/// The version of a package that has these bytes, withdrawn or not, as long as the bytes are kept.
pub(super) async fn pinned(
    db: &SqlitePool,
    tenant: TenantId,
    package: &str,
    version: &str,
    digest: &Digest,
) -> Result<BlockVersion> {
    let condition =
        versions!("p.tenant_id = ?1 AND p.folded = ?2 AND v.version = ?3 AND v.digest = ?4 AND v.released = 0");
    sqlx::query_as::<_, VersionRow>(condition)
        .bind(tenant.uuid().to_string())
        .bind(fold(package))
        .bind(version)
        .bind(digest.to_string())
        .fetch_optional(db)
        .await?
        .ok_or(NO_VERSION)?
        .try_into()
}

/// Every version of a tenant that a definition can name.
pub(super) async fn named(db: &SqlitePool, tenant: TenantId) -> Result<Vec<NamedVersion>> {
    let condition = versions!(
        "p.tenant_id = ?1 AND p.deleted_at IS NULL AND (v.state = 'published' OR p.active_version = v.version) ORDER BY p.id, v.version"
    );
    let rows = sqlx::query_as::<_, VersionRow>(condition).bind(tenant.uuid().to_string()).fetch_all(db).await?;
    Ok(rows.into_iter().filter_map(|row| super::row::listed("block version", row.try_into())).collect())
}

pub(super) async fn changes(db: &SqlitePool, after: u64) -> Result<PackageChanges> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT tenant_id, max(revision) FROM wf_block_packages WHERE revision > ?1 GROUP BY tenant_id ORDER BY tenant_id",
    )
    .bind(stored(after)?)
    .fetch_all(db)
    .await?;
    let mut found = PackageChanges { revision: after, tenants: Vec::with_capacity(rows.len()) };
    for (tenant, revision) in rows {
        found.revision = found.revision.max(number(revision)?);
        found.tenants.push(parse(&tenant)?);
    }
    Ok(found)
}

/// Types that saved workflows in use name: nodes of the newest versions of those that are active.
pub(super) async fn types_in_use(db: &SqlitePool, tenant: TenantId) -> Result<Vec<String>> {
    let types = sqlx::query_scalar(
        "SELECT DISTINCT n.value ->> 'type' FROM wf_workflows w
         JOIN wf_workflow_versions v ON v.workflow_id = w.id AND v.version = w.current_version, json_each(v.definition, '$.nodes') n
         WHERE w.tenant_id = ?1 AND w.deleted_at IS NULL AND w.status = 'active' AND n.value ->> 'type' IS NOT NULL",
    );
    Ok(types.bind(tenant.uuid().to_string()).fetch_all(db).await?)
}

pub(super) async fn publish(tx: &mut Tx, new: NewBlockVersion) -> Result<PublishedVersion> {
    let id = of_name(tx, &new).await?;
    let known: Option<(String, String, i64)> =
        sqlx::query_as("SELECT digest, state, released FROM wf_block_versions WHERE package_id = ?1 AND version = ?2")
            .bind(id.uuid().to_string())
            .bind(&new.version)
            .fetch_optional(&mut tx.conn)
            .await?;
    if known.as_ref().is_some_and(|(digest, ..)| *digest != new.component.digest.to_string()) {
        return Err(StoreError::AlreadyExists("this version of the block package, with other bytes,"));
    }
    let counted = known.as_ref().is_some_and(|(.., released)| *released == 0);
    if !counted {
        room_for(tx, new.tenant_id, new.component.size, new.quota).await?;
    }
    let digest = new.component.digest;
    let size = stored(new.component.size)?;
    blobs::record(tx, &[new.component]).await?;
    let reference = BlobRef { tenant_id: new.tenant_id, kind: RefKind::Block, ref_id: id.uuid(), expires_at: None };
    blobs::add_refs(tx, &[digest], reference).await?;
    // What was withdrawn is published again; what is quarantined stays so.
    let written = sqlx::query(
        "INSERT INTO wf_block_versions (package_id, version, digest, size, manifests, wit_version, state, created_at, updated_at, signed_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'published', ?7, ?7, ?8)
         ON CONFLICT (package_id, version) DO UPDATE SET state = 'published', released = 0, updated_at = ?7 WHERE state = 'yanked'",
    )
    .bind(id.uuid().to_string())
    .bind(&new.version)
    .bind(digest.to_string())
    .bind(size)
    .bind(new.manifests.to_string())
    .bind(&new.wit_version)
    .bind(tx.now)
    .bind(&new.signed_by)
    .execute(&mut tx.conn)
    .await?;
    let published = version(&mut tx.conn, new.tenant_id, id, &new.version).await?;
    let activates = new.activation == Activation::Activate && published.state == BlockVersionState::Published;
    let activated = activates && set_active(tx, id, &new.version).await?;
    // What is there already is the same answer again.
    if activated || written.rows_affected() > 0 {
        touch(tx, id).await?;
    }
    let package = package(&mut tx.conn, new.tenant_id, &PackageKey::Id(id)).await?;
    let known = known.is_some_and(|(_, state, _)| state != BlockVersionState::Yanked.as_str());
    Ok(PublishedVersion { package, version: published, known })
}

/// The package of this name, which is made if there is none.
async fn of_name(tx: &mut Tx, new: &NewBlockVersion) -> Result<PackageId> {
    let found: Option<(String, bool)> =
        sqlx::query_as("SELECT id, deleted_at IS NOT NULL FROM wf_block_packages WHERE tenant_id = ?1 AND folded = ?2")
            .bind(new.tenant_id.uuid().to_string())
            .bind(fold(&new.package))
            .fetch_optional(&mut tx.conn)
            .await?;
    if let Some((id, false)) = &found {
        return parse(id);
    }
    let have: i64 =
        sqlx::query_scalar("SELECT count(*) FROM wf_block_packages WHERE tenant_id = ?1 AND deleted_at IS NULL")
            .bind(new.tenant_id.uuid().to_string())
            .fetch_one(&mut tx.conn)
            .await?;
    if let Some(most) = new.quota.packages.filter(|most| number::<u64>(have).is_ok_and(|have| have >= *most)) {
        return Err(StoreError::Quota(format!("the tenant has {have} block packages; at most {most} are allowed")));
    }
    let id = match found {
        Some((id, _)) => parse(&id)?,
        None => PackageId::new(),
    };
    sqlx::query(
        "INSERT INTO wf_block_packages (id, tenant_id, name, folded, revision, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)
         ON CONFLICT (id) DO UPDATE SET deleted_at = NULL",
    )
    .bind(id.uuid().to_string())
    .bind(new.tenant_id.uuid().to_string())
    .bind(&new.package)
    .bind(fold(&new.package))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(id)
}

async fn room_for(tx: &mut Tx, tenant: TenantId, size: u64, quota: PackageQuota) -> Result<()> {
    let Some(most) = quota.bytes else { return Ok(()) };
    let have: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(v.size), 0) FROM wf_block_packages p JOIN wf_block_versions v ON v.package_id = p.id
         WHERE p.tenant_id = ?1 AND v.released = 0",
    )
    .bind(tenant.uuid().to_string())
    .fetch_one(&mut tx.conn)
    .await?;
    let have: u64 = number(have)?;
    if have.saturating_add(size) > most {
        let message = format!("the tenant's block packages have {have} bytes; with {size} more they exceed {most}");
        return Err(StoreError::Quota(message));
    }
    Ok(())
}

pub(super) async fn activate(
    tx: &mut Tx,
    tenant: TenantId,
    id: PackageId,
    wanted: &str,
    quarantined: Quarantined,
) -> Result<BlockPackage> {
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await?;
    let found = version(&mut tx.conn, tenant, id, wanted).await?;
    match (found.state, quarantined) {
        (BlockVersionState::Published, _) => {}
        (BlockVersionState::Quarantined, Quarantined::Release) => {
            set_state(tx, id, wanted, BlockVersionState::Published, None).await?;
        }
        (BlockVersionState::Quarantined, Quarantined::Refuse) => {
            let reason = found.reason.unwrap_or_default();
            return Err(StoreError::Conflict(format!("version {wanted} is quarantined: {reason}")));
        }
        (BlockVersionState::Yanked, _) => {
            return Err(StoreError::Conflict(format!("version {wanted} was withdrawn; publish it again")));
        }
    }
    set_active(tx, id, wanted).await?;
    touch(tx, id).await?;
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await
}

pub(super) async fn rollback(tx: &mut Tx, tenant: TenantId, id: PackageId) -> Result<BlockPackage> {
    let found = package(&mut tx.conn, tenant, &PackageKey::Id(id)).await?;
    let Some(previous) = found.previous_version else {
        return Err(StoreError::Conflict("the package has no previous version to go back to".to_owned()));
    };
    activate(tx, tenant, id, &previous, Quarantined::Refuse).await
}

pub(super) async fn quarantine(
    tx: &mut Tx,
    tenant: TenantId,
    id: PackageId,
    wanted: &str,
    reason: &str,
) -> Result<BlockPackage> {
    if version(&mut tx.conn, tenant, id, wanted).await?.state == BlockVersionState::Published {
        set_state(tx, id, wanted, BlockVersionState::Quarantined, Some(reason)).await?;
        retire(tx, id, wanted).await?;
        touch(tx, id).await?;
    }
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await
}

pub(super) async fn grant(
    tx: &mut Tx,
    tenant: TenantId,
    id: PackageId,
    grants: &PackageGrants,
) -> Result<BlockPackage> {
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await?;
    sqlx::query("UPDATE wf_block_packages SET grants = ?2 WHERE id = ?1")
        .bind(id.uuid().to_string())
        .bind(to_document(grants)?)
        .execute(&mut tx.conn)
        .await?;
    touch(tx, id).await?;
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await
}

pub(super) async fn yank(tx: &mut Tx, tenant: TenantId, id: PackageId, wanted: &str) -> Result<BlockPackage> {
    version(&mut tx.conn, tenant, id, wanted).await?;
    set_state(tx, id, wanted, BlockVersionState::Yanked, None).await?;
    retire(tx, id, wanted).await?;
    touch(tx, id).await?;
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: PackageId) -> Result<()> {
    package(&mut tx.conn, tenant, &PackageKey::Id(id)).await?;
    sqlx::query("UPDATE wf_block_versions SET state = 'yanked', reason = NULL, updated_at = ?2 WHERE package_id = ?1 AND state <> 'yanked'")
        .bind(id.uuid().to_string())
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    sqlx::query(
        "UPDATE wf_block_packages SET active_version = NULL, previous_version = NULL, grants = '{}', deleted_at = ?2 WHERE id = ?1",
    )
    .bind(id.uuid().to_string())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    touch(tx, id).await
}

/// Lets go of the bytes of withdrawn versions that no open execution is pinned to and no other version is made of; how many.
pub(super) async fn release(tx: &mut Tx, limit: u32) -> Result<u64> {
    let free: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT v.package_id, v.version, v.digest, p.tenant_id FROM wf_block_versions v JOIN wf_block_packages p ON p.id = v.package_id
         WHERE v.state = 'yanked' AND v.released = 0
           AND NOT EXISTS (SELECT 1 FROM wf_executions e WHERE e.status IN ('pending', 'running') AND e.tenant_id = p.tenant_id
             AND instr(e.pins, v.digest) > 0) LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut tx.conn)
    .await?;
    for (package, version, digest, tenant) in &free {
        sqlx::query("UPDATE wf_block_versions SET released = 1 WHERE package_id = ?1 AND version = ?2")
            .bind(package)
            .bind(version)
            .execute(&mut tx.conn)
            .await?;
        blobs::drop_component(tx, tenant, package, digest).await?;
    }
    Ok(free.len() as u64)
}

/// Makes a version the active one; whether it was not before.
async fn set_active(tx: &mut Tx, id: PackageId, version: &str) -> Result<bool> {
    let changed = sqlx::query(
        "UPDATE wf_block_packages SET previous_version = active_version, active_version = ?2 WHERE id = ?1 AND active_version IS NOT ?2",
    )
    .bind(id.uuid().to_string())
    .bind(version)
    .execute(&mut tx.conn)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// A version that cannot be named any more is not active either: the one before it takes its place, if that can be named.
async fn retire(tx: &mut Tx, id: PackageId, version: &str) -> Result<()> {
    sqlx::query(
        "UPDATE wf_block_packages SET previous_version = NULL,
           active_version = CASE WHEN active_version IS NOT ?2 THEN active_version ELSE (SELECT v.version FROM wf_block_versions v
             WHERE v.package_id = ?1 AND v.version = previous_version AND v.state = 'published') END
         WHERE id = ?1 AND ?2 IN (active_version, previous_version)",
    )
    .bind(id.uuid().to_string())
    .bind(version)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

async fn set_state(
    tx: &mut Tx,
    id: PackageId,
    version: &str,
    state: BlockVersionState,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE wf_block_versions SET state = ?3, reason = ?4, updated_at = ?5 WHERE package_id = ?1 AND version = ?2",
    )
    .bind(id.uuid().to_string())
    .bind(version)
    .bind(state.as_str())
    .bind(reason)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// The package changed: whoever keeps blocks in step hears of it.
async fn touch(tx: &mut Tx, id: PackageId) -> Result<()> {
    let revision: i64 =
        sqlx::query_scalar("UPDATE wf_counters SET value = value + 1 WHERE name = 'block_packages' RETURNING value")
            .fetch_one(&mut tx.conn)
            .await?;
    sqlx::query("UPDATE wf_block_packages SET revision = ?2, updated_at = max(?3, updated_at + 1) WHERE id = ?1")
        .bind(id.uuid().to_string())
        .bind(revision)
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    tx.signals.packages_changed();
    Ok(())
}
