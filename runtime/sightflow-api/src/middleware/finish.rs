//! The outermost layer: gives every request an id, turns panics and errors into the one error shape, logs the outcome.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use sightflow_types::error::{chain, panic_text};
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{ApiError, Code, Pending};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the current request, as an extension.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Wraps the whole service.
pub(crate) async fn finish(mut request: Request, next: Next) -> Response {
    let id = RequestId(request_id(&request));
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let base = base(&request);
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("http.request", request_id = id.0, method = %method);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|panic| {
        ApiError::internal(format!("the handler panicked: {}", panic_text(&*panic))).into_response()
    });
    let _entered = span.enter();
    if let Some(Pending(error)) = response.extensions_mut().remove::<Pending>() {
        report(&error);
        let body = serde_json::to_vec(&error.body(&id.0, &base)).unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::debug!(
        status = response.status().as_u16(),
        path,
        duration_ms = started.elapsed().as_millis() as u64,
        "answered"
    );
    response
}

/// Where the client reached this server, for links in answers: `http://localhost:8080`; empty when it did not say.
fn base(request: &Request) -> String {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or(request.uri().authority().map(|authority| authority.as_str()));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '[' | ']');
    host.filter(|host| !host.is_empty() && host.chars().all(plain))
        .map(|host| format!("http://{host}"))
        .unwrap_or_default()
}

/// The client's id when it is short and printable, else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) => id.to_owned(),
        _ => format!("req_{}", Uuid::now_v7()),
    }
}

fn report(error: &ApiError) {
    // What is damaged in the store is the operator's matter, too.
    let ours = error.code.status().is_server_error() || matches!(error.code, Code::WorkflowDamaged | Code::BlobDamaged);
    if ours {
        let cause = error.source.as_deref().map(|source| chain(source));
        tracing::error!(code = error.code.as_str(), cause, "request failed");
    } else {
        tracing::debug!(code = error.code.as_str(), message = error.message, "request refused");
    }
}
