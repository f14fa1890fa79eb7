//! `/executions/{id}/outputs`: results, and image results as bytes.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_images::{EncodeFormat, Image, Work};
use sightflow_types::{Digest, ExecutionId, ExecutionStatus, IMAGE_KEY, ImageRef};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::decode::decode;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Path;
use crate::extract::body::Charge;
use crate::routes::blobs::{image_response, pieces};
use crate::state::ApiState;
use crate::views::images;
use crate::{etag, intake, schema};

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
    responses((status = 200, description = "The image's bytes, or JSON", content((Vec<u8> = "image/*"), (Value = "application/json"))), (status = 304), (status = 404, body = ErrorBody), (status = 409, description = "The stored bytes are damaged", body = ErrorBody), (status = 422, description = "The server has never enough memory for the image", body = ErrorBody)))]
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
        let tag = format!("\"{}\"", sightflow_blobs::digest_of(value.to_string().as_bytes()).hex());
        let mut response = if etag::none_match(&headers, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            picture(&state, caller, reference).await?
        };
        response.headers_mut().insert(header::ETAG, HeaderValue::from_str(&tag).map_err(ApiError::internal)?);
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
async fn picture(state: &ApiState, caller: Caller, reference: ImageRef) -> Result<Response, ApiError> {
    let digest = reference.digest;
    let blob = intake::find(state, caller.tenant, &digest).await?.ok_or_else(|| ApiError::not_found("blob", digest))?;
    if reference.view.is_none() && !reference.ignore_orientation {
        let mut response =
            image_response(&blob.media_type, pieces::body(state, digest, blob.size, 0..blob.size).await?)?;
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(blob.size));
        return Ok(response);
    }
    let bytes = intake::load(state, &digest, blob.size).await?;
    let make = move |work: &Work, bytes| {
        let image = Image::from_reference(bytes, &reference)?;
        sightflow_images::encode_in(work, &Image::from_pixels(image.pixels_in(work)?), EncodeFormat::Png)
    };
    image_response("image/png", decode(state, bytes, make, ApiError::internal).await?)
}

/// What a byte of an inlined image takes: itself, and its text in base64 in the tree and in the answer.
const INLINE_COST: u64 = 4;

/// Adds `base64` to image references, in document order, until 8 MiB are spent; larger ones stay references. Answers what
/// that is charged.
pub(super) async fn inline_images(state: &ApiState, outputs: &mut Value) -> Result<Charge, ApiError> {
    let mut digests = Vec::new();
    images::visit(outputs, &mut |reference| {
        let digest = reference.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        // A crop's bytes are not the blob's.
        digests.push(digest.filter(|_| !reference.contains_key("view")));
    });
    let mut charge = Charge::take(&state.config.memory, 0).await?;
    let mut left = INLINE_LIMIT;
    let mut texts = Vec::new();
    for digest in digests {
        texts.push(match digest {
            Some(digest) => inlined(state, &digest, &mut left, &mut charge).await?,
            None => None,
        });
    }
    let mut texts = texts.into_iter();
    images::visit(outputs, &mut |reference| {
        if let Some(text) = texts.next().flatten() {
            reference.insert("base64".to_owned(), text.into());
        }
    });
    Ok(charge)
}

/// The base64 of a blob, unless it has more bytes than are `left`.
async fn inlined(
    state: &ApiState,
    digest: &Digest,
    left: &mut u64,
    charge: &mut Charge,
) -> Result<Option<String>, ApiError> {
    let size = state.blobs.size(digest).await?;
    let Some(rest) = left.checked_sub(size) else { return Ok(None) };
    *left = rest;
    charge.grow(size * INLINE_COST).await?;
    Ok(Some(STANDARD.encode(state.blobs.get(digest).await?)))
}
