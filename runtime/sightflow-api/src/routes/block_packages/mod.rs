//! `/block-packages`: blocks of one's own, published while the server runs.

mod change;
mod grants;
mod publish;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sightflow_store::{BlockPackage, BlockVersion, PackageKey};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::etag;
use crate::extract::{Path, Query};
use crate::page::{Page, PageQuery};
use crate::routes::blobs::pieces;
use crate::schema;
use crate::state::ApiState;
use crate::views::block_package::{PackageView, VersionView};

pub(crate) use change::{
    __path_activate, __path_delete, __path_delete_version, __path_rollback, activate, delete, delete_version, rollback,
};
pub(crate) use grants::{__path_grant, grant};
pub(crate) use publish::{__path_publish, publish};
pub use publish::{checked_package, refused_component};

/// The caller's packages, newest first.
#[utoipa::path(get, path = "/block-packages", tag = "block packages", params(PageQuery), responses((status = 200, body = Page<PackageView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PackageView>>, ApiError> {
    let window = page.window("block packages")?;
    let packages = state.store.block_packages(caller.tenant).await?;
    let key = |package: &BlockPackage| *package.id.uuid().as_bytes();
    let packages = window.slice(packages, key, |package, after| key(package).as_slice() < after, page.total);
    Ok(Json(packages.map(|package| PackageView::new(&state, package))))
}

/// One package, by its id or by its name `namespace/package`.
#[utoipa::path(get, path = "/block-packages/{id}", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`.")),
    responses((status = 200, body = PackageView), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let package = state.store.block_package(caller.tenant, key).await?;
    etag::json(&headers, &PackageView::new(&state, package))
}

/// Versions of a package, newest first.
#[utoipa::path(get, path = "/block-packages/{id}/versions", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`."), PageQuery),
    responses((status = 200, body = Page<VersionView>), (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<VersionView>>, ApiError> {
    let package = state.store.block_package(caller.tenant, key).await?;
    let window = page.window(("block versions", package.id))?;
    let versions = state.store.block_versions(caller.tenant, package.id).await?;
    let key = |version: &BlockVersion| {
        let mut key = version.created_at.millis().to_be_bytes().to_vec();
        key.extend(version.version.as_bytes());
        key
    };
    let versions = window.slice(versions, key, |version, after| key(version).as_slice() < after, page.total);
    Ok(Json(versions.map(|version| VersionView::item(&state, caller.tenant, &package.grants, version))))
}

/// One version with the manifests of its blocks.
#[utoipa::path(get, path = "/block-packages/{id}/versions/{version}", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`."), ("version" = String, Path)),
    responses((status = 200, body = VersionView), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn version(
    State(state): State<ApiState>,
    caller: Caller,
    Path((key, version)): Path<(PackageKey, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (package, found) = find(&state, caller, key, &version).await?;
    etag::json(&headers, &VersionView::full(&state, caller.tenant, &package.grants, found))
}

/// The bytes of a version's component.
#[utoipa::path(get, path = "/block-packages/{id}/versions/{version}/component", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`."), ("version" = String, Path)),
    responses((status = 200, description = "The component", content_type = "application/wasm"), (status = 404, body = ErrorBody), (status = 409, description = "The stored bytes are damaged", body = ErrorBody)))]
pub(crate) async fn component(
    State(state): State<ApiState>,
    caller: Caller,
    Path((key, version)): Path<(PackageKey, String)>,
) -> Result<Response, ApiError> {
    let found = find(&state, caller, key, &version).await?.1;
    // Withdrawn bytes go when nobody needs them any more: then there is no reference either.
    let blob = state.store.blob(caller.tenant, &found.digest).await?;
    let body = pieces::body(&state, blob.digest, blob.size, 0..blob.size).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/wasm")),
        (header::CONTENT_LENGTH, HeaderValue::from(blob.size)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    Ok((headers, body).into_response())
}

/// A version and its package.
async fn find(
    state: &ApiState,
    caller: Caller,
    key: PackageKey,
    version: &str,
) -> Result<(BlockPackage, BlockVersion), ApiError> {
    let package = state.store.block_package(caller.tenant, key).await?;
    let version = state.store.block_version(caller.tenant, package.id, version).await?;
    Ok((package, version))
}
