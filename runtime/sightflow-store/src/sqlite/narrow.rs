//! The index of jobs by status: `wf_ready_jobs`, `wf_timers`, `wf_failed_jobs`, `wf_job_leases`.

use super::writer::Tx;
use crate::error::Result;

/// Ready rows for those of the jobs that are queued.
pub(super) async fn make_ready(tx: &mut Tx, ids: &str) -> Result<()> {
    let models: Vec<String> = sqlx::query_scalar(
        "INSERT INTO wf_ready_jobs (model_id, rank, vt, job_id, execution_id, tenant_id, pixels, queued_at, aged_at)
         SELECT j.model_id, 11 - j.priority, j.vt, j.id, j.execution_id, j.tenant_id, j.pixels, ?2, ?2
         FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value AND j.status = 'queued' RETURNING model_id",
    )
    .bind(ids)
    .bind(tx.now)
    .fetch_all(&mut tx.conn)
    .await?;
    for model in models {
        tx.signals.jobs_ready(model);
    }
    Ok(())
}

/// Timers for those of the jobs that are pending.
pub(super) async fn defer(tx: &mut Tx, ids: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_timers (due_at, kind, ref_id)
         SELECT j.run_at, 'job', j.id FROM json_each(?1) i CROSS JOIN wf_inference_jobs j WHERE j.id = i.value AND j.status = 'pending'",
    )
    .bind(ids)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Failed rows for those of the jobs that have failed.
pub(super) async fn list_failed(tx: &mut Tx, ids: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO wf_failed_jobs (job_id, tenant_id, model_id, error_code, failed_at)
         SELECT j.id, j.tenant_id, j.model_id, j.error_code, ?2 FROM json_each(?1) i CROSS JOIN wf_inference_jobs j
         WHERE j.id = i.value AND j.status = 'failed'",
    )
    .bind(ids)
    .bind(tx.now)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Takes jobs that have ended out of everything that waits for them.
pub(super) async fn drop_open(tx: &mut Tx, ids: &str) -> Result<()> {
    sqlx::query(
        "DELETE FROM wf_job_leases WHERE job_id IN (SELECT value FROM json_each(?1));
         DELETE FROM wf_ready_jobs WHERE job_id IN (SELECT value FROM json_each(?1));
         DELETE FROM wf_timers WHERE kind = 'job' AND ref_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(ids)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
