//! `/workflows/{id}/run` and `/run`: accept a run, and wait for it where the client asked to.

mod accept;
mod body;
mod forms;
mod images;
mod request;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use sightflow_types::WorkflowId;
use utoipa::IntoParams;

use self::accept::Target;
use self::request::{InlineRunForm, InlineRunRequest, RunForm, RunRequest};
use crate::caller::{Allowed, Caller};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::schema;
use crate::state::ApiState;
use crate::views::execution::{Accepted, ExecutionView};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunQuery {
    /// An older version; default: the newest.
    #[param(minimum = 1, maximum = 4294967295i64)]
    version: Option<u32>,
}

/// A route that runs a saved workflow.
macro_rules! run_route {
    ($(#[$doc:meta])* $name:ident, $path:tt) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "runs",
            params(("id" = schema::WorkflowId, Path), RunQuery, ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for up to N seconds, at most 300, until the execution has ended"), ("Idempotency-Key" = Option<schema::IdempotencyKey>, Header)),
            request_body(content((RunRequest = "application/json"), (RunForm = "multipart/form-data"))),
            responses((status = 200, description = "Ended while the request waited", body = ExecutionView), (status = 202, body = Accepted), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
                (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
        pub(crate) async fn $name(
            State(state): State<ApiState>,
            caller: Caller,
            Allowed(quotas): Allowed,
            Path(id): Path<WorkflowId>,
            Query(query): Query<RunQuery>,
            request: Request,
        ) -> Result<Response, ApiError> {
            accept::run(&state, caller, &quotas, Target::Workflow { id, version: query.version }, request).await
        }
    };
}

run_route! {
    /// Runs a saved workflow: `202` at once, or with `mode: "sync"` or `Prefer: wait=N` the finished execution.
    run, "/workflows/{id}/run"
}

run_route! {
    /// Alias of `POST /workflows/{id}/run`.
    execute, "/workflows/{id}/execute"
}

/// Runs a definition that is sent along and kept with the execution.
#[utoipa::path(post, path = "/run", tag = "runs",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for up to N seconds, at most 300, until the execution has ended"), ("Idempotency-Key" = Option<schema::IdempotencyKey>, Header)),
    request_body(content((InlineRunRequest = "application/json"), (InlineRunForm = "multipart/form-data"))),
    responses((status = 200, description = "Ended while the request waited", body = ExecutionView), (status = 202, body = Accepted), (status = 400, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(crate) async fn run_inline(
    State(state): State<ApiState>,
    caller: Caller,
    Allowed(quotas): Allowed,
    request: Request,
) -> Result<Response, ApiError> {
    accept::run(&state, caller, &quotas, Target::Inline, request).await
}

/// `Prefer: wait=N` in seconds; other preferences are not ours and are passed over.
fn preferred_wait(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    for value in headers.get_all("prefer") {
        for preference in value.to_str().unwrap_or_default().split([',', ';']) {
            let Some((name, seconds)) = preference.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("wait") {
                let seconds = seconds.trim().trim_matches('"').parse();
                return seconds.map(Some).map_err(|_| {
                    ApiError::new(crate::error::Code::InvalidField, "Prefer: wait=N needs a number of seconds")
                });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefer_wait() {
        for (header, expected) in [
            (None, Some(None)),
            (Some("wait=5"), Some(Some(5))),
            (Some("respond-async, wait=\"7\""), Some(Some(7))),
            (Some("return=minimal"), Some(None)),
            (Some("wait=soon"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("prefer", header.parse().unwrap());
            }
            assert_eq!(preferred_wait(&headers).ok(), expected, "{header:?}");
        }
    }
}
