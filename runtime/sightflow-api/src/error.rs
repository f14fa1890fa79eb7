//! The one error shape: a stable code, a message for people, places in the request, never an internal.

use std::error::Error;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sightflow_engine::PROBLEMS_SHOWN;
use sightflow_types::Problem;
use utoipa::ToSchema;

type Source = Box<dyn Error + Send + Sync>;

macro_rules! codes {
    ($($variant:ident = $text:literal, $status:ident, $help:literal;)+) => {
        /// Every code that an answer can carry. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $(#[doc = $help] $variant),+ }

        impl Code {
            /// Every code, by status.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text on the wire.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The status that always goes with the code.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What happened and what to do, as the error reference says it.
            pub(crate) const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),+ }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", BAD_REQUEST, "The request is not HTTP/1.1 that the server can read.";
    BadJson = "bad_json", BAD_REQUEST, "The body is not readable: broken JSON, nesting beyond 128 levels, a broken multipart body, a body that ended early or is not in its declared encoding.";
    InvalidId = "invalid_id", BAD_REQUEST, "An id in the path is malformed or carries another type's prefix.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor is not one of ours, or was made with other filters. Start again without it.";
    UnknownField = "unknown_field", BAD_REQUEST, "The request has a key that the route does not know; the details name it and what was probably meant.";
    InvalidField = "invalid_field", BAD_REQUEST, "A field has the wrong type or a value outside its range; the details say which.";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "The request carries no key, or one that is unknown, was revoked or has expired. Send `Authorization: Bearer sf_…`.";
    ScopeMissing = "scope_missing", FORBIDDEN, "The key does not have the scope that this needs; the message names it. Use another key.";
    TenantSuspended = "tenant_suspended", FORBIDDEN, "The tenant of the key is suspended. Ask the operator of the server.";
    OriginNotAllowed = "origin_not_allowed", FORBIDDEN, "The server listens on a loopback address and refuses requests that a web page of another origin caused.";
    NotFound = "not_found", NOT_FOUND, "There is no such route or no such thing.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path exists, the method does not; the header Allow lists those that do.";
    BodyTooSlow = "body_too_slow", REQUEST_TIMEOUT, "The body came at less than 1 KiB/s. Nothing was done; send the request again.";
    AlreadyExists = "already_exists", CONFLICT, "The name, or the version, is taken by another one; the message says which. Choose another.";
    Conflict = "conflict", CONFLICT, "The state of the thing does not allow this, or another request changed it at the same time. Read it again.";
    IdempotencyConflict = "idempotency_conflict", CONFLICT, "The Idempotency-Key was used before with another request. Use a new key.";
    AlreadyTerminal = "already_terminal", CONFLICT, "The execution has ended; a terminal state never changes.";
    NotTerminal = "not_terminal", CONFLICT, "The execution still runs. Cancel it first or wait for its end.";
    InUse = "in_use", CONFLICT, "Something still refers to this; the message says what.";
    WorkflowDamaged = "workflow_damaged", CONFLICT, "The stored definition of the workflow, or of this version, cannot be read. Restore a version that can be, or save the whole definition again.";
    BlobDamaged = "blob_damaged", CONFLICT, "The stored bytes are missing, or are not those that the digest names. Uploading the same bytes again mends it.";
    WorkflowArchived = "workflow_archived", CONFLICT, "Archived workflows do not run. Set the status to draft or active first.";
    EventsExpired = "events_expired", GONE, "The events of this execution are past their retention.";
    StaleVersion = "stale_version", PRECONDITION_FAILED, "If-Match names an older state. Read the resource again and repeat the change on it.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body, or a part of it, is larger than the route takes, or needs more memory than the server has; the message says the limit.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The route does not take this Content-Type; the message says which it takes.";
    UriTooLong = "uri_too_long", URI_TOO_LONG, "The path and query are too long.";
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large or too many.";
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, "The Range header asks for bytes beyond the end; Content-Range says the size.";
    DefinitionInvalid = "definition_invalid", UNPROCESSABLE_ENTITY, "The workflow definition breaks rules; every problem is in the details.";
    InputInvalid = "input_invalid", UNPROCESSABLE_ENTITY, "The run input does not fit the workflow; the details say where.";
    ParametersInvalid = "parameters_invalid", UNPROCESSABLE_ENTITY, "A run parameter is unknown, missing or not of its type; the details say which.";
    ImageInvalid = "image_invalid", UNPROCESSABLE_ENTITY, "An image is broken, too large or of an unknown format; the message or the details name it and the reason.";
    ModelUnknown = "model_unknown", UNPROCESSABLE_ENTITY, "No such model is registered.";
    ComponentInvalid = "component_invalid", UNPROCESSABLE_ENTITY, "The block package is refused; every reason is in the details, for its author.";
    GrantInvalid = "grant_invalid", UNPROCESSABLE_ENTITY, "What is to be granted is no host and no secret, or too much; the details say which.";
    ExpiryPassed = "expiry_passed", UNPROCESSABLE_ENTITY, "What is to expire would have expired already, by the server's clock. Choose a later time.";
    UrlNotAllowed = "url_not_allowed", UNPROCESSABLE_ENTITY, "The server does not fetch this URL: scheme, port, user info or network is refused.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "The key has sent as many requests as it may for now. Retry after the stated time; the headers RateLimit-* say how many there are.";
    PriorityNotAllowed = "priority_not_allowed", FORBIDDEN, "The tenant may not run at this priority.";
    QuotaExceeded = "quota_exceeded", TOO_MANY_REQUESTS, "The tenant has as much of this as it may have; the message says how much.";
    QueueFull = "queue_full", TOO_MANY_REQUESTS, "Too many executions, or packages to be compiled, wait. Retry after the stated time.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "The server failed. The request id finds the cause in its log.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Storage cannot be reached, the server has no memory left for the request, or it is shutting down; the message says which. Retry after the stated time.";
}

/// A refused or failed request. `IntoResponse` leaves the body to [`crate::middleware::finish`], which knows the request id.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub(crate) struct ApiError {
    /// Stable code; decides the status.
    pub(crate) code: Code,
    /// For people. Of `internal` it is replaced by a general one; of `unavailable` it says which cause and nothing more.
    pub(crate) message: String,
    /// Places in the request.
    pub(crate) details: Vec<Problem>,
    /// Seconds for the header `Retry-After`.
    pub(crate) retry_after: Option<u32>,
    /// What lies behind it: logged, never answered.
    #[source]
    pub(crate) source: Option<Source>,
}

impl ApiError {
    /// An error with a message and no place to point at.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let retry_after = matches!(code, Code::Unavailable | Code::QueueFull).then_some(5);
        Self { code, message: message.into(), details: Vec::new(), retry_after, source: None }
    }

    /// `404 not_found` for a missing resource, for example `("workflow", id)`.
    pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {id}"))
    }

    /// `500 internal`; the cause is logged and not answered.
    pub(crate) fn internal(source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Code::Internal, "internal error") }
    }

    /// `503 unavailable`; the cause is logged and not answered.
    pub(crate) fn unavailable(source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Code::Unavailable, "storage cannot be reached; try again") }
    }

    /// An error about one place in the request, with one detail of the same code and message.
    pub(crate) fn at(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(code, message.clone()).with(vec![Problem::new(code.as_str(), pointer, message)])
    }

    /// `400 invalid_field` for one field.
    pub(crate) fn field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::at(Code::InvalidField, pointer, message)
    }

    /// To be sent again after so many seconds.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Several findings under one code; the message counts them: `2 problems in the definition`.
    pub(crate) fn problems(code: Code, what: &str, details: Vec<Problem>) -> Self {
        let message = match details.as_slice() {
            [one] => one.message.clone(),
            many if many.len() > PROBLEMS_SHOWN => format!("more than {PROBLEMS_SHOWN} problems in {what}"),
            many => format!("{} problems in {what}", many.len()),
        };
        Self::new(code, message).with(details)
    }

    /// Sets the details.
    #[must_use]
    pub(crate) fn with(mut self, details: Vec<Problem>) -> Self {
        self.details = details;
        self
    }

    /// The wire form; `base` is where the client reached this server, for example `http://localhost:8080`.
    pub(crate) fn body(&self, request_id: &str, base: &str) -> ErrorBody {
        let hide = self.code == Code::Internal;
        ErrorBody {
            error: ErrorObject {
                code: self.code.as_str().to_owned(),
                message: if hide { self.code.help().to_owned() } else { bounded(&self.message) },
                request_id: request_id.to_owned(),
                docs: format!("{base}/api/v1/errors/{}", self.code.as_str()),
                details: if hide { Vec::new() } else { self.details.iter().cloned().map(Detail::from).collect() },
            },
        }
    }
}

/// Carried from [`ApiError::into_response`] to the middleware that writes the body.
#[derive(Clone)]
pub(crate) struct Pending(pub(crate) std::sync::Arc<ApiError>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Pending(std::sync::Arc::new(self)));
        response
    }
}

/// Body of every answer with a status of 400 or above.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorObject {
    /// Stable, for programs.
    code: String,
    /// For people.
    message: String,
    /// Also in the header `X-Request-Id`.
    request_id: String,
    /// Where the reference for this code is served.
    docs: String,
    /// Places in the request; empty when there is nothing to point at.
    details: Vec<Detail>,
}

/// One finding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detail {
    /// Stable code, for example `E-PORT-UNKNOWN`.
    code: String,
    /// JSON pointer into the document that was sent.
    pointer: String,
    /// For people.
    message: String,
    /// The nearest valid spelling, where one is near.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
}

impl From<Problem> for Detail {
    fn from(problem: Problem) -> Self {
        let Problem { code, pointer, message, suggestion } = problem;
        Self { code, pointer, message: bounded(&message), suggestion }
    }
}

/// Most characters of a message on the wire. Names and values that clients send can be a mebibyte, and messages quote them.
const MESSAGE: usize = 600;
/// Of these, how many come from its end, where it says what to do.
const MESSAGE_END: usize = 200;

/// A message without the middle of what is too long in it.
fn bounded(message: &str) -> String {
    let length = message.chars().count();
    if length <= MESSAGE {
        return message.to_owned();
    }
    let start = message.chars().take(MESSAGE - MESSAGE_END - 1);
    start.chain(['…']).chain(message.chars().skip(length - MESSAGE_END)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_errors_say_nothing_of_the_inside() {
        let body = ApiError::internal("password=hunter2").body("req_1", "http://localhost");
        let text = serde_json::to_string(&body).unwrap();
        assert!(!text.contains("hunter2") && text.contains("\"internal\"") && text.contains("req_1"), "{text}");
        let body = ApiError::unavailable("password=hunter2").body("req_1", "http://localhost");
        let text = serde_json::to_string(&body).unwrap();
        assert!(!text.contains("hunter2") && text.contains("storage cannot be reached"), "{text}");
    }

    #[test]
    fn long_messages_keep_their_ends() {
        for length in [1, 599, 600] {
            assert_eq!(bounded(&"ä".repeat(length)).chars().count(), length);
        }
        let short = bounded(&format!("`{}` is not a node id", "ä".repeat(1 << 20)));
        assert!(short.starts_with("`ää") && short.contains("ä…ä") && short.ends_with("ä` is not a node id"), "{short}");
        assert_eq!(short.chars().count(), MESSAGE);
    }
}
