//! `wf_workflows`, `wf_workflow_versions`.

use serde_json::{Value, json};
use sightflow_types::error::code;
use sightflow_types::{Problem, TenantId, Timestamp, WorkflowId, WorkflowStatus};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteExecutor, SqlitePool};

use super::ending;
use super::keys::{self, Claim};
use super::row::{Reading, before, columns_of, listed, number, number_some, object, parse, time};
use super::versions::{self, NewVersion, damaged, definition_of, elements};
use super::writer::Tx;
use crate::digest::definition_digest;
use crate::error::{Result, StoreError};
use crate::page::{COUNT_CAP, Page, PageRequest};
use crate::search::fold;
use crate::workflow::{Created, Definitions, NewWorkflow, OpenExecutions, Workflow, WorkflowChange, WorkflowFilter};

columns! {
    struct WorkflowRow {
        id: String,
        tenant_id: String,
        name: String,
        description: Option<String>,
        definition: Option<String>,
        digest: String,
        warnings: String,
        node_count: i64,
        edge_count: i64,
        status: String,
        current_version: i64,
        run_count: i64,
        last_run_at: Option<i64>,
        avg_duration_ms: Option<i64>,
        created_at: i64,
        updated_at: i64,
    }
}

impl WorkflowRow {
    /// What cannot be read is named among the warnings.
    fn read(self, reading: &mut Reading) -> Result<Workflow> {
        let array = |text: &str| serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()));
        let mut warnings: Vec<Problem> = reading.take("warnings", array(&self.warnings), Vec::new)?;
        let empty = || json!({ "version": "1.0", "nodes": [], "edges": [] });
        let definition = self.definition.map_or(Ok(Value::Null), |text| object(&text).map(Value::Object));
        let id = parse(&self.id)?;
        let mut workflow = Workflow {
            id,
            tenant_id: reading.take("tenant_id", parse(&self.tenant_id), || TenantId::BUILT_IN)?,
            name: self.name,
            description: self.description,
            definition: reading.take("definition", definition, empty)?,
            digest: reading.take("digest", parse(&self.digest), || definition_digest(&Value::Null))?,
            node_count: reading.take("node_count", number(self.node_count), || 0)?,
            edge_count: reading.take("edge_count", number(self.edge_count), || 0)?,
            warnings: Vec::new(),
            status: reading.take("status", parse(&self.status), || WorkflowStatus::Archived)?,
            version: reading.take("current_version", number(self.current_version), || 1)?,
            run_count: reading.take("run_count", number(self.run_count), || 0)?,
            last_run_at: time(self.last_run_at),
            avg_duration_ms: reading.take("avg_duration_ms", number_some(self.avg_duration_ms), || None)?,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        };
        if let Some(fault) = reading.fault() {
            warnings.push(Problem::new(code::INTERNAL, "", fault));
        }
        workflow.warnings = warnings;
        Ok(workflow)
    }
}

pub(super) async fn create(tx: &mut Tx, new: NewWorkflow) -> Result<Created<Workflow>> {
    let id = WorkflowId::new();
    if let Some(key) = &new.idempotency
        && let Claim::Taken(first) = keys::claim(tx, new.tenant_id, key, id.uuid()).await?
    {
        let value = get_even_deleted(&mut tx.conn, new.tenant_id, WorkflowId::from_uuid(first)).await?;
        return Ok(Created { value, replayed: true });
    }
    let definition = new.definition.to_string();
    sqlx::query(
        "INSERT INTO wf_workflows (id, tenant_id, name, description, status, search, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )
    .bind(id.uuid().to_string())
    .bind(new.tenant_id.uuid().to_string())
    .bind(&new.name)
    .bind(&new.description)
    .bind(new.status.as_str())
    .bind(searched(&new.name, new.description.as_deref()))
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    let version = NewVersion {
        version: 1,
        definition: &definition,
        node_count: elements(&new.definition, "nodes"),
        edge_count: elements(&new.definition, "edges"),
        digest: definition_digest(&new.definition),
        warnings: &new.warnings,
        change_summary: None,
        changed_by: new.changed_by,
    };
    versions::insert(tx, id, version).await?;
    let value = get(&mut tx.conn, new.tenant_id, id).await?;
    Ok(Created { value, replayed: false })
}

/// What a search looks through.
pub(super) fn searched(name: &str, description: Option<&str>) -> String {
    fold(&format!("{name}\n{}", description.unwrap_or_default()))
}

/// A workflow's row with what is kept with its newest version. Without that version it is unreadable, as is what has no
/// definition.
macro_rules! select_workflows {
    ($definition:literal, $condition:expr) => {
        concat!(
            "SELECT w.id, w.tenant_id, w.name, w.description, ",
            $definition,
            " AS definition, w.status, w.current_version, w.run_count, w.last_run_at, w.avg_duration_ms, w.created_at, w.updated_at,
               coalesce(v.digest, '') AS digest, coalesce(v.warnings, '[]') AS warnings, coalesce(v.node_count, 0) AS node_count, coalesce(v.edge_count, 0) AS edge_count
             FROM wf_workflows w LEFT JOIN wf_workflow_versions v ON v.workflow_id = w.id AND v.version = w.current_version WHERE ",
            $condition
        )
    };
}

/// Those that a list shows or counts. `instr` on folded text: a search for `50%` or `a_b` means exactly that.
macro_rules! listed_workflows {
    () => {
        "w.tenant_id = ?1 AND w.deleted_at IS NULL AND (?2 IS NULL OR w.status = ?2) AND (?3 IS NULL OR instr(w.search, ?3) > 0)"
    };
}

async fn one(
    db: impl SqliteExecutor<'_>,
    statement: &'static str,
    tenant: TenantId,
    id: WorkflowId,
) -> Result<Workflow> {
    let row =
        sqlx::query(statement).bind(id.uuid().to_string()).bind(tenant.uuid().to_string()).fetch_optional(db).await?;
    let row = row.ok_or(StoreError::NotFound("workflow"))?;
    columns_of::<WorkflowRow>(&row).and_then(|row| row.read(&mut Reading::Strict)).map_err(damaged)
}

pub(super) async fn get_even_deleted(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    id: WorkflowId,
) -> Result<Workflow> {
    one(db, select_workflows!("coalesce(v.definition, '')", "w.id = ?1 AND w.tenant_id = ?2"), tenant, id).await
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
    one(
        db,
        select_workflows!("coalesce(v.definition, '')", "w.id = ?1 AND w.tenant_id = ?2 AND w.deleted_at IS NULL"),
        tenant,
        id,
    )
    .await
}

/// A workflow that is about to change, without its definition.
async fn to_change(tx: &mut Tx, tenant: TenantId, id: WorkflowId) -> Result<Workflow> {
    one(&mut tx.conn, select_workflows!("NULL", "w.id = ?1 AND w.tenant_id = ?2 AND w.deleted_at IS NULL"), tenant, id)
        .await
}

/// Fails unless the tenant has this workflow, readable or not.
pub(super) async fn check(db: impl SqliteExecutor<'_>, tenant: TenantId, id: WorkflowId) -> Result<()> {
    let found: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM wf_workflows WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL)",
    )
    .bind(id.uuid().to_string())
    .bind(tenant.uuid().to_string())
    .fetch_one(db)
    .await?;
    if found { Ok(()) } else { Err(StoreError::NotFound("workflow")) }
}

pub(super) async fn list(
    db: &SqlitePool,
    tenant: TenantId,
    filter: WorkflowFilter,
    definitions: Definitions,
    page: PageRequest<WorkflowId>,
) -> Result<Page<Workflow, WorkflowId>> {
    let rows = sqlx::query(select_workflows!(
        "CASE WHEN ?6 THEN coalesce(v.definition, '') END",
        concat!(listed_workflows!(), " AND w.id < ?4 ORDER BY w.id DESC LIMIT ?5")
    ))
    .bind(tenant.uuid().to_string())
    .bind(filter.status.map(WorkflowStatus::as_str))
    .bind(filter.search.map(|text| fold(&text)))
    .bind(before(page.before.map(WorkflowId::uuid)))
    .bind(page.rows())
    .bind(definitions == Definitions::Include)
    .fetch_all(db)
    .await?;
    let read = |row: SqliteRow| {
        listed("workflow", columns_of::<WorkflowRow>(&row).and_then(|row| row.read(&mut Reading::lenient())))
    };
    Ok(Page::cut(rows, page.rows(), read, |workflow| workflow.id))
}

pub(super) async fn count(db: &SqlitePool, tenant: TenantId, filter: WorkflowFilter) -> Result<u64> {
    let counted = sqlx::query_scalar(concat!(
        "SELECT count(*) FROM (SELECT 1 FROM wf_workflows w WHERE ",
        listed_workflows!(),
        " LIMIT ?4)"
    ))
    .bind(tenant.uuid().to_string())
    .bind(filter.status.map(WorkflowStatus::as_str))
    .bind(filter.search.map(|text| fold(&text)))
    .bind(COUNT_CAP as i64)
    .fetch_one(db)
    .await?;
    number(counted)
}

pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    id: WorkflowId,
    change: WorkflowChange,
) -> Result<Created<Workflow>> {
    if let Some(key) = &change.idempotency
        && let Claim::Taken(first) = keys::claim(tx, tenant, key, id.uuid()).await?
    {
        let value = get_even_deleted(&mut tx.conn, tenant, WorkflowId::from_uuid(first)).await?;
        return Ok(Created { value, replayed: true });
    }
    let mut now = to_change(tx, tenant, id).await?;
    if let Some(expected) = change.expected_version
        && expected != now.version
    {
        return Err(StoreError::StaleVersion { expected, current: now.version });
    }
    if let Some(warnings) = change.warnings {
        now.warnings = warnings;
    }
    // A definition that cannot be read differs from any other, and only another can take its place.
    let (content, present) = match definition_of(tx, id, now.version).await {
        Ok(present) => (Some(definition_digest(&present)), present),
        Err(StoreError::DamagedWorkflow(_)) if change.definition.is_some() => (None, Value::Null),
        Err(error) => return Err(error),
    };
    now.definition = change.definition.unwrap_or(present);
    let digest = definition_digest(&now.definition);
    now.digest = digest;
    let definition = now.definition.to_string();
    (now.node_count, now.edge_count) = (elements(&now.definition, "nodes"), elements(&now.definition, "edges"));
    if content == Some(digest) {
        // What is counted is content: the counts stay.
        sqlx::query(
            "UPDATE wf_workflow_versions SET definition = ?3, warnings = ?4 WHERE workflow_id = ?1 AND version = ?2",
        )
        .bind(id.uuid().to_string())
        .bind(now.version)
        .bind(&definition)
        .bind(json!(now.warnings).to_string())
        .execute(&mut tx.conn)
        .await?;
    } else {
        now.version += 1;
        let version = NewVersion {
            version: now.version,
            definition: &definition,
            node_count: now.node_count,
            edge_count: now.edge_count,
            digest,
            warnings: &now.warnings,
            change_summary: change.change_summary,
            changed_by: change.changed_by,
        };
        versions::insert(tx, id, version).await?;
    }
    now.name = change.name.unwrap_or(now.name);
    now.description = change.description.unwrap_or(now.description);
    now.status = change.status.unwrap_or(now.status);
    let updated_at: i64 = sqlx::query_scalar(
        "UPDATE wf_workflows SET name = ?2, description = ?3, status = ?4, current_version = ?5, search = ?6,
           updated_at = max(?7, updated_at + 1) WHERE id = ?1 RETURNING updated_at",
    )
    .bind(id.uuid().to_string())
    .bind(&now.name)
    .bind(&now.description)
    .bind(now.status.as_str())
    .bind(now.version)
    .bind(searched(&now.name, now.description.as_deref()))
    .bind(tx.now)
    .fetch_one(&mut tx.conn)
    .await?;
    now.updated_at = Timestamp::from_millis(updated_at);
    Ok(Created { value: now, replayed: false })
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: WorkflowId, open: OpenExecutions) -> Result<()> {
    check(&mut tx.conn, tenant, id).await?;
    let running: Vec<String> =
        sqlx::query_scalar("SELECT id FROM wf_executions WHERE workflow_id = ?1 AND status IN ('pending', 'running')")
            .bind(id.uuid().to_string())
            .fetch_all(&mut tx.conn)
            .await?;
    if !running.is_empty() {
        if open == OpenExecutions::Refuse {
            return Err(StoreError::InUse("workflow"));
        }
        ending::cancel_all(tx, &running).await?;
    }
    sqlx::query("UPDATE wf_workflows SET deleted_at = ?2, updated_at = max(?2, updated_at + 1) WHERE id = ?1")
        .bind(id.uuid().to_string())
        .bind(tx.now)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}
