//! `/secrets`: values that go out with requests of blocks, and are never read back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sightflow_engine::secrets::MOST_SECRET_BYTES;
use sightflow_store::SecretName;
use sightflow_types::Timestamp;
use sightflow_types::capability::is_secret_name;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::schema;
use crate::state::ApiState;

/// That there is a secret; never its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(crate) struct SecretView {
    name: String,
    /// When its value was last set.
    #[schema(value_type = schema::Time)]
    updated_at: Timestamp,
}

impl From<SecretName> for SecretView {
    fn from(secret: SecretName) -> Self {
        Self { name: secret.name, updated_at: secret.updated_at }
    }
}

/// The caller's secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretList {
    items: Vec<SecretView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretValue {
    /// 1..4096 bytes that may stand in a header.
    #[schema(min_length = 1, max_length = 4096, pattern = "^[\\x20-\\x7e]+$")]
    value: String,
}

/// Names of the caller's secrets, in order.
#[utoipa::path(get, path = "/secrets", tag = "block packages", responses((status = 200, body = SecretList)))]
pub(crate) async fn list(State(state): State<ApiState>, caller: Caller) -> Result<Json<SecretList>, ApiError> {
    let items = state.store.secrets(caller.tenant).await?.into_iter().map(SecretView::from).collect();
    Ok(Json(SecretList { items }))
}

/// Keeps a value under a name, in place of the one before. It is sealed, and never read back.
#[utoipa::path(put, path = "/secrets/{name}", tag = "block packages", params(("name" = String, Path, description = "Letters, digits and `_`, beginning with a letter, at most 64.", pattern = "^[A-Za-z][A-Za-z0-9_]{0,63}$")), request_body = SecretValue,
    responses((status = 204), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    extract::Json(body, _charge): extract::Json<SecretValue>,
) -> Result<StatusCode, ApiError> {
    if !is_secret_name(&name) {
        let message = "a secret's name has letters, digits and `_`, begins with a letter and has at most 64";
        return Err(ApiError::field("", message));
    }
    let plain = |byte: u8| (0x20..0x7f).contains(&byte);
    let length = body.value.len();
    if length == 0 || length > MOST_SECRET_BYTES || !body.value.bytes().all(plain) {
        let message =
            format!("`value` has 1 to {MOST_SECRET_BYTES} printable ASCII characters: it goes out in a header");
        return Err(ApiError::field("/value", message));
    }
    let sealed = state.packages.granting().seal(caller.tenant, &name, &body.value);
    let sealed = sealed.map_err(|error| ApiError::internal(error.to_string()))?;
    state.store.put_secret(caller.tenant, &name, sealed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret. Blocks that were granted it fail from then on.
#[utoipa::path(delete, path = "/secrets/{name}", tag = "block packages", params(("name" = String, Path)), responses((status = 204), (status = 404, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_secret(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
