-- The first schema. Times are milliseconds since the epoch, ids are lower-case hyphenated UUIDv7, JSON is text.

CREATE TABLE wf_tenants (
  id TEXT PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active','suspended')),
  weight INTEGER NOT NULL DEFAULT 100 CHECK (weight BETWEEN 1 AND 10000),
  signing_secret BLOB, settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
INSERT INTO wf_tenants (id, slug, name, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000000', 'default', 'Default', unixepoch() * 1000, unixepoch() * 1000);

CREATE TABLE wf_workflows (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000' REFERENCES wf_tenants,
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255), description TEXT,
  definition TEXT NOT NULL DEFAULT '{"version":"1.0","nodes":[],"edges":[]}' CHECK (json_valid(definition)),
  status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft','active','archived')),
  current_version INTEGER NOT NULL DEFAULT 1, run_count INTEGER NOT NULL DEFAULT 0, last_run_at INTEGER, avg_duration_ms INTEGER,
  deleted_at INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX wf_workflows_list ON wf_workflows (tenant_id, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE wf_workflow_versions (
  workflow_id TEXT NOT NULL REFERENCES wf_workflows ON DELETE CASCADE, version INTEGER NOT NULL,
  definition TEXT NOT NULL CHECK (json_valid(definition)), digest TEXT NOT NULL,
  change_summary TEXT, changed_by TEXT, created_at INTEGER NOT NULL,
  PRIMARY KEY (workflow_id, version)
) STRICT;

CREATE TABLE wf_executions (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000' REFERENCES wf_tenants,
  workflow_id TEXT REFERENCES wf_workflows ON DELETE CASCADE, workflow_version INTEGER,
  definition TEXT CHECK (json_valid(definition)), pins TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(pins)),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending','running','completed','failed','cancelled')),
  execution_mode TEXT NOT NULL DEFAULT 'async' CHECK (execution_mode IN ('async','sync','background')),
  priority INTEGER NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
  input_data TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(input_data)), output_data TEXT CHECK (json_valid(output_data)),
  node_metrics TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(node_metrics)), progress TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
  error_code TEXT, error_message TEXT, error_node_id TEXT, error_item TEXT,
  error_cause TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(error_cause)),
  callback_url TEXT, callback_events TEXT CHECK (json_valid(callback_events)),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
  timeout_seconds INTEGER NOT NULL DEFAULT 300 CHECK (timeout_seconds BETWEEN 1 AND 86400), deadline_at INTEGER,
  max_retries INTEGER NOT NULL DEFAULT 3 CHECK (max_retries BETWEEN 0 AND 10), resume_count INTEGER NOT NULL DEFAULT 0,
  replayed_from TEXT REFERENCES wf_executions ON DELETE SET NULL, batch_id TEXT,
  lease_token INTEGER NOT NULL DEFAULT 0, event_seq INTEGER NOT NULL DEFAULT 0, traceparent TEXT,
  inference_jobs_pending INTEGER NOT NULL DEFAULT 0 CHECK (inference_jobs_pending >= 0),
  inference_jobs_completed INTEGER NOT NULL DEFAULT 0 CHECK (inference_jobs_completed >= 0),
  inference_jobs_failed INTEGER NOT NULL DEFAULT 0 CHECK (inference_jobs_failed >= 0),
  inference_jobs_cancelled INTEGER NOT NULL DEFAULT 0 CHECK (inference_jobs_cancelled >= 0),
  started_at INTEGER, completed_at INTEGER, duration_ms INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  CHECK ((status IN ('completed','failed','cancelled')) = (completed_at IS NOT NULL)),
  CHECK ((workflow_id IS NULL) = (definition IS NOT NULL))
) STRICT;
CREATE INDEX wf_executions_tenant ON wf_executions (tenant_id, id DESC);
CREATE INDEX wf_executions_workflow ON wf_executions (workflow_id, id DESC);
CREATE INDEX wf_executions_status ON wf_executions (tenant_id, status, id DESC);
CREATE INDEX wf_executions_created ON wf_executions (created_at);
CREATE INDEX wf_executions_batch ON wf_executions (batch_id, id) WHERE batch_id IS NOT NULL;
CREATE INDEX wf_executions_replayed ON wf_executions (replayed_from) WHERE replayed_from IS NOT NULL;

CREATE TABLE wf_ready_executions (
  rank INTEGER NOT NULL, vt INTEGER NOT NULL, execution_id TEXT NOT NULL UNIQUE REFERENCES wf_executions ON DELETE CASCADE,
  tenant_id TEXT NOT NULL, queued_at INTEGER NOT NULL, PRIMARY KEY (rank, vt, execution_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE wf_execution_leases (
  execution_id TEXT PRIMARY KEY REFERENCES wf_executions ON DELETE CASCADE, engine_id TEXT NOT NULL, lease_token INTEGER NOT NULL,
  tenant_id TEXT NOT NULL, workflow_id TEXT, claimed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_execution_leases_engine ON wf_execution_leases (engine_id);
CREATE INDEX wf_execution_leases_tenant ON wf_execution_leases (tenant_id);
CREATE TABLE wf_execution_events (
  execution_id TEXT NOT NULL REFERENCES wf_executions ON DELETE CASCADE, seq INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
  payload TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(payload) AND length(payload) <= 16384), PRIMARY KEY (execution_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE wf_inference_jobs (
  id TEXT PRIMARY KEY, execution_id TEXT NOT NULL REFERENCES wf_executions ON DELETE CASCADE, workflow_id TEXT,
  tenant_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000',
  node_id TEXT NOT NULL, item_path TEXT NOT NULL DEFAULT '',
  task TEXT NOT NULL CHECK (task IN ('detection','classification','embedding','segmentation')),
  model_id TEXT NOT NULL, model_source TEXT NOT NULL DEFAULT 'pretrained' CHECK (model_source IN ('pretrained','trained')), model_digest TEXT,
  params TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(params)), input TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(input)),
  pixels INTEGER NOT NULL DEFAULT 0 CHECK (pixels >= 0),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending','queued','running','completed','failed','cancelled')),
  progress INTEGER NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100), priority INTEGER NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
  vt INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 4 CHECK (max_attempts BETWEEN 1 AND 20),
  max_batch INTEGER CHECK (max_batch >= 1), lease_token INTEGER NOT NULL DEFAULT 0, worker_id TEXT,
  timeout_ms INTEGER NOT NULL DEFAULT 60000 CHECK (timeout_ms >= 1), run_at INTEGER,
  submitted_at INTEGER NOT NULL, started_at INTEGER, completed_at INTEGER,
  duration_ms INTEGER, queue_ms INTEGER, load_ms INTEGER, compute_ms INTEGER, batch_size INTEGER,
  result TEXT CHECK (json_valid(result) AND length(result) <= 1048576),
  error_class TEXT CHECK (error_class IN ('transient','oom','poison','model')), error_code TEXT,
  error_message TEXT CHECK (length(error_message) <= 4000),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)), traceparent TEXT,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (execution_id, node_id, item_path),
  CHECK (attempt BETWEEN 0 AND max_attempts),
  CHECK ((status IN ('completed','failed','cancelled')) = (completed_at IS NOT NULL))
) STRICT;
CREATE INDEX wf_inference_jobs_submitted ON wf_inference_jobs (submitted_at);
CREATE INDEX wf_inference_jobs_tenant ON wf_inference_jobs (tenant_id, id DESC);
CREATE INDEX wf_inference_jobs_workflow ON wf_inference_jobs (workflow_id, id DESC);

CREATE TABLE wf_ready_jobs (
  model_id TEXT NOT NULL, rank INTEGER NOT NULL, vt INTEGER NOT NULL, job_id TEXT NOT NULL UNIQUE,
  execution_id TEXT NOT NULL, tenant_id TEXT NOT NULL, pixels INTEGER NOT NULL, queued_at INTEGER NOT NULL, aged_at INTEGER NOT NULL,
  PRIMARY KEY (model_id, rank, vt, job_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE wf_job_leases (
  job_id TEXT PRIMARY KEY, lease_token INTEGER NOT NULL, worker_id TEXT NOT NULL, execution_id TEXT NOT NULL, tenant_id TEXT NOT NULL,
  model_id TEXT NOT NULL, claimed_at INTEGER NOT NULL, deadline_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_job_leases_worker ON wf_job_leases (worker_id);
CREATE INDEX wf_job_leases_deadline ON wf_job_leases (deadline_at);
CREATE INDEX wf_job_leases_execution ON wf_job_leases (execution_id);
CREATE TABLE wf_failed_jobs (
  job_id TEXT PRIMARY KEY REFERENCES wf_inference_jobs ON DELETE CASCADE, tenant_id TEXT NOT NULL, model_id TEXT NOT NULL,
  error_code TEXT NOT NULL, failed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_failed_jobs_list ON wf_failed_jobs (tenant_id, failed_at DESC);
CREATE TABLE wf_timers (
  due_at INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('job','execution','effect')), ref_id TEXT NOT NULL,
  PRIMARY KEY (due_at, kind, ref_id), UNIQUE (kind, ref_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE wf_workers (
  id TEXT PRIMARY KEY, role TEXT NOT NULL CHECK (role IN ('engine','worker')), name TEXT NOT NULL, version TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)), models TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(models)),
  device TEXT, memory_total INTEGER, memory_free INTEGER,
  state TEXT NOT NULL DEFAULT 'starting' CHECK (state IN ('starting','ready','draining','gone')),
  started_at INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL
) STRICT;

CREATE TABLE wf_models (
  tenant_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000' REFERENCES wf_tenants, id TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('pretrained','trained')),
  task TEXT NOT NULL CHECK (task IN ('detection','classification','embedding','segmentation')),
  name TEXT NOT NULL, digest TEXT, size INTEGER, format TEXT NOT NULL, spec TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(spec)),
  state TEXT NOT NULL DEFAULT 'available' CHECK (state IN ('available','disabled','broken')), blocked_until INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (tenant_id, id)
) STRICT;

CREATE TABLE wf_blobs (
  digest TEXT PRIMARY KEY CHECK (length(digest) = 71 AND digest GLOB 'sha256:*' AND substr(digest, 8) NOT GLOB '*[^0-9a-f]*'),
  size INTEGER NOT NULL, media_type TEXT NOT NULL, width INTEGER, height INTEGER,
  state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready','deleting')), deleting_at INTEGER, created_at INTEGER NOT NULL,
  CHECK ((state = 'deleting') = (deleting_at IS NOT NULL))
) STRICT;
CREATE INDEX wf_blobs_deleting ON wf_blobs (deleting_at) WHERE deleting_at IS NOT NULL;
CREATE TABLE wf_blob_refs (
  digest TEXT NOT NULL REFERENCES wf_blobs, tenant_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('upload','input','output','block','model')), ref_id TEXT NOT NULL, expires_at INTEGER,
  PRIMARY KEY (digest, tenant_id, kind, ref_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_blob_refs_owner ON wf_blob_refs (ref_id);
CREATE INDEX wf_blob_refs_expiry ON wf_blob_refs (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE wf_idempotency_keys (
  tenant_id TEXT NOT NULL, key TEXT NOT NULL, request_hash BLOB NOT NULL CHECK (length(request_hash) = 32), resource_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL, PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_idempotency_keys_expiry ON wf_idempotency_keys (expires_at);
CREATE INDEX wf_idempotency_keys_resource ON wf_idempotency_keys (resource_id);

-- A terminal row never changes its status, and no other jump is possible than these.
CREATE TRIGGER wf_inference_jobs_guard BEFORE UPDATE OF status ON wf_inference_jobs
WHEN NEW.status <> OLD.status AND OLD.status || '>' || NEW.status NOT IN (
  'pending>queued','pending>cancelled','pending>failed','queued>running','queued>pending','queued>cancelled','queued>failed',
  'running>completed','running>failed','running>cancelled','running>queued','running>pending')
BEGIN SELECT RAISE(ABORT, 'an inference job cannot change from its status to that one'); END;
CREATE TRIGGER wf_executions_guard BEFORE UPDATE OF status ON wf_executions
WHEN NEW.status <> OLD.status AND OLD.status || '>' || NEW.status NOT IN (
  'pending>running','pending>cancelled','pending>failed','running>completed','running>failed','running>cancelled')
BEGIN SELECT RAISE(ABORT, 'an execution cannot change from its status to that one'); END;

-- A lease token only grows.
CREATE TRIGGER wf_inference_jobs_token BEFORE UPDATE OF lease_token ON wf_inference_jobs WHEN NEW.lease_token < OLD.lease_token
BEGIN SELECT RAISE(ABORT, 'the lease token of an inference job cannot go back'); END;
CREATE TRIGGER wf_executions_token BEFORE UPDATE OF lease_token ON wf_executions WHEN NEW.lease_token < OLD.lease_token
BEGIN SELECT RAISE(ABORT, 'the lease token of an execution cannot go back'); END;

-- Counters follow from status alone.
CREATE TRIGGER wf_inference_jobs_count_new AFTER INSERT ON wf_inference_jobs
BEGIN
  UPDATE wf_executions SET
    inference_jobs_pending = inference_jobs_pending + (NEW.status IN ('pending','queued','running')),
    inference_jobs_completed = inference_jobs_completed + (NEW.status = 'completed'),
    inference_jobs_failed = inference_jobs_failed + (NEW.status = 'failed'),
    inference_jobs_cancelled = inference_jobs_cancelled + (NEW.status = 'cancelled'),
    updated_at = max(updated_at, NEW.updated_at)
  WHERE id = NEW.execution_id;
END;
CREATE TRIGGER wf_inference_jobs_count AFTER UPDATE OF status ON wf_inference_jobs
WHEN NEW.status <> OLD.status AND NOT (NEW.status IN ('pending','queued','running') AND OLD.status IN ('pending','queued','running'))
BEGIN
  UPDATE wf_executions SET
    inference_jobs_pending = inference_jobs_pending - 1,
    inference_jobs_completed = inference_jobs_completed + (NEW.status = 'completed'),
    inference_jobs_failed = inference_jobs_failed + (NEW.status = 'failed'),
    inference_jobs_cancelled = inference_jobs_cancelled + (NEW.status = 'cancelled'),
    updated_at = max(updated_at, NEW.updated_at)
  WHERE id = NEW.execution_id;
END;

-- Whoever changes a row without setting updated_at moves it all the same. The columns that change often and only together
-- with a statement that sets updated_at (counters, event_seq) do not pay for the check.
CREATE TRIGGER wf_workflows_touch AFTER UPDATE OF name, description, definition, status, current_version, deleted_at ON wf_workflows
WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_workflows SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = NEW.id; END;
CREATE TRIGGER wf_executions_touch AFTER UPDATE OF status, pins, output_data, node_metrics, progress, error_code, error_message, metadata, lease_token, priority
ON wf_executions WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_executions SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = NEW.id; END;
CREATE TRIGGER wf_inference_jobs_touch AFTER UPDATE ON wf_inference_jobs WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_inference_jobs SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = NEW.id; END;
CREATE TRIGGER wf_models_touch AFTER UPDATE ON wf_models WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_models SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE tenant_id = NEW.tenant_id AND id = NEW.id; END;
