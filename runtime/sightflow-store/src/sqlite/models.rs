//! `wf_models`: the registry and its circuit breaker.

use std::collections::HashMap;

use serde_json::{Value, json};
use sightflow_types::{ModelSource, Task, TenantId, Timestamp};
use sqlx::{SqliteExecutor, SqlitePool};

use super::blobs;
use super::narrow::defer;
use super::row::{Reading, columns_of, listed, number_some, object, parse, parse_some, stored, time};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::model::{ModelFilter, ModelRow, ModelState, NewModel};
use crate::search::fold;

columns! {
    struct Row {
        id: String,
        tenant_id: String,
        source: String,
        task: String,
        name: String,
        digest: Option<String>,
        size: Option<i64>,
        format: String,
        spec: String,
        state: String,
        blocked_until: Option<i64>,
        created_at: i64,
        updated_at: i64,
    }
}

impl Row {
    /// Of what cannot be read the model is `broken`.
    fn read(self, reading: &mut Reading) -> Result<ModelRow> {
        let mut model = ModelRow {
            id: self.id,
            tenant_id: reading.take("tenant_id", parse(&self.tenant_id), || TenantId::BUILT_IN)?,
            source: reading.take("source", parse(&self.source), || ModelSource::Pretrained)?,
            task: reading.take("task", parse(&self.task), || Task::Detection)?,
            name: self.name,
            digest: reading.take("digest", parse_some(self.digest.as_deref()), || None)?,
            size: reading.take("size", number_some(self.size), || None)?,
            format: self.format,
            spec: reading.take("spec", object(&self.spec).map(Value::Object), || json!({}))?,
            state: reading.take("state", parse(&self.state), || ModelState::Broken)?,
            blocked_until: time(self.blocked_until),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        };
        if let Some(fault) = reading.fault() {
            tracing::warn!(model.id = model.id, reason = fault, "a model cannot be read; it counts as broken");
            model.state = ModelState::Broken;
        }
        Ok(model)
    }
}

pub(super) async fn upsert(tx: &mut Tx, new: NewModel) -> Result<ModelRow> {
    let former: Option<String> =
        sqlx::query_scalar("SELECT digest FROM wf_models WHERE tenant_id = ?1 AND id = ?2 AND digest IS NOT NULL")
            .bind(new.tenant_id.uuid().to_string())
            .bind(&new.id)
            .fetch_optional(&mut tx.conn)
            .await?;
    let row = sqlx::query_as::<_, Row>(
        "INSERT INTO wf_models (id, tenant_id, source, task, name, digest, size, format, spec, search, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, ?10, ?10)
         ON CONFLICT (tenant_id, id) DO UPDATE SET source = excluded.source, task = excluded.task, name = excluded.name, size = excluded.size,
           format = excluded.format, spec = excluded.spec, search = excluded.search, updated_at = max(?10, updated_at + 1), digest = excluded.digest,
           state = CASE WHEN digest IS excluded.digest THEN state ELSE 'available' END,
           blocked_until = CASE WHEN digest IS excluded.digest THEN blocked_until END
         RETURNING *",
    )
    .bind(&new.id)
    .bind(new.tenant_id.uuid().to_string())
    .bind(new.source.as_str())
    .bind(new.task.as_str())
    .bind(&new.name)
    .bind(new.digest.map(|digest| digest.to_string()))
    .bind(new.size.map(stored).transpose()?)
    .bind(&new.format)
    .bind(new.spec.to_string())
    .bind(tx.now)
    .bind(searched(&new.id, &new.name))
    .fetch_one(&mut tx.conn)
    .await?;
    if let Some(former) = former {
        blobs::drop_weights(tx, new.tenant_id, &former).await?;
    }
    tx.signals.models_changed();
    row.read(&mut Reading::lenient())
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, tenant: TenantId, id: &str) -> Result<ModelRow> {
    sqlx::query_as::<_, Row>(
        "SELECT * FROM wf_models WHERE id = ?1 AND tenant_id IN (?2, ?3) ORDER BY tenant_id = ?2 DESC LIMIT 1",
    )
    .bind(id)
    .bind(tenant.uuid().to_string())
    .bind(TenantId::BUILT_IN.uuid().to_string())
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound("model"))?
    .read(&mut Reading::lenient())
}

/// What a search looks through.
pub(super) fn searched(id: &str, name: &str) -> String {
    fold(&format!("{id}\n{name}"))
}

pub(super) async fn list(db: &SqlitePool, tenant: TenantId, filter: ModelFilter) -> Result<Vec<ModelRow>> {
    let rows = sqlx::query(
        "SELECT * FROM wf_models m WHERE (tenant_id = ?1 OR (tenant_id = ?2
             AND NOT EXISTS (SELECT 1 FROM wf_models own WHERE own.tenant_id = ?1 AND own.tenant_id <> ?2 AND own.id = m.id)))
           AND (?3 IS NULL OR task = ?3) AND (?4 IS NULL OR source = ?4) AND (?5 IS NULL OR state = ?5)
           AND (?6 IS NULL OR instr(search, ?6) > 0)
         ORDER BY id",
    )
    .bind(tenant.uuid().to_string())
    .bind(TenantId::BUILT_IN.uuid().to_string())
    .bind(filter.task.map(sightflow_types::Task::as_str))
    .bind(filter.source.map(sightflow_types::ModelSource::as_str))
    .bind(filter.state.map(ModelState::as_str))
    .bind(filter.search.map(|text| fold(&text)))
    .fetch_all(db)
    .await?;
    let read = |row| columns_of::<Row>(row)?.read(&mut Reading::lenient());
    Ok(rows.iter().filter_map(|row| listed("model", read(row))).collect())
}

pub(super) async fn set_state(tx: &mut Tx, tenant: TenantId, id: &str, state: ModelState) -> Result<ModelRow> {
    let row = sqlx::query_as::<_, Row>(
        "UPDATE wf_models SET state = ?3, updated_at = max(?4, updated_at + 1) WHERE tenant_id = ?1 AND id = ?2 RETURNING *",
    )
    .bind(tenant.uuid().to_string())
    .bind(id)
    .bind(state.as_str())
    .bind(tx.now)
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::NotFound("model"))?;
    tx.signals.models_changed();
    row.read(&mut Reading::lenient())
}

/// Until when each of these models is blocked for the tenant; models that are not are left out.
pub(super) async fn blocked<'a>(
    tx: &mut Tx,
    tenant: &str,
    models: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, i64>> {
    let models: std::collections::BTreeSet<_> = models.collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT m.id, m.blocked_until FROM json_each(?1) i CROSS JOIN wf_models m
         WHERE m.id = i.value AND m.blocked_until > ?4 AND m.tenant_id =
           (SELECT o.tenant_id FROM wf_models o WHERE o.id = i.value AND o.tenant_id IN (?2, ?3) ORDER BY o.tenant_id = ?2 DESC LIMIT 1)",
    )
    .bind(json!(models).to_string())
    .bind(tenant)
    .bind(TenantId::BUILT_IN.uuid().to_string())
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Blocks a model until then; its waiting jobs leave the queue for that time.
pub(super) async fn open_breaker(tx: &mut Tx, tenant: &str, model: &str, until: i64) -> Result<()> {
    let built_in = TenantId::BUILT_IN.uuid().to_string();
    let owner: Option<String> = sqlx::query_scalar(
        "UPDATE wf_models SET blocked_until = max(coalesce(blocked_until, 0), ?4), updated_at = max(?5, updated_at + 1)
         WHERE id = ?1 AND tenant_id =
           (SELECT o.tenant_id FROM wf_models o WHERE o.id = ?1 AND o.tenant_id IN (?2, ?3) ORDER BY o.tenant_id = ?2 DESC LIMIT 1)
         RETURNING tenant_id",
    )
    .bind(model)
    .bind(tenant)
    .bind(&built_in)
    .bind(until)
    .bind(tx.now)
    .fetch_optional(&mut tx.conn)
    .await?;
    // A model without a row has no breaker: only the job that failed waits.
    let Some(owner) = owner else { return Ok(()) };
    tx.signals.models_changed();
    // A tenant's own model of this name is another model, whichever owner the breaker belongs to.
    let ids: Vec<String> = sqlx::query_scalar(
        "DELETE FROM wf_ready_jobs WHERE model_id = ?1 AND CASE WHEN ?2 = ?3
           THEN tenant_id = ?3 OR tenant_id NOT IN (SELECT o.tenant_id FROM wf_models o WHERE o.id = ?1) ELSE tenant_id = ?2 END
         RETURNING job_id",
    )
    .bind(model)
    .bind(&owner)
    .bind(&built_in)
    .fetch_all(&mut tx.conn)
    .await?;
    if ids.is_empty() {
        return Ok(());
    }
    let list = json!(ids).to_string();
    sqlx::query(
        "UPDATE wf_inference_jobs SET status = 'pending', run_at = ?2, metadata = json_insert(metadata, '$.held_since', ?3),
           updated_at = max(?3, updated_at + 1)
         WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'queued'",
    )
    .bind(&list)
    .bind(until)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    defer(tx, &list).await
}

pub(super) async fn close_breaker(tx: &mut Tx, model: &str) -> Result<()> {
    let closed = sqlx::query(
        "UPDATE wf_models SET blocked_until = NULL, updated_at = max(?2, updated_at + 1) WHERE id = ?1 AND blocked_until IS NOT NULL",
    )
    .bind(model)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    if closed.rows_affected() == 0 {
        return Ok(());
    }
    tx.signals.models_changed();
    // The model works again: what was held for it is due at once.
    sqlx::query(
        "UPDATE wf_timers SET due_at = ?2 WHERE due_at > ?2 AND kind = 'job' AND ref_id IN (
           SELECT j.id FROM wf_timers t CROSS JOIN wf_inference_jobs j
           WHERE t.kind = 'job' AND j.id = t.ref_id AND j.model_id = ?1 AND j.metadata ->> 'held_since' IS NOT NULL);
         UPDATE wf_inference_jobs SET run_at = ?2, updated_at = max(?2, updated_at + 1)
         WHERE run_at > ?2 AND status = 'pending' AND id IN (SELECT ref_id FROM wf_timers WHERE kind = 'job' AND due_at = ?2)",
    )
    .bind(model)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
