-- Keys of tenants. Of a key itself only its SHA-256 is stored, and its first characters, for people who look for it.
CREATE TABLE wf_api_keys (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES wf_tenants ON DELETE CASCADE, name TEXT NOT NULL, prefix TEXT NOT NULL,
  key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
  scopes TEXT NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
  expires_at INTEGER, last_used_at INTEGER, revoked_at INTEGER, created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX wf_api_keys_tenant ON wf_api_keys (tenant_id, id);
-- A key that was revoked stays so, whoever writes.
CREATE TRIGGER wf_api_keys_revoked BEFORE UPDATE OF revoked_at ON wf_api_keys
WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at
BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END;
