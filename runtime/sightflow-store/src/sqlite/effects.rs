//! `wf_effects`.

use sightflow_types::error::{RunError, code};
use sightflow_types::{EffectId, ExecutionId, TenantId, Timestamp};
use sqlx::SqlitePool;

use super::row::{document, parse, to_document};
use super::writer::Tx;
use crate::effect::{BegunEffect, Effect, EffectEnd, EffectState, MOST_LISTED_EFFECTS, NewEffect};
use crate::error::{Result, StoreError};
use crate::execution::ExecutionLease;

pub(super) async fn begin(tx: &mut Tx, lease: ExecutionLease, new: NewEffect) -> Result<BegunEffect> {
    let execution = lease.execution_id.uuid().to_string();
    let tenant = leased(tx, lease).await?;
    let found: Option<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT state, response, error FROM wf_effects WHERE execution_id = ?1 AND node_id = ?2 AND item_path = ?3",
    )
    .bind(&execution)
    .bind(&new.node_id)
    .bind(&new.item_path)
    .fetch_optional(&mut tx.conn)
    .await?;
    let (state, response, error) = found.unwrap_or_else(|| (EffectState::Pending.as_str().to_owned(), None, None));
    let sent = match state_of(&state)? {
        EffectState::Done => return Ok(BegunEffect::Done(document(response.as_deref().unwrap_or("null"))?)),
        EffectState::Failed => return Ok(BegunEffect::Failed(document(error.as_deref().unwrap_or("null"))?)),
        EffectState::Sending => true,
        EffectState::Pending => false,
    };
    if sent && !new.repeatable {
        let message =
            "the call had left when the engine that made it stopped: it may have arrived, and is not repeated";
        let error = RunError::new(code::EFFECT_UNKNOWN, message);
        let (node, item) = (new.node_id, new.item_path);
        settle(tx, lease, &node, &item, EffectEnd::Failed { error: error.clone(), again: false }).await?;
        return Ok(BegunEffect::Failed(error));
    }
    sqlx::query(
        "INSERT INTO wf_effects (id, execution_id, tenant_id, node_id, item_path, kind, state, attempt, lease_token, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'block', 'sending', 1, ?6, ?7)
         ON CONFLICT (execution_id, node_id, item_path) DO UPDATE SET state = 'sending', attempt = attempt + 1,
           lease_token = excluded.lease_token, error = NULL, completed_at = NULL",
    )
    .bind(EffectId::new().uuid().to_string())
    .bind(&execution)
    .bind(&tenant)
    .bind(&new.node_id)
    .bind(&new.item_path)
    .bind(lease.token)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(BegunEffect::Send)
}

pub(super) async fn end(tx: &mut Tx, lease: ExecutionLease, node: &str, item: &str, end: EffectEnd) -> Result<()> {
    leased(tx, lease).await?;
    settle(tx, lease, node, item, end).await
}

/// The tenant of an execution that is run with this lease.
async fn leased(tx: &mut Tx, lease: ExecutionLease) -> Result<String> {
    sqlx::query_scalar("SELECT tenant_id FROM wf_executions WHERE id = ?1 AND lease_token = ?2 AND status = 'running'")
        .bind(lease.execution_id.uuid().to_string())
        .bind(lease.token)
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::StaleLease)
}

async fn settle(tx: &mut Tx, lease: ExecutionLease, node: &str, item: &str, end: EffectEnd) -> Result<()> {
    let (state, response, error) = match end {
        EffectEnd::Done(response) => (EffectState::Done, Some(response.to_string()), None),
        EffectEnd::Failed { error, again } => {
            (if again { EffectState::Pending } else { EffectState::Failed }, None, Some(to_document(&error)?))
        }
    };
    let completed = (state != EffectState::Pending).then_some(tx.now);
    let written = sqlx::query(
        "UPDATE wf_effects SET state = ?4, response = ?5, error = ?6, completed_at = ?7, lease_token = ?8
         WHERE execution_id = ?1 AND node_id = ?2 AND item_path = ?3 AND state = 'sending'",
    )
    .bind(lease.execution_id.uuid().to_string())
    .bind(node)
    .bind(item)
    .bind(state.as_str())
    .bind(response)
    .bind(error)
    .bind(completed)
    .bind(lease.token)
    .execute(&mut tx.conn)
    .await?;
    match written.rows_affected() {
        0 => Err(StoreError::Conflict("the call was not begun".to_owned())),
        _ => Ok(()),
    }
}

pub(super) async fn list(db: &SqlitePool, tenant: TenantId, execution: ExecutionId) -> Result<Vec<Effect>> {
    type Row = (String, String, String, String, u32, Option<String>, i64, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, node_id, item_path, state, attempt, error, created_at, completed_at FROM wf_effects
         WHERE tenant_id = ?1 AND execution_id = ?2 ORDER BY created_at, id LIMIT ?3",
    )
    .bind(tenant.uuid().to_string())
    .bind(execution.uuid().to_string())
    .bind(MOST_LISTED_EFFECTS)
    .fetch_all(db)
    .await?;
    let effect = |(id, node_id, item_path, state, attempt, error, created_at, completed_at): Row| {
        Ok(Effect {
            id: parse(&id)?,
            node_id,
            item_path,
            state: state_of(&state)?,
            attempt,
            error: error.as_deref().map(document).transpose()?,
            created_at: Timestamp::from_millis(created_at),
            completed_at: completed_at.map(Timestamp::from_millis),
        })
    };
    rows.into_iter().map(effect).collect()
}

fn state_of(text: &str) -> Result<EffectState> {
    let all = [EffectState::Pending, EffectState::Sending, EffectState::Done, EffectState::Failed];
    let found = all.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("`{text}` is no state of an effect")))
}
