-- Whose signatures under block packages a tenant trusts: Ed25519 public keys by name.
CREATE TABLE wf_publishers (
  tenant_id TEXT NOT NULL, name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64), public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  created_at INTEGER NOT NULL, PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
-- Who had signed the version when it was published.
ALTER TABLE wf_block_versions ADD COLUMN signed_by TEXT;
