//! `/blocks`: the one source for palette, validation and documentation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sightflow_engine::{BlockEntry, Catalog, TrialError, try_block};
use sightflow_store::{Scope, fold};
use sightflow_types::Digest;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::etag;
use crate::extract::{Json, Path, Qualified, Query};
use crate::images::TenantImages;
use crate::state::ApiState;
use crate::views::block::{BlockView, Category};
use crate::views::images::add_urls;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// One palette group.
    category: Option<String>,
    /// Part of the type, an alias, the title or the description, in any case and normal form.
    search: Option<String>,
}

/// The blocks that the caller may name, by type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockList {
    items: Vec<BlockView>,
    categories: Vec<Category>,
    /// Changes whenever a block of the catalogue changes, whatever the filters.
    etag: String,
}

/// Every block that a definition can name.
#[utoipa::path(get, path = "/blocks", tag = "blocks", params(ListQuery), responses((status = 200, body = BlockList), (status = 304), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let catalog = state.blocks(caller.tenant);
    let categories = Category::all(catalog.entries().iter().map(|entry| entry.manifest.category.as_str()));
    let all = catalog.entries().iter().map(|entry| BlockView::from(&**entry));
    let items = all.filter(|block| query.matches(block)).collect();
    etag::json(&headers, &BlockList { items, categories, etag: catalog.version().hex()[..16].to_owned() })
}

impl ListQuery {
    fn matches(&self, block: &BlockView) -> bool {
        let category = self.category.as_ref().is_none_or(|wanted| *wanted == block.category);
        let search = self.search.as_ref().is_none_or(|wanted| {
            let wanted = fold(wanted);
            let texts = [&block.block_type, &block.title, &block.description];
            texts.into_iter().chain(&block.aliases).any(|text| fold(text).contains(&wanted))
        });
        category && search
    }
}

/// One block with its documentation; `type` may be an alias, or `namespace/package/block@requirement`.
#[utoipa::path(get, path = "/blocks/{type}", tag = "blocks", params(("type" = String, Path)),
    responses((status = 200, body = BlockView), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    one(&state.blocks(caller.tenant), &name, &headers)
}

/// The same for `namespace/package/block`.
pub(crate) async fn get_qualified(
    State(state): State<ApiState>,
    caller: Caller,
    Qualified(name): Qualified,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    one(&state.blocks(caller.tenant), &name, &headers)
}

fn one(catalog: &Catalog, name: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    etag::json(headers, &BlockView::full(find(catalog, name)?))
}

fn find<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Arc<BlockEntry>, ApiError> {
    catalog.resolve(name).map_err(|unknown| {
        let hint = unknown.suggestion.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        ApiError::new(Code::NotFound, format!("{}{hint}", unknown.message))
    })
}

/// A call to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BlockTest)]
pub(crate) struct TestBody {
    /// The block's configuration.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Values by port; stored images as `{"$image": {"digest": …}}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: Map<String, Value>,
    /// Exactly this version instead of the active one.
    version: Option<String>,
    /// Refuse unless the package has these bytes.
    #[schema(value_type = Option<crate::schema::Digest>)]
    digest: Option<Digest>,
}

/// What came of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockTestAnswer)]
pub(crate) struct TestAnswer {
    /// Null when the block failed. Images that it made are uploads of the caller.
    #[schema(value_type = Option<Object>)]
    outputs: Option<Value>,
    error: Option<TestError>,
    logs: Vec<TestLog>,
    profile: TestProfile,
}

/// Why the block failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockTestError)]
struct TestError {
    /// As of a node: `E-BLOCK-FAILED`.
    code: String,
    message: String,
}

/// A line that the block logged.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockTestLog)]
struct TestLog {
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    message: String,
}

/// What the call used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockTestProfile)]
struct TestProfile {
    /// Processor time of the block's own code.
    cpu_us: u64,
    /// Processor time of the server on the block's behalf.
    host_cpu_us: u64,
    wall_us: u64,
    /// Most bytes of memory that the block had.
    peak_memory: u64,
    /// Images that it was given and that it gave.
    images: usize,
}

/// Calls a block once. Nothing is recorded; a block that fails is an answer.
#[utoipa::path(post, path = "/blocks/{type}/test", tag = "blocks", params(("type" = String, Path)), request_body = TestBody,
    responses((status = 200, body = TestAnswer), (status = 404, body = ErrorBody), (status = 409, description = "The digest is another one", body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn try_one(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body, _charge): Json<TestBody>,
) -> Result<Response, ApiError> {
    tried(&state, caller, &name, body).await
}

/// The same for `namespace/package/block`.
pub(crate) async fn try_qualified(
    State(state): State<ApiState>,
    caller: Caller,
    Qualified(name): Qualified,
    Json(body, _charge): Json<TestBody>,
) -> Result<Response, ApiError> {
    tried(&state, caller, &name, body).await
}

async fn tried(state: &ApiState, caller: Caller, name: &str, body: TestBody) -> Result<Response, ApiError> {
    let catalog = state.blocks(caller.tenant);
    let name = match &body.version {
        Some(version) if !name.contains('@') => format!("{name}@{version}"),
        Some(_) => return Err(ApiError::field("/version", "the path names a version already")),
        None => name.to_owned(),
    };
    let entry = find(&catalog, &name)?;
    if body.digest.is_some_and(|digest| entry.block.digest != Some(digest)) {
        let found = entry.block.digest.map(|digest| digest.to_string()).unwrap_or_default();
        return Err(ApiError::new(Code::Conflict, format!("`{name}` is made of other bytes: {found}")));
    }
    if entry.manifest.reaches_out() && !caller.scopes.has(Scope::RunsWrite) {
        let message =
            format!("`{name}` reaches the outside: to try it needs a key with the scope `{}`", Scope::RunsWrite);
        return Err(ApiError::new(Code::ScopeMissing, message));
    }
    let io = TenantImages::new(state, caller.tenant);
    let trial = try_block(state.host(), caller.tenant, entry, body.config, body.inputs, &io).await.map_err(
        |error| match error {
            TrialError::Unfit(problems) => ApiError::problems(Code::InputInvalid, "the call", problems),
            TrialError::Image(error) => ApiError::at(Code::InputInvalid, "/inputs", error.message),
        },
    )?;
    let (outputs, error) = match trial.outputs {
        Ok(outputs) => {
            let mut outputs = Value::Object(outputs);
            add_urls(&mut outputs);
            (Some(outputs), None)
        }
        Err(error) => (None, Some(TestError { code: error.code, message: error.message })),
    };
    let logs = trial.trace.logs.into_iter().map(|line| TestLog { level: line.level.as_str(), message: line.message });
    let profile = trial.trace.profile;
    let profile = TestProfile {
        cpu_us: profile.cpu_us,
        host_cpu_us: profile.host_cpu_us,
        wall_us: profile.wall_us,
        peak_memory: profile.peak_memory,
        images: trial.images,
    };
    Ok(axum::Json(TestAnswer { outputs, error, logs: logs.collect(), profile }).into_response())
}
