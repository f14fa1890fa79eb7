//! Bounded bodies.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::error::{ApiError, Code};

/// Largest JSON body of an ordinary route.
pub(crate) const JSON_LIMIT: usize = 1 << 20;
/// Largest JSON body of a run: base64 images travel in it.
pub(crate) const RUN_LIMIT: usize = 64 << 20;
/// Largest multipart body.
pub(crate) const MULTIPART_LIMIT: usize = 200 << 20;
/// Most file parts of one multipart body.
pub(crate) const MULTIPART_FILES: usize = 64;
/// Largest encoded image.
pub(crate) const IMAGE_LIMIT: usize = 50 << 20;

/// Reads a body of at most `limit` bytes; a declared length beyond it is refused before the first byte is read.
pub(crate) async fn read(body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, ApiError> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut stream = body.into_data_stream();
    let Some(first) = stream.next().await.transpose().map_err(ended_early)? else { return Ok(Bytes::new()) };
    let mut all = BytesMut::from(first);
    if all.len() > limit {
        return Err(too_large(limit));
    }
    all.reserve(declared.map_or(0, |length| length as usize).saturating_sub(all.len()));
    while let Some(chunk) = stream.next().await.transpose().map_err(ended_early)? {
        if all.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// `413` with the limit in words.
pub(crate) fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("the body is larger than {} MiB", limit >> 20))
}

/// The client stopped sending, or sent a broken transfer encoding.
pub(crate) fn ended_early(error: axum::Error) -> ApiError {
    ApiError { source: Some(error.into()), ..ApiError::new(Code::BadJson, "the body ended before it was complete") }
}
