-- What tenants granted to their block packages: {"capabilities": [..], "secrets": {"NAME_IN_THE_BLOCK": "stored name"}}.
ALTER TABLE wf_block_packages ADD COLUMN grants TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(grants));

-- Sealed with the key of the installation; nothing here can be read without it.
CREATE TABLE wf_secrets (
  tenant_id TEXT NOT NULL, name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64), ciphertext BLOB NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- Calls of blocks that reach out, one row for a node and an item. A row says `sending` before anything leaves; one that is
-- found so by a later lease may have arrived. `pending`: it failed, and may be tried again.
CREATE TABLE wf_effects (
  id TEXT PRIMARY KEY, execution_id TEXT NOT NULL REFERENCES wf_executions ON DELETE CASCADE, tenant_id TEXT NOT NULL,
  node_id TEXT NOT NULL, item_path TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL CHECK (kind IN ('block')),
  state TEXT NOT NULL CHECK (state IN ('pending','sending','done','failed')), attempt INTEGER NOT NULL CHECK (attempt >= 1),
  lease_token INTEGER NOT NULL, response TEXT CHECK (json_valid(response)), error TEXT CHECK (json_valid(error)),
  created_at INTEGER NOT NULL, completed_at INTEGER,
  UNIQUE (execution_id, node_id, item_path)
) STRICT;
