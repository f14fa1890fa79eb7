-- A definition can be a mebibyte. It is kept once, and in the last column of its version: what stands before it is read without
-- it, and counting a run writes no definition anew. Its size in nodes and edges stands beside it.

CREATE TABLE wf_workflow_versions_new (
  workflow_id TEXT NOT NULL REFERENCES wf_workflows ON DELETE CASCADE, version INTEGER NOT NULL, digest TEXT NOT NULL,
  node_count INTEGER NOT NULL CHECK (node_count >= 0), edge_count INTEGER NOT NULL CHECK (edge_count >= 0),
  warnings TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
  change_summary TEXT, changed_by TEXT, created_at INTEGER NOT NULL,
  definition TEXT NOT NULL CHECK (json_valid(definition)),
  PRIMARY KEY (workflow_id, version)
) STRICT;
INSERT INTO wf_workflow_versions_new SELECT workflow_id, version, digest, coalesce(json_array_length(definition, '$.nodes'), 0),
  coalesce(json_array_length(definition, '$.edges'), 0), warnings, change_summary, changed_by, created_at, definition FROM wf_workflow_versions;
DROP TABLE wf_workflow_versions;
ALTER TABLE wf_workflow_versions_new RENAME TO wf_workflow_versions;

-- That of the newest version.
DROP TRIGGER wf_workflows_touch;
ALTER TABLE wf_workflows DROP COLUMN definition;
CREATE TRIGGER wf_workflows_touch AFTER UPDATE OF name, description, status, current_version, deleted_at ON wf_workflows
WHEN NEW.updated_at IS OLD.updated_at
BEGIN UPDATE wf_workflows SET updated_at = max(OLD.updated_at + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = NEW.id; END;
