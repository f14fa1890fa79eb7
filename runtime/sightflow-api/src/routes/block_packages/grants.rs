//! What a package may do beyond computing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use sightflow_store::{PackageGrants, PackageKey};
use sightflow_types::capability::{Capability, is_secret_name};
use utoipa::ToSchema;

use super::change::shown;
use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::Path;
use crate::schema;
use crate::state::ApiState;
use crate::views::block_package::PackageView;

/// Everything that is granted; what is left out is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    /// Hosts: `http:api.example.com`, `http:*.example.com`, `http:*`, each also with a port.
    #[serde(default)]
    #[schema(max_items = 100)]
    capabilities: Vec<String>,
    /// Names of stored secrets by the names that the blocks have for them: `{"API_KEY": "retail_key"}`.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, String>)]
    secrets: BTreeMap<String, String>,
}

/// Most hosts, and most secrets, that a package is granted.
const MOST: usize = 100;

fn wrong(pointer: &str, message: impl Into<String>) -> ApiError {
    ApiError::at(Code::GrantInvalid, pointer, message)
}

/// Grants a package hosts and secrets. Its blocks get of that what they ask for, within what the operator allows; the next
/// call is the first that has it, or has it no more.
#[utoipa::path(put, path = "/block-packages/{id}/grants", tag = "block packages", params(("id" = schema::PackageId, Path, description = "The id, or the name `namespace/package`.")), request_body = GrantBody,
    responses((status = 200, body = PackageView), (status = 404, body = ErrorBody), (status = 405, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn grant(
    State(state): State<ApiState>,
    caller: Caller,
    Path(key): Path<PackageKey>,
    crate::extract::Json(body, _charge): crate::extract::Json<GrantBody>,
) -> Result<Json<PackageView>, ApiError> {
    let grants = body.checked()?;
    let package = state.store.block_package(caller.tenant, key).await?;
    let changed = state.store.grant_block_package(caller.tenant, package.id, grants).await?;
    shown(&state, changed).await
}

impl GrantBody {
    fn checked(self) -> Result<PackageGrants, ApiError> {
        if self.capabilities.len() > MOST || self.secrets.len() > MOST {
            return Err(wrong("", format!("a package is granted at most {MOST} hosts and {MOST} secrets")));
        }
        let mut capabilities = Vec::with_capacity(self.capabilities.len());
        for (index, text) in self.capabilities.iter().enumerate() {
            let pointer = format!("/capabilities/{index}");
            match text.parse() {
                Ok(host @ Capability::Http(_)) => capabilities.push(host),
                Ok(Capability::Secret(name)) => {
                    let message = format!("a secret is granted in `secrets`: {{\"{name}\": \"stored name\"}}");
                    return Err(wrong(&pointer, message));
                }
                Err(error) => return Err(wrong(&pointer, error.to_string())),
            }
        }
        for (name, stored) in &self.secrets {
            if let Some(found) = [name, stored].into_iter().find(|name| !is_secret_name(name)) {
                let found: String = found.chars().take(80).collect();
                let message = format!(
                    "`{found}` cannot name a secret: letters, digits and `_`, beginning with a letter, at most 64"
                );
                return Err(wrong("/secrets", message));
            }
        }
        Ok(PackageGrants { capabilities, secrets: self.secrets })
    }
}
