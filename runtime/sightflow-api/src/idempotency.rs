//! `Idempotency-Key`: a repeated request has one effect, and gets the first answer whatever has changed since.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use sightflow_store::{Execution, Idempotency, Replayed, Workflow};

use crate::caller::Caller;
use crate::error::{ApiError, Code};
use crate::state::ApiState;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The client's key, if it sent one; a malformed one is refused before anything else is looked at.
pub(crate) fn given(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(KEY).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
        .filter(|_| values.next().is_none());
    key.map(Some).ok_or_else(|| {
        ApiError::new(Code::InvalidField, "Idempotency-Key must be one value of 1 to 255 printable ASCII characters")
    })
}

/// The key with the hash of what it came with; none without the header.
pub(crate) fn key(parts: &Parts, body: &[u8]) -> Result<Option<Idempotency>, ApiError> {
    let Some(key) = given(&parts.headers)? else { return Ok(None) };
    let mut hash = Sha256::new();
    let query = parts.uri.query().unwrap_or_default();
    for part in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), query.as_bytes(), body] {
        // Lengths keep the parts apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Some(Idempotency { key: key.to_owned(), request_hash: hash.finalize().into() }))
}

/// The workflow that an earlier request with this key made or changed.
pub(crate) async fn replayed_workflow(
    state: &ApiState,
    caller: Caller,
    key: Option<&Idempotency>,
) -> Result<Option<Workflow>, ApiError> {
    match replayed(state, caller, key).await? {
        None => Ok(None),
        Some(Replayed::Workflow(workflow)) => Ok(Some(*workflow)),
        Some(Replayed::Execution(_)) => Err(conflict()),
    }
}

/// The execution that an earlier request with this key started.
pub(crate) async fn replayed_execution(
    state: &ApiState,
    caller: Caller,
    key: Option<&Idempotency>,
) -> Result<Option<Execution>, ApiError> {
    match replayed(state, caller, key).await? {
        None => Ok(None),
        Some(Replayed::Execution(execution)) => Ok(Some(*execution)),
        Some(Replayed::Workflow(_)) => Err(conflict()),
    }
}

async fn replayed(state: &ApiState, caller: Caller, key: Option<&Idempotency>) -> Result<Option<Replayed>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    Ok(state.store.replayed(caller.tenant, key).await?)
}

/// The hash covers the route, so that this cannot be reached by another kind of request with the same hash.
fn conflict() -> ApiError {
    sightflow_store::StoreError::IdempotencyConflict.into()
}

/// Marks an answer that an earlier request produced.
pub(crate) fn mark(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str, keys: &[&str]) -> Parts {
        let mut request = Request::post(uri);
        for key in keys {
            request = request.header(KEY, HeaderValue::from_str(key).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_hash_covers_method_path_query_and_body() {
        let hash = |uri: &str, body: &[u8]| key(&parts(uri, &["k"]), body).unwrap().unwrap().request_hash;
        let first = hash("/a?v=1", b"body");
        assert_eq!(first, hash("/a?v=1", b"body"));
        for (uri, body) in [("/a?v=2", "body"), ("/b?v=1", "body"), ("/a?v=1", "bodx"), ("/a", "?v=1body")] {
            assert_ne!(first, hash(uri, body.as_bytes()), "{uri} {body}");
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        let (long, longest) = ("x".repeat(256), "x".repeat(255));
        for (keys, ok) in [
            (vec![], true),
            (vec!["k"], true),
            (vec![longest.as_str()], true),
            (vec![long.as_str()], false),
            (vec![""], false),
            (vec!["a\tb"], false),
            (vec!["a", "b"], false),
        ] {
            assert_eq!(key(&parts("/", &keys), b"").is_ok(), ok, "{keys:?}");
        }
    }
}
