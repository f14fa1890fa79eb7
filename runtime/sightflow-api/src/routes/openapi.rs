//! `GET /openapi.json`, generated from the handlers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// The document, serialised once.
#[derive(Clone, Default)]
pub(crate) struct Document(Arc<Bytes>);

impl Document {
    pub(crate) fn new(document: &utoipa::openapi::OpenApi) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(document).map(|bytes| Self(Arc::new(bytes.into())))
    }
}

/// The OpenAPI 3.1 document of this server.
pub(crate) async fn get(State(document): State<Document>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Bytes::clone(&document.0)).into_response()
}
