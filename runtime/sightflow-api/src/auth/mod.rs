//! Who asks, and whether they may: decided once for each request, before anything of it is read.

mod access;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sightflow_store::{KeyOwner, KeySecret, Quota, Quotas, StoreError, TenantStatus};
use sightflow_types::TenantId;
use tokio::time::Instant;

use access::Need;

use crate::caller::{Allowed, Caller, Scopes};
use crate::error::{ApiError, Code};
use crate::rates::Left;
use crate::state::ApiState;

/// A use is recorded when the recorded one is older than this, in milliseconds.
const USE_MS: i64 = 60_000;

/// Decides for whom a request is answered, or refuses it with 401, 403 or 429.
pub(crate) async fn authenticate(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    if !state.config.auth {
        request.extensions_mut().insert(Caller { tenant: TenantId::BUILT_IN, scopes: Scopes::ALL });
        request.extensions_mut().insert(Allowed(Arc::new(state.config.quotas.clone())));
        return next.run(request).await;
    }
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let owner = match owner_of(&state, request.method(), path.as_deref(), request.headers()).await {
        Ok(Some(owner)) => owner,
        Ok(None) => {
            // Such routes answer the same to everybody and look nothing up.
            request.extensions_mut().insert(Caller { tenant: TenantId::BUILT_IN, scopes: Scopes::default() });
            request.extensions_mut().insert(Allowed(Arc::new(state.config.quotas.clone())));
            return next.run(request).await;
        }
        Err(error) => return error.into_response(),
    };
    let quotas = state.config.quotas.with(&owner.quotas);
    let (refusal, left) = counted(&state, &owner, &quotas, path.as_deref());
    let mut response = match refusal {
        Some(refusal) => refusal.into_response(),
        None => {
            let scopes = owner.scopes.iter().copied().collect();
            request.extensions_mut().insert(Caller { tenant: owner.tenant_id, scopes });
            request.extensions_mut().insert(Allowed(Arc::new(quotas)));
            next.run(request).await
        }
    };
    if let Some(left) = left {
        left.write(response.headers_mut());
    }
    response
}

/// Routes that start a run.
const RUNS: [&str; 3] = ["/api/v1/workflows/{id}/run", "/api/v1/workflows/{id}/execute", "/api/v1/run"];

/// Counts a request of a key, and a run besides; why it is refused, and what is left of the tighter of both.
fn counted(
    state: &ApiState,
    owner: &KeyOwner,
    quotas: &Quotas,
    path: Option<&str>,
) -> (Option<ApiError>, Option<Left>) {
    let run = path.is_some_and(|path| RUNS.contains(&path));
    let kinds = [
        (true, Quota::RequestsPerMinute, &state.requests, "requests"),
        (run, Quota::RunsPerMinute, &state.runs, "runs"),
    ];
    let mut tightest: Option<Left> = None;
    for (counts, quota, rates, what) in kinds {
        let Some(limit) = quotas.of(quota).filter(|_| counts) else { continue };
        let (taken, left) = rates.take(owner.id, u32::try_from(limit).unwrap_or(u32::MAX));
        if !taken {
            let message = format!("the key has used its {limit} {what} a minute; wait {} s", left.seconds());
            return (Some(ApiError::new(Code::RateLimited, message).retry_after(left.seconds())), Some(left));
        }
        if tightest.is_none_or(|other| left.remaining < other.remaining) {
            tightest = Some(left);
        }
    }
    (None, tightest)
}

/// Whose key a request carries that needs one; none where nobody is asked.
async fn owner_of(
    state: &ApiState,
    method: &Method,
    path: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Arc<KeyOwner>>, ApiError> {
    let need = match path {
        Some(path) => access::need(method, path)
            .ok_or_else(|| ApiError::internal(format!("nobody said who may {method} {path}")))?,
        // No such route; only who has a key learns that.
        None => Need::Key,
    };
    if need == Need::Nothing {
        return Ok(None);
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
    Ok(Some(owner))
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
