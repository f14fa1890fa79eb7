//! `/models`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_store::{ModelFilter, ModelState};
use sightflow_types::{ModelSource, Task};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::page::{Page, PageQuery};
use crate::state::ApiState;
use crate::views::model::ModelView;
use crate::{etag, schema};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(value_type = Option<schema::Task>)]
    task: Option<Task>,
    #[param(value_type = Option<schema::ModelSource>)]
    source: Option<ModelSource>,
    #[param(inline)]
    state: Option<StateFilter>,
    /// Part of the id or name.
    search: Option<String>,
}

/// Whether a model can be used.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateFilter {
    Available,
    Disabled,
    Broken,
}

impl From<StateFilter> for ModelState {
    fn from(state: StateFilter) -> Self {
        match state {
            StateFilter::Available => Self::Available,
            StateFilter::Disabled => Self::Disabled,
            StateFilter::Broken => Self::Broken,
        }
    }
}

/// Registered models, by id.
#[utoipa::path(get, path = "/models", tag = "models", params(ListQuery, PageQuery), responses((status = 200, body = Page<ModelView>), (status = 400, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ModelView>>, ApiError> {
    let filter = ModelFilter {
        task: query.task,
        source: query.source,
        state: query.state.map(ModelState::from),
        search: query.search,
    };
    let window = page.window(("models", &filter))?;
    let (models, workers) = tokio::try_join!(state.store.models(caller.tenant, filter), state.store.workers())?;
    let models = window.slice(models, |model| model.id.clone(), |model, after| model.id.as_bytes() > after, page.total);
    Ok(Json(models.map(|model| ModelView::item(model, &workers))))
}

/// One model with its spec.
#[utoipa::path(get, path = "/models/{id}", tag = "models", params(("id" = String, Path)),
    responses((status = 200, body = ModelView), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (model, workers) = tokio::try_join!(state.store.model(caller.tenant, &id), state.store.workers())?;
    etag::json(&headers, &ModelView::full(model, &workers))
}
