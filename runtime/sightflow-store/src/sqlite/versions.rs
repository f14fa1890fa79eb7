//! `wf_workflow_versions`.

use serde_json::{Value, json};
use sightflow_types::{Digest, Problem, TenantId, Timestamp, WorkflowId};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::row::{columns_of, listed, number, object, parse};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::page::{COUNT_CAP, Page, PageRequest};
use crate::workflow::{WorkflowHead, WorkflowVersion};

columns! {
    struct VersionRow {
        version: i64,
        digest: String,
        definition: Option<String>,
        node_count: i64,
        change_summary: Option<String>,
        changed_by: Option<String>,
        created_at: i64,
    }
}

impl TryFrom<VersionRow> for WorkflowVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self> {
        Ok(Self {
            version: number(row.version)?,
            digest: parse(&row.digest)?,
            definition: row.definition.map_or(Ok(Value::Null), |text| object(&text).map(Value::Object))?,
            node_count: number(row.node_count)?,
            change_summary: row.change_summary,
            changed_by: row.changed_by,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

/// What cannot be read of a workflow is an error of its own: its owner can mend it.
pub(super) fn damaged(error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::DamagedWorkflow(why),
        other => other,
    }
}

pub(super) struct NewVersion<'a> {
    pub(super) version: u32,
    pub(super) definition: &'a str,
    pub(super) node_count: u32,
    pub(super) edge_count: u32,
    pub(super) digest: Digest,
    pub(super) warnings: &'a [Problem],
    pub(super) change_summary: Option<String>,
    pub(super) changed_by: Option<String>,
}

pub(super) async fn insert(tx: &mut Tx, id: WorkflowId, new: NewVersion<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_workflow_versions (workflow_id, version, definition, digest, warnings, change_summary, changed_by, created_at, node_count, edge_count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(id.uuid().to_string())
    .bind(new.version)
    .bind(new.definition)
    .bind(new.digest.to_string())
    .bind(json!(new.warnings).to_string())
    .bind(new.change_summary)
    .bind(new.changed_by)
    .bind(tx.now)
    .bind(new.node_count)
    .bind(new.edge_count)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// How many elements the array under `key` has.
pub(super) fn elements(definition: &Value, key: &str) -> u32 {
    definition.get(key).and_then(Value::as_array).map_or(0, Vec::len) as u32
}

/// The definition of a version; `DamagedWorkflow` if it cannot be read.
pub(super) async fn definition_of(tx: &mut Tx, id: WorkflowId, version: u32) -> Result<Value> {
    let text: sqlx::Result<Option<String>> =
        sqlx::query_scalar("SELECT definition FROM wf_workflow_versions WHERE workflow_id = ?1 AND version = ?2")
            .bind(id.uuid().to_string())
            .bind(version)
            .fetch_optional(&mut tx.conn)
            .await;
    let read = text.map_err(StoreError::from).and_then(|text| object(&text.unwrap_or_default()));
    read.map(Value::Object).map_err(damaged)
}

/// Which version runs, and whether the workflow runs at all.
pub(super) async fn head(
    db: &SqlitePool,
    tenant: TenantId,
    id: WorkflowId,
    version: Option<u32>,
) -> Result<WorkflowHead> {
    let (status, found, digest): (String, Option<i64>, Option<String>) = sqlx::query_as(
        "SELECT w.status, v.version, v.digest FROM wf_workflows w
           LEFT JOIN wf_workflow_versions v ON v.workflow_id = w.id AND v.version = coalesce(?3, w.current_version)
         WHERE w.id = ?1 AND w.tenant_id = ?2 AND w.deleted_at IS NULL",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .bind(version)
    .fetch_optional(db)
    .await
    .map_err(|error| damaged(error.into()))?
    .ok_or(StoreError::NotFound("workflow"))?;
    let (found, digest) = found.zip(digest).ok_or_else(|| match version {
        Some(_) => StoreError::NotFound("workflow version"),
        None => StoreError::DamagedWorkflow("its newest version is gone".to_owned()),
    })?;
    let head = || Ok(WorkflowHead { status: parse(&status)?, version: number(found)?, digest: parse(&digest)? });
    head().map_err(damaged)
}

pub(super) async fn list(
    db: &SqlitePool,
    id: WorkflowId,
    page: PageRequest<u32>,
) -> Result<Page<WorkflowVersion, u32>> {
    let rows = sqlx::query(
        "SELECT version, digest, NULL AS definition, node_count, change_summary, changed_by, created_at FROM wf_workflow_versions
         WHERE workflow_id = ?1 AND (?2 IS NULL OR version < ?2) ORDER BY version DESC LIMIT ?3",
    )
    .bind(id.uuid().to_string())
    .bind(page.before)
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    let read = |row: SqliteRow| listed("version", columns_of::<VersionRow>(&row).and_then(WorkflowVersion::try_from));
    Ok(Page::cut(rows, page.rows(), read, |version| version.version))
}

pub(super) async fn count(db: &SqlitePool, id: WorkflowId) -> Result<u64> {
    let counted =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM wf_workflow_versions WHERE workflow_id = ?1 LIMIT ?2)")
            .bind(id.uuid().to_string())
            .bind(COUNT_CAP as i64)
            .fetch_one(db)
            .await?;
    number(counted)
}

pub(super) async fn one(db: &SqlitePool, id: WorkflowId, version: u32) -> Result<WorkflowVersion> {
    sqlx::query_as::<_, VersionRow>("SELECT * FROM wf_workflow_versions WHERE workflow_id = ?1 AND version = ?2")
        .bind(id.uuid().to_string())
        .bind(version)
        .fetch_optional(db)
        .await
        .map_err(|error| damaged(error.into()))?
        .ok_or(StoreError::NotFound("workflow version"))?
        .try_into()
        .map_err(damaged)
}
