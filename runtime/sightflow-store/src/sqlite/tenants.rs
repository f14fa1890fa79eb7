//! `wf_tenants`.

use sightflow_types::{TenantId, Timestamp};
use sqlx::{SqliteExecutor, SqlitePool};

use super::row::{before, columns_of, counted, listed, number, parse, stored};
use super::writer::Tx;
use super::{blobs, ending};
use crate::error::{Result, StoreError};
use crate::page::{COUNT_CAP, Page, PageRequest};
use crate::tenant::{NewTenant, Slug, Tenant, TenantChange, TenantStatus};

columns! {
    struct Row {
        id: String,
        slug: String,
        name: String,
        status: String,
        weight: i64,
        created_at: i64,
        updated_at: i64,
    }
}

impl TryFrom<Row> for Tenant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            slug: parse(&row.slug)?,
            name: row.name,
            status: parse(&row.status)?,
            weight: number(row.weight)?,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

pub(super) async fn create(tx: &mut Tx, new: NewTenant) -> Result<Tenant> {
    let id = TenantId::new();
    let inserted = sqlx::query(
        "INSERT INTO wf_tenants (id, slug, name, weight, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (slug) DO NOTHING",
    )
    .bind(id.uuid().to_string())
    .bind(new.slug.as_str())
    .bind(&new.name)
    .bind(i64::from(new.weight))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::AlreadyExists("a tenant with this slug"));
    }
    get(&mut tx.conn, id).await
}

pub(super) async fn get(conn: impl SqliteExecutor<'_>, id: TenantId) -> Result<Tenant> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM wf_tenants WHERE id = ?1")
        .bind(id.uuid().to_string())
        .fetch_optional(conn)
        .await?;
    row.ok_or(StoreError::NotFound("tenant"))?.try_into()
}

pub(super) async fn named(readers: &SqlitePool, slug: &Slug) -> Result<Tenant> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM wf_tenants WHERE slug = ?1").bind(slug.as_str()).fetch_optional(readers).await?;
    row.ok_or(StoreError::NotFound("tenant"))?.try_into()
}

pub(super) async fn list(readers: &SqlitePool, page: PageRequest<TenantId>) -> Result<Page<Tenant, TenantId>> {
    let rows = sqlx::query("SELECT * FROM wf_tenants WHERE id < ?1 ORDER BY id DESC LIMIT ?2")
        .bind(before(page.before.map(TenantId::uuid)))
        .bind(page.rows())
        .fetch_all(readers)
        .await?;
    let read = |row| listed("tenant", columns_of::<Row>(&row).and_then(Tenant::try_from));
    Ok(Page::cut(rows, page.rows(), read, |tenant| tenant.id))
}

pub(super) async fn update(tx: &mut Tx, id: TenantId, change: TenantChange) -> Result<Tenant> {
    sqlx::query(
        "UPDATE wf_tenants SET name = coalesce(?2, name), status = coalesce(?3, status), weight = coalesce(?4, weight),
           updated_at = max(?5, updated_at + 1) WHERE id = ?1",
    )
    .bind(id.uuid().to_string())
    .bind(&change.name)
    .bind(change.status.map(|status| status.as_str()))
    .bind(change.weight.map(i64::from))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    get(&mut tx.conn, id).await
}

/// Deletes a page of what a tenant has, and at last the tenant; whether that is done. Its keys are refused from the first page on.
pub(super) async fn delete_page(tx: &mut Tx, id: TenantId, limit: u32) -> Result<bool> {
    if id == TenantId::BUILT_IN {
        return Err(StoreError::Conflict("the built-in tenant stays".to_owned()));
    }
    get(&mut tx.conn, id).await?;
    let tenant = id.uuid().to_string();
    let open: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wf_executions WHERE tenant_id = ?1 AND status IN ('pending', 'running'))",
    )
    .bind(&tenant)
    .fetch_one(&mut tx.conn)
    .await?;
    if open {
        return Err(StoreError::InUse("the tenant, which has executions that have not ended,"));
    }
    let suspended = TenantChange { status: Some(TenantStatus::Suspended), ..TenantChange::default() };
    update(tx, id, suspended).await?;
    let ended: Vec<String> = sqlx::query_scalar("SELECT id FROM wf_executions WHERE tenant_id = ?1 LIMIT ?2")
        .bind(&tenant)
        .bind(limit)
        .fetch_all(&mut tx.conn)
        .await?;
    if !ended.is_empty() {
        ending::delete_all(tx, &ended).await?;
        return Ok(false);
    }
    if blobs::drop_tenant_refs(tx, &tenant, limit * 10).await? > 0 {
        return Ok(false);
    }
    // Keys and quotas go with the tenant, versions with what they are of.
    sqlx::query(
        "DELETE FROM wf_idempotency_keys WHERE tenant_id = ?1; DELETE FROM wf_workflows WHERE tenant_id = ?1;
         DELETE FROM wf_models WHERE tenant_id = ?1; DELETE FROM wf_block_packages WHERE tenant_id = ?1;
         DELETE FROM wf_secrets WHERE tenant_id = ?1; DELETE FROM wf_publishers WHERE tenant_id = ?1;
         DELETE FROM wf_usage_hourly WHERE tenant_id = ?1; DELETE FROM wf_tenants WHERE id = ?1",
    )
    .bind(&tenant)
    .execute(&mut tx.conn)
    .await?;
    Ok(true)
}

pub(super) async fn count(readers: &SqlitePool) -> Result<u64> {
    let row = sqlx::query("SELECT count(*) FROM (SELECT 1 FROM wf_tenants LIMIT ?1)")
        .bind(stored(COUNT_CAP)?)
        .fetch_one(readers)
        .await?;
    counted(&row)
}
