//! What a run cost, as far as the rows of its jobs say it.

use super::writer::Tx;
use crate::error::Result;

/// Counts the compute time of the completed jobs of executions that end now; the others have none. A job whose device is not
/// known makes both numbers unknown.
pub(super) async fn count(tx: &mut Tx, executions: &str) -> Result<()> {
    sqlx::query(
        "UPDATE wf_executions SET (worker_cpu_ms, gpu_ms) = (
           SELECT CASE WHEN count(*) = count(device || ms) THEN CAST(round(total(ms) FILTER (WHERE device LIKE 'cpu%')) AS INTEGER) END,
             CASE WHEN count(*) = count(device || ms) THEN CAST(round(total(ms) FILTER (WHERE device NOT LIKE 'cpu%')) AS INTEGER) END
           FROM (SELECT CASE WHEN json_valid(j.metadata) THEN j.metadata ->> 'device' END AS device, j.compute_ms * 1.0 / j.batch_size AS ms
             FROM wf_inference_jobs j WHERE j.execution_id = wf_executions.id AND j.status = 'completed'))
         WHERE id IN (SELECT value FROM json_each(?1)) AND inference_jobs_completed > 0",
    )
    .bind(executions)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
