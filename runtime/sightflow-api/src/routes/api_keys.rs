//! `/api-keys`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sightflow_store::{KeySecret, NewApiKey, PageRequest, Scope};
use sightflow_types::{KeyId, TenantId, Timestamp};
use utoipa::ToSchema;

use super::tenants::checked_name;
use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{self, Path, Query};
use crate::page::{Page, PageQuery};
use crate::schema;
use crate::state::ApiState;
use crate::views::tenant::ApiKeyView;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// Default: the caller's.
    #[schema(value_type = Option<schema::TenantId>)]
    tenant_id: Option<TenantId>,
    /// 1..255 characters, not only spaces.
    #[schema(min_length = 1, max_length = 255, pattern = "\\S")]
    name: String,
    /// At least one, and none that the caller does not have.
    #[schema(value_type = Vec<schema::Scope>, min_items = 1)]
    scopes: BTreeSet<Scope>,
    /// Default: never.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
}

/// A new key; the only answer that has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    /// The key: keep it, it is not shown again.
    key: String,
    #[serde(flatten)]
    about: ApiKeyView,
}

/// All keys, newest first, revoked ones too.
#[utoipa::path(get, path = "/api-keys", tag = "tenants", params(PageQuery), responses((status = 200, body = Page<ApiKeyView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ApiKeyView>>, ApiError> {
    let window = page.window("api-keys")?;
    let wanted = PageRequest { limit: window.limit, before: window.after_id()?.map(KeyId::from_uuid) };
    let found = state.store.api_keys(None, wanted).await?;
    let total = page.count(state.store.count_api_keys()).await?;
    let next = found.next.map(KeyId::uuid);
    Ok(Json(window.page(found.items, next, ApiKeyView::from).with_total(total)))
}

/// Creates a key for a tenant.
#[utoipa::path(post, path = "/api-keys", tag = "tenants", request_body = CreateKey,
    responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    extract::Json(body, _held): extract::Json<CreateKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    if body.scopes.is_empty() {
        return Err(ApiError::field("/scopes", "`scopes` must name at least one"));
    }
    if let Some(scope) = body.scopes.iter().find(|scope| !caller.scopes.has(**scope)) {
        let message = format!("a key cannot have the scope `{scope}`, which yours does not have");
        return Err(ApiError::at(Code::ScopeMissing, "/scopes", message));
    }
    if body.expires_at.is_some_and(|end| end <= state.store.now()) {
        return Err(ApiError::at(Code::ExpiryPassed, "/expires_at", "`expires_at` is in the past"));
    }
    let secret = KeySecret::generate()?;
    let new = NewApiKey {
        tenant_id: body.tenant_id.unwrap_or(caller.tenant),
        name: checked_name(body.name)?,
        scopes: body.scopes,
        expires_at: body.expires_at,
        secret: secret.clone(),
    };
    let about = state.store.create_key(new).await?.into();
    Ok((StatusCode::CREATED, Json(CreatedKey { key: secret.reveal().to_owned(), about })))
}

/// Revokes a key: within 5 seconds it is refused everywhere.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "tenants", params(("id" = schema::KeyId, Path)),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn revoke(State(state): State<ApiState>, Path(id): Path<KeyId>) -> Result<StatusCode, ApiError> {
    state.store.revoke_key(id).await?;
    state.key_cache.clear();
    Ok(StatusCode::NO_CONTENT)
}
