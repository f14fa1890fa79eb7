//! Entity tags: `If-None-Match` spares a transfer, `If-Match` prevents a lost update.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::extract::body::{Charge, Held};

/// Answers a resource as JSON under an ETag of its content, or 304.
pub(crate) fn json<T: Serialize>(headers: &HeaderMap, resource: &T) -> Result<Response, ApiError> {
    tagged_json(headers, resource, "")
}

/// The same with a prefix: the part of the tag that only changes with what a client can change.
pub(crate) fn tagged_json<T: Serialize>(
    headers: &HeaderMap,
    resource: &T,
    revision: &str,
) -> Result<Response, ApiError> {
    answer(headers, serde_json::to_vec(resource).map_err(ApiError::internal)?.into(), revision)
}

/// [`json`] for a resource that is charged: the answer is, too, until it is sent.
pub(crate) fn charged_json<T: Serialize>(
    headers: &HeaderMap,
    resource: &T,
    mut charge: Charge,
) -> Result<Response, ApiError> {
    let bytes = Bytes::from(serde_json::to_vec(resource).map_err(ApiError::internal)?);
    charge.keep(bytes.len() as u64);
    answer(headers, Held { bytes, charge }.into_bytes(), "")
}

fn answer(headers: &HeaderMap, body: Bytes, revision: &str) -> Result<Response, ApiError> {
    let hash = Sha256::digest(&body);
    let tag: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = if revision.is_empty() { format!("\"{tag}\"") } else { format!("\"{revision}.{tag}\"") };
    let value = HeaderValue::from_str(&tag).map_err(ApiError::internal)?;
    if none_match(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, value)]).into_response());
    }
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::ETAG, value), (header::CONTENT_TYPE, kind)], body).into_response())
}

/// Whether `If-None-Match` names `tag` (or anything).
pub(crate) fn none_match(headers: &HeaderMap, tag: &str) -> bool {
    listed(headers, header::IF_NONE_MATCH).any(|given| given == "*" || given == tag)
}

/// Whether `If-Match` is absent or names a tag of this revision: runs change counters and with them the tag, not the revision.
pub(crate) fn matches(headers: &HeaderMap, revision: &str) -> bool {
    let mut given = listed(headers, header::IF_MATCH).peekable();
    if given.peek().is_none() {
        return true;
    }
    given.any(|tag| tag == "*" || tag.trim_matches('"').rsplit_once('.').is_some_and(|(given, _)| given == revision))
}

fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|tag| tag.trim())
        .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
        .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_compares_the_revision() {
        for (given, expected) in [
            (None, true),
            (Some("*"), true),
            (Some("\"3.7.abcd\""), true),
            (Some("\"1.1.ab\", W/\"3.7.ef\""), true),
            (Some("\"2.7.abcd\""), false),
            (Some("nonsense"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::IF_MATCH, HeaderValue::from_static(given));
            }
            assert_eq!(matches(&headers, "3.7"), expected, "{given:?}");
        }
    }
}
