//! `/executions/{id}/effects`: the calls of blocks that reached the outside.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sightflow_store::Effect;
use sightflow_types::{EffectId, ExecutionId, Timestamp};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Path;
use crate::page::Page;
use crate::schema;
use crate::state::ApiState;
use crate::views::execution::ErrorView;

/// One call of a block that reached the outside, for one node and item.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Effect)]
pub(crate) struct EffectView {
    #[schema(value_type = schema::EffectId)]
    id: EffectId,
    node_id: String,
    /// Loop indexes, `3/1`; null outside of loops.
    item: Option<String>,
    /// `pending`: it failed and may be tried again. `sending`: it left, and has no answer yet. `done`. `failed`.
    state: &'static str,
    /// How often it left.
    #[schema(minimum = 1)]
    attempt: u32,
    /// Why it failed last.
    error: Option<ErrorView>,
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    #[schema(value_type = Option<schema::Time>)]
    completed_at: Option<Timestamp>,
}

impl From<Effect> for EffectView {
    fn from(effect: Effect) -> Self {
        let Effect { id, node_id, item_path, state, attempt, error, created_at, completed_at } = effect;
        let item = Some(item_path).filter(|path| !path.is_empty());
        Self {
            id,
            node_id,
            item,
            state: state.as_str(),
            attempt,
            error: error.map(ErrorView::from),
            created_at,
            completed_at,
        }
    }
}

/// The calls of an execution that reached the outside, in the order in which they left first; the first thousand.
#[utoipa::path(get, path = "/executions/{id}/effects", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = Page<EffectView>), (status = 404, body = ErrorBody)))]
pub(crate) async fn effects(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
) -> Result<Json<Page<EffectView>>, ApiError> {
    state.store.execution_status(caller.tenant, id).await?;
    let items = state.store.effects(caller.tenant, id).await?.into_iter().map(EffectView::from).collect();
    Ok(Json(Page { items, next_cursor: None, total: None, total_capped: None }))
}
