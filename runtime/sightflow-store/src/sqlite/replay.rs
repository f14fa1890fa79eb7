//! The first answer again.

use sightflow_types::{ExecutionId, TenantId, WorkflowId};
use sqlx::SqlitePool;

use super::{executions, keys, workflows};
use crate::error::{Result, StoreError};
use crate::idempotency::Idempotency;
use crate::workflow::Replayed;

/// What an earlier request with this key made.
pub(super) async fn replayed(
    db: &SqlitePool,
    tenant: TenantId,
    key: &Idempotency,
    now: i64,
) -> Result<Option<Replayed>> {
    let Some(resource) = keys::taken(db, tenant, key, now).await? else { return Ok(None) };
    match executions::get(db, tenant, ExecutionId::from_uuid(resource)).await {
        Ok(execution) => return Ok(Some(Replayed::Execution(Box::new(execution)))),
        Err(StoreError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let workflow = workflows::get_even_deleted(db, tenant, WorkflowId::from_uuid(resource)).await?;
    Ok(Some(Replayed::Workflow(Box::new(workflow))))
}
