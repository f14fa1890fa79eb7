-- What is recorded about a node, and about each of its items in a loop, is a row: who writes one does not write the others anew.
-- `item_path` is empty for the node as a whole, else its loop indexes (`3`, `3/1`). Null fields are left out of a record.
CREATE TABLE wf_node_records (
  execution_id TEXT NOT NULL REFERENCES wf_executions ON DELETE CASCADE, node_id TEXT NOT NULL, item_path TEXT NOT NULL DEFAULT '',
  record TEXT NOT NULL CHECK (json_valid(record)), PRIMARY KEY (execution_id, node_id, item_path)
) STRICT, WITHOUT ROWID;
INSERT INTO wf_node_records (execution_id, node_id, item_path, record)
SELECT e.id, n.key, '', n.value FROM wf_executions e JOIN json_each(e.node_metrics) n
WHERE json_type(e.node_metrics) = 'object' AND n.type = 'object';

DROP TRIGGER wf_executions_touch;
ALTER TABLE wf_executions DROP COLUMN node_metrics;
CREATE TRIGGER wf_executions_touch AFTER UPDATE OF status, pins, output_data, progress, error_code, error_message, metadata, lease_token, priority
ON wf_executions WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_executions SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = NEW.id; END;

-- What a definition that came with its run means, as `wf_workflow_versions.digest` says it of a saved one: plans are known by it.
-- The program fills in what is null and not ended when it opens the file.
ALTER TABLE wf_executions ADD COLUMN definition_digest TEXT;

-- What a run cost. Null: it is older than these columns, or not all of it is known.
ALTER TABLE wf_executions ADD COLUMN block_cpu_us INTEGER CHECK (block_cpu_us >= 0);
ALTER TABLE wf_executions ADD COLUMN worker_cpu_ms INTEGER CHECK (worker_cpu_ms >= 0);
ALTER TABLE wf_executions ADD COLUMN gpu_ms INTEGER CHECK (gpu_ms >= 0);
