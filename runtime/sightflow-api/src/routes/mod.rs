//! Handlers, one module per resource, and the table of routes.

mod api_keys;
pub(crate) mod blobs;
mod block_packages;
mod blocks;
mod error_reference;
mod events;
mod executions;
mod fleet;
mod health;
mod jobs;
mod models;
pub(crate) mod openapi;
mod publishers;
mod quotas;
mod runs;
mod secrets;
mod tenants;
mod usage;
mod workflows;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use block_packages::{checked_package, refused_component};

use crate::state::ApiState;

/// Everything under the base path.
pub(crate) fn api() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(workflows::list, workflows::create))
        .routes(routes!(workflows::validate))
        .routes(routes!(workflows::get, workflows::patch, workflows::delete))
        .routes(routes!(workflows::duplicate))
        .routes(routes!(workflows::versions))
        .routes(routes!(workflows::get_version))
        .routes(routes!(workflows::restore))
        .routes(routes!(workflows::diff))
        .routes(routes!(executions::of_workflow))
        .routes(routes!(workflows::clear_executions))
        .routes(routes!(runs::run))
        .routes(routes!(runs::execute))
        .routes(routes!(runs::run_inline))
        .routes(routes!(executions::list))
        .routes(routes!(executions::get, executions::delete))
        .routes(routes!(executions::cancel))
        .routes(routes!(executions::outputs))
        .routes(routes!(executions::output))
        .routes(routes!(executions::effects))
        .routes(routes!(executions::nodes))
        .routes(routes!(executions::node))
        .routes(routes!(events::get))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(fleet::list))
        .routes(routes!(fleet::get))
        .routes(routes!(models::list))
        .routes(routes!(models::get))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::get))
        .route("/blocks/{namespace}/{package}/{block}", axum::routing::get(blocks::get_qualified))
        .routes(routes!(blocks::try_one))
        .route("/blocks/{namespace}/{package}/{block}/test", axum::routing::post(blocks::try_qualified))
        .routes(routes!(block_packages::list, block_packages::publish))
        .routes(routes!(block_packages::get, block_packages::delete))
        .routes(routes!(block_packages::versions))
        .routes(routes!(block_packages::version, block_packages::delete_version))
        .routes(routes!(block_packages::component))
        .routes(routes!(block_packages::activate))
        .routes(routes!(block_packages::rollback))
        .routes(routes!(block_packages::grant))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(blobs::upload))
        .routes(routes!(blobs::upload_image))
        .routes(routes!(blobs::get, blobs::delete))
        .routes(routes!(blobs::thumbnail))
        .routes(routes!(publishers::list))
        .routes(routes!(publishers::put, publishers::delete))
        .routes(routes!(tenants::me))
        .routes(routes!(usage::get))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::get, tenants::patch, tenants::delete))
        .routes(routes!(quotas::get, quotas::put))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(error_reference::list))
        .routes(routes!(error_reference::get))
}

/// What answers at the root as well as under the base path.
pub(crate) fn health() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}
