//! `Idempotency-Key`: a repeated request has one effect.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use sightflow_store::Idempotency;

use crate::error::{ApiError, Code};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The client's key with the hash of what it came with; none without the header.
pub(crate) fn key(
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
    body: &[u8],
) -> Result<Option<Idempotency>, ApiError> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    let key = key.ok_or_else(|| {
        ApiError::new(Code::InvalidField, "Idempotency-Key must be 1 to 255 printable ASCII characters")
    })?;
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), uri.path().as_bytes(), uri.query().unwrap_or_default().as_bytes(), body] {
        // Lengths keep the parts apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Some(Idempotency { key: key.to_owned(), request_hash: hash.finalize().into() }))
}

/// Marks an answer that an earlier request produced.
pub(crate) fn mark(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_method_path_query_and_body() {
        let mut headers = HeaderMap::new();
        headers.insert(KEY, HeaderValue::from_static("k"));
        let hash = |uri: &'static str, body: &[u8]| {
            key(&headers, &Method::POST, &Uri::from_static(uri), body).unwrap().unwrap().request_hash
        };
        let first = hash("/a?v=1", b"body");
        assert_eq!(first, hash("/a?v=1", b"body"));
        for (uri, body) in [("/a?v=2", "body"), ("/b?v=1", "body"), ("/a?v=1", "bodx"), ("/a", "?v=1body")] {
            assert_ne!(first, hash(uri, body.as_bytes()), "{uri} {body}");
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        for (value, ok) in [
            ("k".to_owned(), true),
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            (String::new(), false),
            ("a\tb".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, HeaderValue::from_str(&value).unwrap());
            assert_eq!(key(&headers, &Method::POST, &Uri::from_static("/"), b"").is_ok(), ok, "{value}");
        }
    }
}
