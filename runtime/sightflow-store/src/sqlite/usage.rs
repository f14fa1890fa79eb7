//! Usage: of executions that are there from their rows, of others from `wf_usage_hourly`.

use sightflow_types::TenantId;
use sqlx::SqlitePool;

use super::row::stored;
use super::writer::Tx;
use crate::error::Result;
use crate::usage::{Usage, UsageBy, UsageQuery};

const HOUR_MS: i64 = 3_600_000;

/// What the executions used that a condition finds, as rows of `wf_usage_hourly`. Work of a batch is shared by its jobs.
fn used(condition: &str) -> String {
    format!(
        "WITH e AS MATERIALIZED (SELECT id, tenant_id, completed_at - completed_at % {HOUR_MS} AS hour, coalesce(workflow_id, '') AS workflow_id
           FROM wf_executions WHERE completed_at IS NOT NULL AND {condition}),
         j AS MATERIALIZED (SELECT e.tenant_id, e.hour, e.workflow_id, j.model_id,
             CASE WHEN json_valid(j.metadata) THEN coalesce(j.metadata ->> 'device', '') ELSE '' END AS device, j.compute_ms * 1000.0 / max(j.batch_size, 1) AS us
           FROM e JOIN wf_inference_jobs j ON j.execution_id = e.id WHERE j.status = 'completed')
         SELECT tenant_id, hour, workflow_id, 'executions' AS kind, '' AS dim, count(*) AS amount FROM e GROUP BY 1, 2, 3
         UNION ALL SELECT e.tenant_id, e.hour, e.workflow_id, 'block_cpu_us', coalesce(r.record ->> 'type', ''), sum(r.record ->> 'block_cpu_us')
           FROM e JOIN wf_node_records r ON r.execution_id = e.id WHERE r.item_path = '' AND r.record ->> 'block_cpu_us' > 0 GROUP BY 1, 2, 3, 5
         UNION ALL SELECT tenant_id, hour, workflow_id, 'jobs', model_id, count(*) FROM j GROUP BY 1, 2, 3, 5
         UNION ALL SELECT tenant_id, hour, workflow_id, CASE WHEN device LIKE 'cpu%' THEN 'worker_cpu_us' ELSE 'gpu_us' END, model_id, CAST(round(total(us)) AS INTEGER)
           FROM j WHERE device <> '' GROUP BY 1, 2, 3, 4, 5"
    )
}

/// Keeps what these executions used, which are about to be deleted: a JSON list of ids.
pub(super) async fn keep(tx: &mut Tx, executions: &str) -> Result<()> {
    let used = used("id IN (SELECT value FROM json_each(?1))");
    let insert = format!(
        "INSERT INTO wf_usage_hourly (tenant_id, hour, workflow_id, kind, dim, amount) SELECT * FROM ({used}) WHERE true
         ON CONFLICT (tenant_id, hour, workflow_id, kind, dim) DO UPDATE SET amount = amount + excluded.amount"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(executions).execute(&mut tx.conn).await?;
    Ok(())
}

pub(super) async fn list(db: &SqlitePool, tenant: TenantId, query: UsageQuery) -> Result<Vec<Usage>> {
    let live = used("tenant_id = ?1 AND completed_at >= ?2 AND completed_at < ?3");
    let (key, kinds) = match query.by {
        UsageBy::Hour => ("hour", "true"),
        UsageBy::Day => ("hour - hour % 86400000", "true"),
        UsageBy::Workflow => ("workflow_id", "true"),
        UsageBy::Model => ("dim", "kind IN ('jobs', 'gpu_us', 'worker_cpu_us')"),
        UsageBy::Block => ("dim", "kind = 'block_cpu_us'"),
    };
    let sum = |kind: &str| format!("coalesce(sum(amount) FILTER (WHERE kind = '{kind}'), 0)");
    let sums = ["executions", "jobs", "gpu_us", "worker_cpu_us", "block_cpu_us"].map(sum).join(", ");
    let select = format!(
        "SELECT CAST({key} AS TEXT), {sums} FROM (SELECT * FROM ({live}) UNION ALL SELECT * FROM wf_usage_hourly
           WHERE tenant_id = ?1 AND hour >= ?2 - ?2 % {HOUR_MS} AND hour < ?3) WHERE {kinds} GROUP BY 1 ORDER BY 1 LIMIT 10000"
    );
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(tenant.uuid().to_string())
        .bind(stored(query.from.millis())?)
        .bind(stored(query.to.millis())?)
        .fetch_all(db)
        .await?;
    let count = |amount: i64| u64::try_from(amount).unwrap_or(0);
    let usage = |(key, executions, jobs, gpu, worker, block): (String, i64, i64, i64, i64, i64)| Usage {
        key,
        executions: count(executions),
        jobs: count(jobs),
        gpu_us: count(gpu),
        worker_cpu_us: count(worker),
        block_cpu_us: count(block),
    };
    Ok(rows.into_iter().map(usage).collect())
}
