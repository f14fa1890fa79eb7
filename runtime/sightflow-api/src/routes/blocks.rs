//! `/blocks`: the one source for palette, validation and documentation.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sightflow_engine::Catalog;
use sightflow_store::fold;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::etag;
use crate::extract::{Path, Qualified, Query};
use crate::state::ApiState;
use crate::views::block::{BlockView, Category};

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
    let entry = catalog.resolve(name).map_err(|unknown| {
        let hint = unknown.suggestion.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        ApiError::new(crate::error::Code::NotFound, format!("{}{hint}", unknown.message))
    })?;
    etag::json(headers, &BlockView::full(entry))
}
