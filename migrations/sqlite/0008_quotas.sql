-- What a tenant may have of something where it is not the default; null is no limit.
CREATE TABLE wf_quotas (
  tenant_id TEXT NOT NULL REFERENCES wf_tenants ON DELETE CASCADE, name TEXT NOT NULL, value INTEGER CHECK (value >= 0),
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
