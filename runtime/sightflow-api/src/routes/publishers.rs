//! `/publishers`: whose signatures under block packages the caller's tenant trusts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sightflow_engine::signature::PublicKey;
use sightflow_store::Publisher;
use sightflow_types::Timestamp;
use sightflow_types::capability::is_secret_name;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::schema;
use crate::state::ApiState;

/// A publisher whom the tenant trusts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Publisher)]
pub(crate) struct PublisherView {
    name: String,
    /// Its Ed25519 public key: 64 hexadecimal digits.
    public_key: String,
    /// When its key was set.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<Publisher> for PublisherView {
    fn from(publisher: Publisher) -> Self {
        let Publisher { name, public_key, created_at } = publisher;
        Self { name, public_key: PublicKey(public_key).to_string(), created_at }
    }
}

/// The publishers whom the caller's tenant trusts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublisherList {
    items: Vec<PublisherView>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublisherBody {
    /// As `sightflow block keygen` prints it.
    #[schema(pattern = "^[0-9a-fA-F]{64}$", min_length = 64, max_length = 64)]
    public_key: String,
}

/// Whose signatures are trusted, by name.
#[utoipa::path(get, path = "/publishers", tag = "block packages", responses((status = 200, body = PublisherList)))]
pub(crate) async fn list(State(state): State<ApiState>, caller: Caller) -> Result<Json<PublisherList>, ApiError> {
    let items = state.store.publishers(caller.tenant).await?.into_iter().map(PublisherView::from).collect();
    Ok(Json(PublisherList { items }))
}

/// Trusts a publisher, or gives it another key. What was published before stays as it is.
#[utoipa::path(put, path = "/publishers/{name}", tag = "block packages", params(("name" = String, Path, description = "Letters, digits and `_`, beginning with a letter, at most 64.", pattern = "^[A-Za-z][A-Za-z0-9_]{0,63}$")), request_body = PublisherBody,
    responses((status = 204), (status = 404, body = ErrorBody)))]
pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    extract::Json(body, _charge): extract::Json<PublisherBody>,
) -> Result<StatusCode, ApiError> {
    if !is_secret_name(&name) {
        let message = "a publisher's name has letters, digits and `_`, begins with a letter and has at most 64";
        return Err(ApiError::field("", message));
    }
    let key: PublicKey = body.public_key.parse().map_err(|error: sightflow_engine::signature::SignatureError| {
        ApiError::field("/public_key", error.to_string())
    })?;
    state.store.put_publisher(caller.tenant, &name, key.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Trusts a publisher no longer.
#[utoipa::path(delete, path = "/publishers/{name}", tag = "block packages", params(("name" = String, Path)), responses((status = 204), (status = 404, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_publisher(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
