//! `/tenants` and `/me`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sightflow_store::{NewTenant, PageRequest, Scope, TenantChange, TenantStatus};
use sightflow_types::TenantId;
use utoipa::{IntoParams, ToSchema};

use crate::caller::{Allowed, Caller};
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{self, Path, Query};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::quota::QuotaView;
use crate::views::tenant::TenantView;
use crate::views::workflow::Deleted;
use crate::{etag, schema};

/// Most characters of a name.
const NAME: usize = 255;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTenant {
    /// 1 to 63 lower-case letters, digits and inner hyphens.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    slug: String,
    /// 1..255 characters, not only spaces.
    #[schema(min_length = 1, max_length = 255, pattern = "\\S")]
    name: String,
    /// 1..10000, default 100.
    #[schema(minimum = 1, maximum = 10000)]
    #[serde(default, deserialize_with = "whole")]
    weight: Option<u16>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchTenant {
    /// 1..255 characters, not only spaces.
    #[schema(min_length = 1, max_length = 255, pattern = "\\S")]
    name: Option<String>,
    /// `active` or `suspended`.
    #[schema(value_type = Option<schema::TenantStatus>)]
    status: Option<TenantStatus>,
    /// 1..10000.
    #[schema(minimum = 1, maximum = 10000)]
    #[serde(default, deserialize_with = "whole")]
    weight: Option<u16>,
}

/// JSON knows numbers and no integers: `100.0` is as good as `100`.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&number) {
        return Ok(Some(number as u16));
    }
    Err(serde::de::Error::custom(format_args!("{number} is not a whole number of 1 to 10000")))
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    tenant: TenantView,
    /// What it may do.
    #[schema(value_type = Vec<schema::Scope>)]
    scopes: Vec<Scope>,
    /// What the tenant may have.
    limits: QuotaView,
}

/// 1..255 characters, not only spaces.
pub(super) fn checked_name(name: String) -> Result<String, ApiError> {
    if name.trim().is_empty() || name.chars().count() > NAME {
        return Err(ApiError::field("/name", "`name` must be 1 to 255 characters, not only spaces"));
    }
    Ok(name)
}

fn checked_weight(weight: u16) -> Result<u16, ApiError> {
    if (1..=10_000).contains(&weight) {
        return Ok(weight);
    }
    Err(ApiError::field("/weight", "`weight` must be 1 to 10000"))
}

/// The caller's tenant and scopes.
#[utoipa::path(get, path = "/me", tag = "tenants", responses((status = 200, body = Me)))]
pub(crate) async fn me(
    State(state): State<ApiState>,
    caller: Caller,
    Allowed(quotas): Allowed,
) -> Result<Json<Me>, ApiError> {
    let tenant = state.store.tenant(caller.tenant).await?.into();
    Ok(Json(Me { tenant, scopes: caller.scopes.iter().collect(), limits: QuotaView::from(&*quotas) }))
}

/// All tenants, newest first.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(PageQuery), responses((status = 200, body = Page<TenantView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TenantView>>, ApiError> {
    let window = page.window("tenants")?;
    let wanted = PageRequest { limit: window.limit, before: window.after_id()?.map(TenantId::from_uuid) };
    let found = state.store.tenants(wanted).await?;
    let total = page.count(state.store.count_tenants()).await?;
    let next = found.next.map(TenantId::uuid);
    Ok(Json(window.page(found.items, next, TenantView::from).with_total(total)))
}

/// Creates a tenant.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = CreateTenant,
    responses((status = 201, body = TenantView), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    extract::Json(body, _held): extract::Json<CreateTenant>,
) -> Result<(StatusCode, Json<TenantView>), ApiError> {
    let slug =
        body.slug.parse().map_err(|error: sightflow_store::InvalidSlug| ApiError::field("/slug", error.to_string()))?;
    let weight = checked_weight(body.weight.unwrap_or(100))?;
    let new = NewTenant { slug, name: checked_name(body.name)?, weight };
    Ok((StatusCode::CREATED, Json(state.store.create_tenant(new).await?.into())))
}

/// One tenant.
#[utoipa::path(get, path = "/tenants/{id}", tag = "tenants", params(("id" = schema::TenantId, Path)),
    responses((status = 200, body = TenantView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(id): Path<TenantId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    etag::json(&headers, &TenantView::from(state.store.tenant(id).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// The tenant's slug: whoever deletes knows what.
    #[param(min_length = 1, max_length = 63)]
    confirm: String,
}

/// Deletes a tenant with everything that it has. Executions that have not ended are cancelled before by somebody who may.
#[utoipa::path(delete, path = "/tenants/{id}", tag = "tenants", params(("id" = schema::TenantId, Path), DeleteQuery),
    responses((status = 200, body = Deleted), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Path(id): Path<TenantId>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, ApiError> {
    let tenant = state.store.tenant(id).await?;
    if tenant.slug.as_str() != query.confirm {
        let message = format!("`?confirm=` is not the slug of this tenant: {}", tenant.slug);
        return Err(ApiError::new(Code::Conflict, message));
    }
    let deleted = state.store.delete_tenant(id).await;
    state.key_cache.clear();
    deleted?;
    Ok(Json(Deleted { id: id.to_string(), deleted: true }))
}

/// Changes a tenant. `suspended` refuses its keys from now on; nothing of it is deleted.
#[utoipa::path(patch, path = "/tenants/{id}", tag = "tenants", params(("id" = schema::TenantId, Path)), request_body = PatchTenant,
    responses((status = 200, body = TenantView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Path(id): Path<TenantId>,
    extract::Json(body, _held): extract::Json<PatchTenant>,
) -> Result<Json<TenantView>, ApiError> {
    let change = TenantChange {
        name: body.name.map(checked_name).transpose()?,
        status: body.status,
        weight: body.weight.map(checked_weight).transpose()?,
    };
    let changed = state.store.update_tenant(id, change).await?;
    state.key_cache.clear();
    Ok(Json(changed.into()))
}
