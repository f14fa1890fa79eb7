//! `/executions/{id}/outputs`: results, and image results as bytes.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_images::{EncodeFormat, Image};
use sightflow_types::{Digest, ExecutionId, ExecutionStatus, IMAGE_KEY, ImageRef};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::decode::decode;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Path;
use crate::routes::blobs::image_response;
use crate::state::ApiState;
use crate::views::images;
use crate::{etag, schema};

const INLINE_LIMIT: u64 = 8 << 20;

/// How images come with an execution.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Inline {
    /// As `base64` beside the reference.
    Base64,
}

/// The results of an execution.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Outputs {
    /// By name; `{}` while nothing is there.
    #[schema(value_type = Object)]
    outputs: Value,
    /// False while it runs, and after a failure: then only what resolved is there.
    complete: bool,
}

/// The results of an execution.
#[utoipa::path(get, path = "/executions/{id}/outputs", tag = "executions", params(("id" = schema::ExecutionId, Path)),
    responses((status = 200, body = Outputs), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn outputs(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let execution = state.store.execution(caller.tenant, id).await?;
    let mut outputs = execution.outputs.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    images::add_urls(&mut outputs);
    etag::json(&headers, &Outputs { outputs, complete: execution.status == ExecutionStatus::Completed })
}

/// One result: an image as its bytes, anything else as JSON.
#[utoipa::path(get, path = "/executions/{id}/outputs/{name}", tag = "executions", params(("id" = schema::ExecutionId, Path), ("name" = String, Path)),
    responses((status = 200, description = "The image's bytes, or JSON", content((Vec<u8> = "image/*"), (Value = "application/json"))), (status = 304), (status = 404, body = ErrorBody)))]
pub(crate) async fn output(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, name)): Path<(ExecutionId, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let execution = state.store.execution(caller.tenant, id).await?;
    let found = execution.outputs.as_ref().and_then(|outputs| outputs.get(&name)).cloned();
    let mut value = found.ok_or_else(|| {
        let state = if execution.status.is_terminal() { "ended" } else { "not ended yet" };
        ApiError::not_found("output", format!("`{name}` in {id} (the execution has {state})"))
    })?;
    if let Some(reference) = as_image(&value) {
        let (media_type, bytes) = encoded(&state, &reference).await?;
        let tag = format!("\"{}\"", sightflow_blobs::digest_of(value.to_string().as_bytes()).hex());
        if etag::none_match(&headers, &tag) {
            return Ok(axum::http::StatusCode::NOT_MODIFIED.into_response());
        }
        let mut response = image_response(media_type, bytes)?;
        response.headers_mut().insert(
            axum::http::header::ETAG,
            tag.parse().map_err(|error: axum::http::header::InvalidHeaderValue| ApiError::internal(error))?,
        );
        return Ok(response);
    }
    images::add_urls(&mut value);
    etag::json(&headers, &value)
}

/// The reference, when the value is nothing but an image.
fn as_image(value: &Value) -> Option<ImageRef> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    serde_json::from_value(object.get(IMAGE_KEY)?.clone()).ok()
}

/// The blob as it is, or for a crop, or where the orientation must not be applied, the pixels it means as PNG.
async fn encoded(state: &ApiState, reference: &ImageRef) -> Result<(&'static str, bytes::Bytes), ApiError> {
    let bytes = state.blobs.get(&reference.digest).await?;
    if reference.view.is_none() && !reference.ignore_orientation {
        let probe = sightflow_images::probe(&bytes).map_err(ApiError::internal)?;
        return Ok((probe.media_type(), bytes));
    }
    let reference = reference.clone();
    let make = move || {
        let image = Image::from_reference(bytes, &reference)?;
        sightflow_images::encode(&image, EncodeFormat::Png)
    };
    Ok(("image/png", decode(state, make, ApiError::internal).await?))
}

/// Adds `base64` to image references, in document order, until 8 MiB are spent; larger ones stay references.
pub(super) async fn inline_images(state: &ApiState, outputs: &mut Value) -> Result<(), ApiError> {
    let mut digests = Vec::new();
    images::visit(outputs, &mut |reference| {
        let digest = reference.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        // A crop's bytes are not the blob's.
        digests.extend(digest.filter(|_| !reference.contains_key("view")));
    });
    let mut left = INLINE_LIMIT;
    let mut known = std::collections::HashMap::new();
    for digest in digests {
        if known.contains_key(&digest) {
            continue;
        }
        let size = state.blobs.size(&digest).await?;
        if let Some(rest) = left.checked_sub(size) {
            left = rest;
            known.insert(digest, STANDARD.encode(state.blobs.get(&digest).await?));
        }
    }
    images::visit(outputs, &mut |reference| {
        let digest = reference.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        if let Some(text) = digest.filter(|_| !reference.contains_key("view")).and_then(|digest| known.get(&digest)) {
            reference.insert("base64".to_owned(), text.clone().into());
        }
    });
    Ok(())
}
