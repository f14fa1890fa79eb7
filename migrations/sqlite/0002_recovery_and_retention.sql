-- What recovery, retention and cheap admission need.

-- What a check of a definition found is kept with the version, so that reading a workflow asks no block.
ALTER TABLE wf_workflow_versions ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings));

-- Names as searches compare them (normal form, case folded). The program fills in what is null when it opens the file.
ALTER TABLE wf_workflows ADD COLUMN search TEXT;
ALTER TABLE wf_models ADD COLUMN search TEXT;

-- A lease without a deadline: the job was claimed, but its model is still loading and computing has not begun.
CREATE TABLE wf_job_leases_new (
  job_id TEXT PRIMARY KEY, lease_token INTEGER NOT NULL, worker_id TEXT NOT NULL, execution_id TEXT NOT NULL, tenant_id TEXT NOT NULL,
  model_id TEXT NOT NULL, claimed_at INTEGER NOT NULL, deadline_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO wf_job_leases_new SELECT job_id, lease_token, worker_id, execution_id, tenant_id, model_id, claimed_at, deadline_at FROM wf_job_leases;
DROP TABLE wf_job_leases;
ALTER TABLE wf_job_leases_new RENAME TO wf_job_leases;
CREATE INDEX wf_job_leases_worker ON wf_job_leases (worker_id);
CREATE INDEX wf_job_leases_deadline ON wf_job_leases (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX wf_job_leases_execution ON wf_job_leases (execution_id);

-- Takeovers since anything new was achieved, and what had been achieved at the last of them: completed nodes and jobs.
ALTER TABLE wf_executions ADD COLUMN stalled_resumes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE wf_executions ADD COLUMN progress_mark INTEGER NOT NULL DEFAULT 0;
-- A run's time counts from its acceptance, also while it waits.
UPDATE wf_executions SET deadline_at = created_at + timeout_seconds * 1000 WHERE deadline_at IS NULL AND status = 'pending';
CREATE INDEX wf_executions_deadline ON wf_executions (deadline_at) WHERE status IN ('pending','running');

-- Admission reads one row instead of counting.
CREATE TABLE wf_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL CHECK (value >= 0)) STRICT, WITHOUT ROWID;
INSERT INTO wf_counters SELECT 'waiting_executions', count(*) FROM wf_ready_executions;
CREATE TRIGGER wf_ready_executions_count_in AFTER INSERT ON wf_ready_executions
BEGIN UPDATE wf_counters SET value = value + 1 WHERE name = 'waiting_executions'; END;
CREATE TRIGGER wf_ready_executions_count_out AFTER DELETE ON wf_ready_executions
BEGIN UPDATE wf_counters SET value = value - 1 WHERE name = 'waiting_executions'; END;

-- A blob that lost its last reference, since when. Bytes that were deleted, for as long as someone may believe to have seen them.
ALTER TABLE wf_blobs ADD COLUMN unreferenced_at INTEGER;
UPDATE wf_blobs SET unreferenced_at = created_at WHERE NOT EXISTS (SELECT 1 FROM wf_blob_refs r WHERE r.digest = wf_blobs.digest);
CREATE INDEX wf_blobs_unreferenced ON wf_blobs (unreferenced_at) WHERE unreferenced_at IS NOT NULL;
CREATE TABLE wf_deleted_blobs (digest TEXT PRIMARY KEY, deleted_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX wf_deleted_blobs_time ON wf_deleted_blobs (deleted_at);

-- Written to learn whether a row can be written.
CREATE TABLE wf_probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
