-- Block packages of tenants. `name` is `namespace/package`; `folded` is the form in which names are compared.
-- A row that was deleted stays: its versions keep their bytes, and the name its history.
CREATE TABLE wf_block_packages (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000', name TEXT NOT NULL CHECK (length(name) BETWEEN 3 AND 129),
  folded TEXT NOT NULL, active_version TEXT, previous_version TEXT, revision INTEGER NOT NULL, deleted_at INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, UNIQUE (tenant_id, folded),
  CHECK (deleted_at IS NULL OR active_version IS NULL)
) STRICT, WITHOUT ROWID;
-- Processes ask again and again for what changed after the revision that they know.
CREATE INDEX wf_block_packages_revision ON wf_block_packages (revision, tenant_id);

-- `released`: the bytes may go; only versions that were yanked.
CREATE TABLE wf_block_versions (
  package_id TEXT NOT NULL REFERENCES wf_block_packages ON DELETE CASCADE, version TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL CHECK (size > 0),
  manifests TEXT NOT NULL CHECK (json_valid(manifests)), wit_version TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('published','quarantined','yanked')), reason TEXT, released INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0,1)),
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (package_id, version), CHECK (released = 0 OR state = 'yanked')
) STRICT, WITHOUT ROWID;
CREATE INDEX wf_block_versions_digest ON wf_block_versions (digest);
CREATE INDEX wf_block_versions_yanked ON wf_block_versions (package_id) WHERE state = 'yanked' AND released = 0;
CREATE TRIGGER wf_block_versions_bytes BEFORE UPDATE OF digest, size ON wf_block_versions WHEN NEW.digest <> OLD.digest OR NEW.size <> OLD.size
BEGIN SELECT RAISE(ABORT, 'the bytes of a published version cannot change'); END;

-- The revision of the last change of a package.
INSERT INTO wf_counters (name, value) VALUES ('block_packages', 0);
