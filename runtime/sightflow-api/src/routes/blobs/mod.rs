//! `/blobs`: images by the SHA-256 of their bytes.

mod content_digest;
pub(crate) mod pieces;
mod range;
mod thumbnail;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sightflow_blobs::digest_of;
use sightflow_store::Blob;
use sightflow_types::{Digest, Timestamp};
use utoipa::ToSchema;

use self::range::Wanted;
use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::body::{self, Charge, IMAGE_LIMIT};
use crate::extract::{Multipart, Path, media_type};
use crate::state::ApiState;
use crate::views::images::blob_url;
use crate::{etag, idempotency, intake, schema};

pub(crate) use thumbnail::{__path_thumbnail, thumbnail};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// An upload as a form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body; the part is read as it comes")]
pub(crate) struct UploadForm {
    /// The image; its part may have any name.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// A stored blob.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Blob)]
pub(crate) struct BlobView {
    #[schema(value_type = schema::Digest)]
    digest: Digest,
    url: String,
    /// Bytes.
    size: u64,
    media_type: String,
    /// Columns of the upright image.
    width: Option<u32>,
    /// Rows of the upright image.
    height: Option<u32>,
    /// When the upload goes if nothing uses it.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
}

impl From<Blob> for BlobView {
    fn from(blob: Blob) -> Self {
        Self {
            digest: blob.digest,
            url: blob_url(&blob.digest.to_string()),
            size: blob.size,
            media_type: blob.media_type,
            width: blob.width,
            height: blob.height,
            expires_at: blob.expires_at,
        }
    }
}

/// Uploads an image: the raw bytes, or multipart with one file. `Content-Digest` is checked if sent.
///
/// An upload may be repeated without an `Idempotency-Key`: the same bytes are the same blob.
#[utoipa::path(post, path = "/blobs", tag = "blobs", request_body(content((Vec<u8> = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 201, body = BlobView), (status = 200, description = "Known already", body = BlobView), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    accept(&state, caller, request).await
}

/// Alias of `POST /blobs`.
#[utoipa::path(post, path = "/images", tag = "blobs", request_body(content((Vec<u8> = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 201, body = BlobView), (status = 200, description = "Known already", body = BlobView), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn upload_image(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    accept(&state, caller, request).await
}

async fn accept(state: &ApiState, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    // A key has nothing to do here, but a malformed one is refused as everywhere.
    idempotency::given(&headers)?;
    let (bytes, _charge) = read(state, request, &headers).await?;
    let probe = intake::check(&bytes, "the upload", "")?;
    if headers.contains_key("content-digest") {
        // Hashed once more when it is stored; almost nobody sends the header.
        content_digest::verify(&headers, &digest_of(&bytes))?;
    }
    let (blob, known) = intake::keep(state, caller.tenant, &bytes, &probe).await?;
    let blob = BlobView::from(blob);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let location = HeaderValue::from_str(&blob.url).map_err(ApiError::internal)?;
    Ok((status, [(header::LOCATION, location)], Json(blob)).into_response())
}

/// The raw body, or the one file of a multipart body, and what it is charged.
async fn read(state: &ApiState, request: Request, headers: &HeaderMap) -> Result<(Bytes, Charge), ApiError> {
    let kind = media_type(headers).unwrap_or_default();
    if kind == "multipart/form-data" {
        let mut multipart = Multipart::open(&state.config.memory, request).await?;
        let mut file = None;
        while let Some(part) = multipart.next().await? {
            if !part.is_file {
                return Err(part.no_file("an upload is one file and nothing else"));
            }
            if file.replace(part.bytes).is_some() {
                return Err(ApiError::new(Code::InvalidField, "send one file per upload"));
            }
        }
        let file = file.ok_or_else(|| ApiError::new(Code::InvalidField, "the multipart body has no file"))?;
        return Ok((file, multipart.finish()));
    }
    if !kind.starts_with("image/") && !SNIFFED.contains(&kind.as_str()) {
        return Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("`{kind}` is not taken here; send the image's bytes, or multipart/form-data with one file"),
        ));
    }
    let held = body::read(&state.config.memory, request.into_body(), headers, IMAGE_LIMIT).await?;
    Ok((held.bytes, held.charge))
}

/// Types that say nothing; the bytes decide. curl's `--data-binary` sends the last unless told otherwise.
const SNIFFED: [&str; 4] = ["", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"];

/// The bytes of a blob, or a range of them.
#[utoipa::path(get, path = "/blobs/{digest}", tag = "blobs", params(("digest" = schema::Digest, Path), ("Range" = Option<String>, Header)),
    responses((status = 200, description = "The bytes", content_type = "*/*"), (status = 206, description = "Part of them", content_type = "*/*"), (status = 304), (status = 404, body = ErrorBody), (status = 409, description = "The stored bytes are damaged", body = ErrorBody), (status = 416, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(digest): Path<Digest>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let blob =
        intake::find(&state, caller.tenant, &digest).await?.ok_or_else(|| ApiError::not_found("blob", digest))?;
    let tag = format!("\"{digest}\"");
    let mut response = if etag::none_match(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(&state, &blob, &method, &headers, &tag).await?
    };
    let own = response.headers_mut();
    own.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(ApiError::internal)?);
    own.insert(header::CACHE_CONTROL, IMMUTABLE);
    own.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

async fn content(
    state: &ApiState,
    blob: &Blob,
    method: &Method,
    headers: &HeaderMap,
    tag: &str,
) -> Result<Response, ApiError> {
    // A range of another version is no range.
    let same = headers.get(header::IF_RANGE).is_none_or(|given| given.to_str().is_ok_and(|given| given == tag));
    let wanted =
        range::wanted(headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| same), blob.size);
    let (status, part) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..blob.size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Unsatisfiable => {
            let mut response =
                ApiError::new(Code::RangeNotSatisfiable, format!("the blob has {} bytes", blob.size)).into_response();
            response.headers_mut().insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&format!("bytes */{}", blob.size)).map_err(ApiError::internal)?,
            );
            return Ok(response);
        }
    };
    let body = if method == Method::HEAD {
        pieces::check(state, blob.digest, &part).await?;
        Body::empty()
    } else {
        pieces::body(state, blob.digest, blob.size, part.clone()).await?
    };
    let mut response = image_response(&blob.media_type, body)?;
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, blob.size);
        response
            .headers_mut()
            .insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// Bytes that a browser must not take for anything but an image.
pub(crate) fn image_response(media_type: &str, body: impl Into<Body>) -> Result<Response, ApiError> {
    let inline = media_type.starts_with("image/") && media_type != "image/svg+xml";
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_str(media_type).map_err(ApiError::internal)?),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(if inline { "inline" } else { "attachment" })),
    ];
    Ok((headers, body.into()).into_response())
}

/// Drops the upload; what executions refer to stays.
#[utoipa::path(delete, path = "/blobs/{digest}", tag = "blobs", params(("digest" = schema::Digest, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(digest): Path<Digest>,
) -> Result<StatusCode, ApiError> {
    state.store.drop_upload(caller.tenant, &digest).await?;
    Ok(StatusCode::NO_CONTENT)
}
