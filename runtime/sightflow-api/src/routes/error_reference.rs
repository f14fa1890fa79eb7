//! `GET /errors/{code}`: what the `docs` link of an error leads to.

use axum::Json;
use serde::Serialize;
use sightflow_types::ProblemCode;
use utoipa::ToSchema;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::Path;
use crate::page::Page;

/// One code: of an error, or of a finding in a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorReference {
    /// The code.
    code: &'static str,
    /// The status that goes with an error; none for a finding, which stands in an answer's `details` or `warnings`.
    status: Option<u16>,
    /// What happened and what to do.
    help: &'static str,
}

impl From<Code> for ErrorReference {
    fn from(code: Code) -> Self {
        Self { code: code.as_str(), status: Some(code.status().as_u16()), help: code.help() }
    }
}

impl From<ProblemCode> for ErrorReference {
    fn from(code: ProblemCode) -> Self {
        Self { code: code.as_str(), status: None, help: code.help() }
    }
}

/// Every code: those of errors, then those of findings.
fn all() -> impl Iterator<Item = ErrorReference> {
    let errors = Code::ALL.iter().map(|code| ErrorReference::from(*code));
    errors.chain(ProblemCode::ALL.iter().map(|code| ErrorReference::from(*code)))
}

/// Every error code.
#[utoipa::path(get, path = "/errors", tag = "reference", responses((status = 200, body = Page<ErrorReference>)))]
pub(crate) async fn list() -> Json<Page<ErrorReference>> {
    Json(Page { items: all().collect(), next_cursor: None, total: None, total_capped: None })
}

/// One error code.
#[utoipa::path(get, path = "/errors/{code}", tag = "reference", params(("code" = String, Path)),
    responses((status = 200, body = ErrorReference), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(Path(name): Path<String>) -> Result<Json<ErrorReference>, ApiError> {
    let found = all().find(|reference| reference.code == name);
    found.map(Json).ok_or_else(|| ApiError::not_found("error code", name))
}
