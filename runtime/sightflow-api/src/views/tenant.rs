//! Tenants and keys on the wire.

use serde::Serialize;
use sightflow_store::{ApiKey, Scope, Tenant, TenantStatus};
use sightflow_types::{KeyId, TenantId, Timestamp};
use utoipa::ToSchema;

use crate::schema;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantView {
    #[schema(value_type = schema::TenantId)]
    id: TenantId,
    slug: String,
    name: String,
    /// `active` or `suspended`.
    #[schema(value_type = schema::TenantStatus)]
    status: TenantStatus,
    /// Its share among others.
    weight: u16,
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    #[schema(value_type = schema::Time)]
    updated_at: Timestamp,
}

impl From<Tenant> for TenantView {
    fn from(row: Tenant) -> Self {
        Self {
            id: row.id,
            slug: row.slug.to_string(),
            name: row.name,
            status: row.status,
            weight: row.weight,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A key, without itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyView {
    #[schema(value_type = schema::KeyId)]
    id: KeyId,
    #[schema(value_type = schema::TenantId)]
    tenant_id: TenantId,
    name: String,
    /// Its first characters.
    prefix: String,
    #[schema(value_type = Vec<schema::Scope>)]
    scopes: Vec<Scope>,
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
    /// Exact to a minute.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<schema::Time>)]
    revoked_at: Option<Timestamp>,
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<ApiKey> for ApiKeyView {
    fn from(row: ApiKey) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            name: row.name,
            prefix: row.prefix,
            scopes: row.scopes.into_iter().collect(),
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            created_at: row.created_at,
        }
    }
}
