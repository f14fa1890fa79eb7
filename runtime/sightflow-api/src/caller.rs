//! Who asks. Without accounts everybody is the built-in tenant; every lookup goes through the tenant all the same.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sightflow_types::TenantId;

use crate::error::ApiError;

/// The tenant on whose behalf a request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Every id is looked up inside it.
    pub(crate) tenant: TenantId,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self { tenant: TenantId::BUILT_IN })
    }
}
