//! `GET /errors/{code}`: what the `docs` link of an error leads to.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::Path;
use crate::page::Page;

/// One code of the error shape.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorReference {
    /// The code.
    code: &'static str,
    /// The status that goes with it.
    status: u16,
    /// What happened and what to do.
    help: &'static str,
}

impl From<Code> for ErrorReference {
    fn from(code: Code) -> Self {
        Self { code: code.as_str(), status: code.status().as_u16(), help: code.help() }
    }
}

/// Every error code.
#[utoipa::path(get, path = "/errors", tag = "reference", responses((status = 200, body = Page<ErrorReference>)))]
pub(crate) async fn list() -> Json<Page<ErrorReference>> {
    let items = Code::ALL.iter().map(|code| ErrorReference::from(*code)).collect();
    Json(Page { items, next_cursor: None, total: None, total_capped: None })
}

/// One error code.
#[utoipa::path(get, path = "/errors/{code}", tag = "reference", params(("code" = String, Path)),
    responses((status = 200, body = ErrorReference), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(Path(name): Path<String>) -> Result<Json<ErrorReference>, ApiError> {
    let code = Code::ALL.iter().find(|code| code.as_str() == name);
    code.map(|code| Json(ErrorReference::from(*code))).ok_or_else(|| ApiError::not_found("error code", name))
}
