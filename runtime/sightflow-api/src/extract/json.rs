//! Strict JSON bodies: every unknown key and the first wrong type are reported with their place.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sightflow_types::pointer_token;

use super::body::{self, Charge, Held};
use super::document::{self, TREE_FACTOR};
use super::fields;
use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// A JSON body of an ordinary route, at most [`body::JSON_LIMIT`] bytes, with what it is charged.
pub(crate) struct Json<T>(pub(crate) T, pub(crate) Charge);

impl<T: DeserializeOwned> FromRequest<ApiState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let mut held = body::read(&state.config.memory, body, &parts.headers, body::JSON_LIMIT).await?;
        let object = parse_object(&mut held).await?;
        typed(object).map(|value| Self(value, held.charge))
    }
}

/// `415` unless the body is declared as JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_json(headers) {
        return Ok(());
    }
    Err(ApiError::new(Code::UnsupportedMediaType, "send the body as `Content-Type: application/json`"))
}

/// Whether the Content-Type is `application/json` or `application/…+json`.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers)
        .is_some_and(|kind| kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
}

/// The Content-Type without parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Bytes to a JSON object, charged for its tree; anything else is `bad_json` or `invalid_field`.
pub(crate) async fn parse_object(held: &mut Held) -> Result<Map<String, Value>, ApiError> {
    held.charge.grow(held.bytes.len() as u64 * TREE_FACTOR).await?;
    document::object(&held.bytes, body::JSON_LIMIT)
}

/// An object to a request type; unknown keys are found first and all at once.
pub(crate) fn typed<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, ApiError> {
    if let Some(known) = fields::of::<T>() {
        let problems =
            fields::unknown(object.keys().map(String::as_str), known, |key| format!("/{}", pointer_token(key)));
        if !problems.is_empty() {
            return Err(ApiError::problems(Code::UnknownField, "the request: unknown fields", problems));
        }
    }
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let mut pointer = pointer(error.path());
        // serde blames the object for a field that is missing; the client looks for the field.
        if let Some(name) =
            error.inner().to_string().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
        {
            pointer = format!("{pointer}/{}", pointer_token(name));
        }
        ApiError::field(
            pointer.clone(),
            match pointer.strip_prefix('/') {
                Some(name) => format!("`{name}`: {}", error.inner()),
                None => error.inner().to_string(),
            },
        )
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", pointer_token(key)),
            Segment::Enum { variant } => format!("/{}", pointer_token(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}
