//! Who asks, and whether they may: decided once for each request, before anything of it is read.

mod access;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sightflow_store::{KeyOwner, KeySecret, StoreError, TenantStatus};
use sightflow_types::TenantId;
use tokio::time::Instant;

use access::Need;

use crate::caller::{Caller, Scopes};
use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// A use is recorded when the recorded one is older than this, in milliseconds.
const USE_MS: i64 = 60_000;

/// Decides for whom a request is answered, or refuses it with 401 or 403.
pub(crate) async fn authenticate(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let caller = if state.config.auth {
        let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        caller(&state, request.method(), path.as_deref(), request.headers()).await
    } else {
        Ok(Caller { tenant: TenantId::BUILT_IN, scopes: Scopes::ALL })
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

async fn caller(
    state: &ApiState,
    method: &Method,
    path: Option<&str>,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    let need = match path {
        Some(path) => access::need(method, path)
            .ok_or_else(|| ApiError::internal(format!("nobody said who may {method} {path}")))?,
        // No such route; only who has a key learns that.
        None => Need::Key,
    };
    if need == Need::Nothing {
        // Such routes answer the same to everybody and look nothing up.
        return Ok(Caller { tenant: TenantId::BUILT_IN, scopes: Scopes::default() });
    }
    let owner = owner(state, headers).await?;
    if owner.status == TenantStatus::Suspended {
        return Err(ApiError::new(Code::TenantSuspended, "the tenant of this key is suspended"));
    }
    if let Need::Scope(scope) = need
        && !owner.scopes.contains(&scope)
    {
        return Err(ApiError::new(Code::ScopeMissing, format!("this needs a key with the scope `{scope}`")));
    }
    Ok(Caller { tenant: owner.tenant_id, scopes: owner.scopes.iter().copied().collect() })
}

/// Whose key the request carries.
async fn owner(state: &ApiState, headers: &HeaderMap) -> Result<Arc<KeyOwner>, ApiError> {
    let secret = bearer(headers)?;
    let hash = secret.hash();
    let started = Instant::now();
    if let Some(owner) = state.key_cache.get(&hash, started, state.store.now()) {
        return Ok(owner);
    }
    let owner = match state.store.key_owner(hash).await {
        Ok(owner) => Arc::new(owner),
        Err(StoreError::NotFound(_)) => return Err(unknown("this key is unknown, was revoked or has expired")),
        Err(error) => return Err(error.into()),
    };
    // The age counts from before the look: what is known is never older than it says.
    state.key_cache.put(hash, started, &owner);
    let now = state.store.now();
    if owner.last_used_at.is_none_or(|used| now.millis_since(used) >= USE_MS) {
        state.store.key_used(owner.id).await?;
    }
    Ok(owner)
}

fn bearer(headers: &HeaderMap) -> Result<KeySecret, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| unknown("this server wants a key: send `Authorization: Bearer sf_…`"))?;
    // Two programs on the way might each believe another one of them.
    if values.next().is_some() {
        return Err(unknown("the header Authorization stands there more than once"));
    }
    let text = value.to_str().unwrap_or_default();
    let key = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = key.ok_or_else(|| unknown("the header Authorization must be `Bearer sf_…`"))?.1.trim();
    key.parse().map_err(|error: sightflow_store::InvalidKey| unknown(&error.to_string()))
}

fn unknown(message: &str) -> ApiError {
    ApiError::new(Code::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_header() {
        let key = format!("sf_{}", "a".repeat(43));
        for (value, ok) in [
            (format!("Bearer {key}"), true),
            (format!("bearer  {key} "), true),
            (key.clone(), false),
            (format!("Basic {key}"), false),
            (format!("Bearer {key}x"), false),
            ("Bearer ".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            let read = bearer(&headers);
            assert_eq!(read.is_ok(), ok, "{value}");
            assert!(read.err().is_none_or(|error| error.code == Code::Unauthenticated), "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()).unwrap_err().code, Code::Unauthenticated);
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        }
        assert_eq!(bearer(&twice).unwrap_err().code, Code::Unauthenticated);
    }
}
