-- What ended executions used that were deleted since, by the hour in which they ended. That of executions which are still there is
-- read from their own rows: nothing is written twice for a run.
-- `kind`: executions; jobs, worker_cpu_us and gpu_us by model; block_cpu_us by block.
CREATE TABLE wf_usage_hourly (
  tenant_id TEXT NOT NULL, hour INTEGER NOT NULL, workflow_id TEXT NOT NULL, kind TEXT NOT NULL, dim TEXT NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0), PRIMARY KEY (tenant_id, hour, workflow_id, kind, dim)
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_executions_ended ON wf_executions (tenant_id, completed_at) WHERE completed_at IS NOT NULL;
