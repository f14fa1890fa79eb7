//! `wf_workflows`, `wf_workflow_versions`, `wf_idempotency_keys`.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sightflow_types::{Digest, TenantId, Timestamp, WorkflowId};
use sqlx::{SqliteExecutor, SqlitePool};
use uuid::Uuid;

use super::executions;
use super::row::{json, number, number_some, parse, time};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::page::{Page, PageRequest};
use crate::workflow::{
    Created, Idempotency, NewWorkflow, OpenExecutions, Workflow, WorkflowChange, WorkflowFilter, WorkflowVersion,
};

/// How long an idempotency key is remembered.
const KEY_TTL_MS: i64 = 86_400_000;

#[derive(sqlx::FromRow)]
struct WorkflowRow {
    id: String,
    tenant_id: String,
    name: String,
    description: Option<String>,
    definition: String,
    status: String,
    current_version: i64,
    run_count: i64,
    last_run_at: Option<i64>,
    avg_duration_ms: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<WorkflowRow> for Workflow {
    type Error = StoreError;

    fn try_from(row: WorkflowRow) -> Result<Self> {
        Ok(Self {
            id: parse(&row.id)?,
            tenant_id: parse(&row.tenant_id)?,
            name: row.name,
            description: row.description,
            definition: json(&row.definition)?,
            status: parse(&row.status)?,
            version: number(row.current_version)?,
            run_count: number(row.run_count)?,
            last_run_at: time(row.last_run_at),
            avg_duration_ms: number_some(row.avg_duration_ms)?,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    version: i64,
    digest: String,
    definition: String,
    change_summary: Option<String>,
    changed_by: Option<String>,
    created_at: i64,
}

impl TryFrom<VersionRow> for WorkflowVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self> {
        Ok(Self {
            version: number(row.version)?,
            digest: parse(&row.digest)?,
            definition: json(&row.definition)?,
            change_summary: row.change_summary,
            changed_by: row.changed_by,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

/// Hash of what a definition means: without layout, keys sorted.
pub(super) fn content_digest(definition: &Value) -> Digest {
    let mut hash = Sha256::new();
    hash_value(&mut hash, definition, &["viewport"], true);
    Digest::from_bytes(hash.finalize().into())
}

fn hash_value(hash: &mut Sha256, value: &Value, skip: &[&str], top: bool) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().filter(|key| !skip.contains(&key.as_str())).collect();
            keys.sort_unstable();
            hash.update(b"{");
            for key in keys {
                hash.update(Value::from(key.as_str()).to_string());
                hash.update(b":");
                match &map[key.as_str()] {
                    // The nodes of the document itself: their position is layout.
                    Value::Array(nodes) if top && key == "nodes" => {
                        hash.update(b"[");
                        for node in nodes {
                            hash_value(hash, node, &["position"], false);
                            hash.update(b",");
                        }
                        hash.update(b"]");
                    }
                    inner => hash_value(hash, inner, &[], false),
                }
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                hash_value(hash, item, &[], false);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        scalar => hash.update(scalar.to_string()),
    }
}

/// Remembers a key for `resource`, or tells which resource an earlier request with the same key made.
pub(super) async fn claim_key(
    tx: &mut Tx,
    tenant: TenantId,
    key: &Idempotency,
    resource: Uuid,
) -> Result<Option<Uuid>> {
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
        return Ok(None);
    }
    let (hash, first): (Vec<u8>, String) =
        sqlx::query_as("SELECT request_hash, resource_id FROM wf_idempotency_keys WHERE tenant_id = ?1 AND key = ?2")
            .bind(tenant.uuid().to_string())
            .bind(&key.key)
            .fetch_one(&mut tx.conn)
            .await?;
    if hash != key.request_hash {
        return Err(StoreError::IdempotencyConflict);
    }
    parse(&first).map(Some)
}

pub(super) async fn create(tx: &mut Tx, new: NewWorkflow) -> Result<Created<Workflow>> {
    let id = WorkflowId::new();
    if let Some(key) = &new.idempotency
        && let Some(first) = claim_key(tx, new.tenant_id, key, id.uuid()).await?
    {
        let value = get_even_deleted(&mut tx.conn, new.tenant_id, WorkflowId::from_uuid(first)).await?;
        return Ok(Created { value, replayed: true });
    }
    let definition = new.definition.to_string();
    sqlx::query(
        "INSERT INTO wf_workflows (id, tenant_id, name, description, definition, status, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )
    .bind(id.uuid().to_string())
    .bind(new.tenant_id.uuid().to_string())
    .bind(&new.name)
    .bind(&new.description)
    .bind(&definition)
    .bind(new.status.as_str())
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    insert_version(tx, id, 1, &definition, content_digest(&new.definition), None, new.changed_by).await?;
    let value = get(&mut tx.conn, new.tenant_id, id).await?;
    Ok(Created { value, replayed: false })
}

async fn insert_version(
    tx: &mut Tx,
    id: WorkflowId,
    version: u32,
    definition: &str,
    digest: Digest,
    change_summary: Option<String>,
    changed_by: Option<String>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_workflow_versions (workflow_id, version, definition, digest, change_summary, changed_by, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(id.uuid().to_string())
    .bind(version)
    .bind(definition)
    .bind(digest.to_string())
    .bind(change_summary)
    .bind(changed_by)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

async fn get_even_deleted(db: impl SqliteExecutor<'_>, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
    sqlx::query_as::<_, WorkflowRow>("SELECT * FROM wf_workflows WHERE id = ?1 AND tenant_id = ?2")
        .bind(id.uuid().to_string())
        .bind(tenant.uuid().to_string())
        .fetch_optional(db)
        .await?
        .ok_or(StoreError::NotFound("workflow"))?
        .try_into()
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
    sqlx::query_as::<_, WorkflowRow>(
        "SELECT * FROM wf_workflows WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("workflow"))?
    .try_into()
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: WorkflowFilter,
    page: PageRequest<WorkflowId>,
) -> Result<Page<Workflow, WorkflowId>> {
    // instr on lower-cased text: a search for `50%` or `a_b` means exactly that.
    let rows = sqlx::query_as::<_, WorkflowRow>(
        "SELECT * FROM wf_workflows WHERE tenant_id = ?1 AND deleted_at IS NULL AND id < ?2
           AND (?3 IS NULL OR status = ?3)
           AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0 OR instr(lower(coalesce(description, '')), lower(?4)) > 0)
         ORDER BY id DESC LIMIT ?5",
    )
    .bind(tenant.uuid().to_string())
    .bind(before(page.before.map(WorkflowId::uuid)))
    .bind(filter.status.map(sightflow_types::WorkflowStatus::as_str))
    .bind(filter.search)
    .bind(page.rows() + 1)
    .fetch_all(db)
    .await?;
    let items = rows.into_iter().map(Workflow::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(items, page.rows(), |workflow| workflow.id))
}

/// The text below which a page's ids lie; without a cursor one above every UUID.
pub(super) fn before(cursor: Option<Uuid>) -> String {
    cursor.map_or_else(|| "g".to_owned(), |id| id.to_string())
}

pub(super) async fn update(tx: &mut Tx, tenant: TenantId, id: WorkflowId, change: WorkflowChange) -> Result<Workflow> {
    let current = get(&mut tx.conn, tenant, id).await?;
    if let Some(expected) = change.expected_version
        && expected != current.version
    {
        return Err(StoreError::StaleVersion { expected, current: current.version });
    }
    let mut version = current.version;
    let definition = change.definition.as_ref().unwrap_or(&current.definition);
    if let Some(new) = &change.definition {
        let digest = content_digest(new);
        if digest == content_digest(&current.definition) {
            sqlx::query("UPDATE wf_workflow_versions SET definition = ?3 WHERE workflow_id = ?1 AND version = ?2")
                .bind(id.uuid().to_string())
                .bind(version)
                .bind(new.to_string())
                .execute(&mut tx.conn)
                .await?;
        } else {
            version += 1;
            insert_version(tx, id, version, &new.to_string(), digest, change.change_summary, change.changed_by).await?;
        }
    }
    sqlx::query(
        "UPDATE wf_workflows SET name = ?2, description = ?3, status = ?4, definition = ?5, current_version = ?6,
           updated_at = max(?7, updated_at + 1) WHERE id = ?1",
    )
    .bind(id.uuid().to_string())
    .bind(change.name.unwrap_or(current.name))
    .bind(change.description.unwrap_or(current.description))
    .bind(change.status.unwrap_or(current.status).as_str())
    .bind(definition.to_string())
    .bind(version)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    get(&mut tx.conn, tenant, id).await
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: WorkflowId, open: OpenExecutions) -> Result<()> {
    get(&mut tx.conn, tenant, id).await?;
    let running: Vec<String> =
        sqlx::query_scalar("SELECT id FROM wf_executions WHERE workflow_id = ?1 AND status IN ('pending', 'running')")
            .bind(id.uuid().to_string())
            .fetch_all(&mut tx.conn)
            .await?;
    if !running.is_empty() {
        if open == OpenExecutions::Refuse {
            return Err(StoreError::InUse("workflow"));
        }
        executions::cancel_all(tx, &running).await?;
    }
    sqlx::query("UPDATE wf_workflows SET deleted_at = ?2, updated_at = max(?2, updated_at + 1) WHERE id = ?1")
        .bind(id.uuid().to_string())
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

pub(super) async fn versions(
    db: &SqlitePool,
    tenant: TenantId,
    id: WorkflowId,
    page: PageRequest<u32>,
) -> Result<Page<WorkflowVersion, u32>> {
    get(db, tenant, id).await?;
    let rows = sqlx::query_as::<_, VersionRow>(
        "SELECT * FROM wf_workflow_versions WHERE workflow_id = ?1 AND (?2 IS NULL OR version < ?2) ORDER BY version DESC LIMIT ?3",
    )
    .bind(id.uuid().to_string())
    .bind(page.before)
    .bind(page.rows() + 1)
    .fetch_all(db)
    .await?;
    let items = rows.into_iter().map(WorkflowVersion::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(items, page.rows(), |version| version.version))
}

pub(super) async fn version(
    db: &SqlitePool,
    tenant: TenantId,
    id: WorkflowId,
    version: u32,
) -> Result<WorkflowVersion> {
    get(db, tenant, id).await?;
    sqlx::query_as::<_, VersionRow>("SELECT * FROM wf_workflow_versions WHERE workflow_id = ?1 AND version = ?2")
        .bind(id.uuid().to_string())
        .bind(version)
        .fetch_optional(db)
        .await?
        .ok_or(StoreError::NotFound("workflow version"))?
        .try_into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::content_digest;

    #[test]
    fn only_layout_is_left_out_of_the_digest() {
        let base = json!({"nodes": [{"id": "a", "position": {"x": 1}, "config": {"position": 1, "viewport": 2}}], "viewport": {"zoom": 1}, "edges": []});
        let same = json!({"edges": [], "nodes": [{"config": {"viewport": 2, "position": 1}, "id": "a", "position": {"x": 9}}]});
        assert_eq!(content_digest(&base), content_digest(&same));
        for other in [
            json!({"nodes": [{"id": "a", "config": {"position": 2, "viewport": 2}}], "edges": []}),
            json!({"nodes": [{"id": "a", "config": {"position": 1}}], "edges": []}),
            json!({"nodes": [{"id": "b", "config": {"position": 1, "viewport": 2}}], "edges": []}),
        ] {
            assert_ne!(content_digest(&base), content_digest(&other), "{other}");
        }
    }
}
