-- What tenants granted to their block packages: {"capabilities": [..], "secrets": {"NAME_IN_THE_BLOCK": "stored name"}}.
ALTER TABLE wf_block_packages ADD COLUMN grants TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(grants));

-- Sealed with the key of the installation; nothing here can be read without it.
CREATE TABLE wf_secrets (
  tenant_id TEXT NOT NULL, name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64), ciphertext BLOB NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
