//! Which version is active, and which can be named at all.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use sightflow_engine::BlockEntry;
use sightflow_store::{BlockPackage, PackageKey, Quarantined};
use sightflow_types::PackageId;
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Path, Query};
use crate::schema;
use crate::state::ApiState;
use crate::views::block_package::PackageView;

/// Which version becomes active.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activate {
    version: String,
    /// Also when it is quarantined.
    #[serde(default)]
    force: bool,
}

/// Makes a version the active one. Running executions go on with what they began with.
#[utoipa::path(post, path = "/block-packages/{id}/activate", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`.")), request_body = Activate,
    responses((status = 200, body = PackageView), (status = 404, body = ErrorBody), (status = 409, description = "It is quarantined or was withdrawn", body = ErrorBody)))]
pub(crate) async fn activate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
    crate::extract::Json(body, _charge): crate::extract::Json<Activate>,
) -> Result<Json<PackageView>, ApiError> {
    let (package, version) = find(&state, caller, key, &body.version).await?;
    let quarantined = if body.force { Quarantined::Release } else { Quarantined::Refuse };
    let changed = state.store.activate_block_version(caller.tenant, package.id, &version.version, quarantined).await?;
    shown(&state, changed).await
}

/// Makes the previous version the active one, and the active one the previous.
#[utoipa::path(post, path = "/block-packages/{id}/rollback", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`.")),
    responses((status = 200, body = PackageView), (status = 404, body = ErrorBody), (status = 409, description = "There is none", body = ErrorBody)))]
pub(crate) async fn rollback(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
) -> Result<Json<PackageView>, ApiError> {
    let package = state.store.block_package(caller.tenant, key).await?;
    let changed = state.store.roll_back_block_package(caller.tenant, package.id).await?;
    shown(&state, changed).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// Also when an active workflow uses it.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    force: bool,
}

/// Withdraws a version: nobody can name it any more, and executions that began with it end with it.
#[utoipa::path(delete, path = "/block-packages/{id}/versions/{version}", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`."), ("version" = String, Path), DeleteQuery),
    responses((status = 200, body = PackageView), (status = 404, body = ErrorBody), (status = 409, description = "An active workflow uses it", body = ErrorBody)))]
pub(crate) async fn delete_version(
    State(state): State<ApiState>,
    caller: Caller,
    Path((key, version)): Path<(PackageKey, String)>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<PackageView>, ApiError> {
    let (package, version) = find(&state, caller, key, &version).await?;
    if !query.force {
        let used = |entry: &BlockEntry| entry.block.version.to_string() == version.version;
        unused(&state, caller, &package, used).await?;
    }
    let changed = state.store.yank_block_version(caller.tenant, package.id, &version.version).await?;
    shown(&state, changed).await
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedBlockPackage)]
pub(crate) struct Deleted {
    #[schema(value_type = schema::PackageId)]
    id: PackageId,
    deleted: bool,
}

/// Withdraws every version of a package, and the package with them.
#[utoipa::path(delete, path = "/block-packages/{id}", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`."), DeleteQuery),
    responses((status = 200, body = Deleted), (status = 404, body = ErrorBody), (status = 409, description = "An active workflow uses it", body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, ApiError> {
    let package = state.store.block_package(caller.tenant, key).await?;
    if !query.force {
        unused(&state, caller, &package, |_| true).await?;
    }
    state.store.delete_block_package(caller.tenant, package.id).await?;
    state.packages.refresh(caller.tenant).await?;
    Ok(Json(Deleted { id: package.id, deleted: true }))
}

/// Refuses with `in_use` while an active workflow names such a block of the package.
async fn unused(
    state: &ApiState,
    caller: Caller,
    package: &BlockPackage,
    such: impl Fn(&BlockEntry) -> bool,
) -> Result<(), ApiError> {
    let named = state.store.block_types_in_use(caller.tenant).await?;
    let catalog = state.blocks(caller.tenant);
    let uses =
        |named: &&String| catalog.resolve(named).is_ok_and(|entry| entry.block.package == package.name && such(entry));
    match named.iter().find(uses) {
        None => Ok(()),
        Some(used) => {
            let message = format!("an active workflow uses `{used}`; archive it, or delete with `?force=true`");
            Err(ApiError::new(Code::InUse, message))
        }
    }
}

/// The package, after this process's blocks have followed its change.
pub(super) async fn shown(state: &ApiState, package: BlockPackage) -> Result<Json<PackageView>, ApiError> {
    state.packages.refresh(package.tenant_id).await?;
    Ok(Json(PackageView::new(state, package)))
}
