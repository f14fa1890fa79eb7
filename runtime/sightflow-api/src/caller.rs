//! Who asks. Without accounts everybody is the built-in tenant; every lookup goes through the tenant all the same.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sightflow_store::{Quotas, Scope};
use sightflow_types::TenantId;

use crate::error::ApiError;

/// A set of scopes, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scopes(u16);

impl Scopes {
    /// Every scope.
    pub(crate) const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Whether a scope is in it.
    pub(crate) const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u16) != 0
    }

    /// Its scopes, in the order of their declaration.
    pub(crate) fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u16))
    }
}

/// The tenant on whose behalf a request is answered, and what it may do. Found out before the request is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Every id is looked up inside it.
    pub(crate) tenant: TenantId,
    /// What it may do.
    pub(crate) scopes: Scopes,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().copied();
        caller.ok_or_else(|| ApiError::internal("nobody asked who calls"))
    }
}

/// What the caller's tenant may have.
#[derive(Debug, Clone)]
pub(crate) struct Allowed(pub(crate) Arc<Quotas>);

impl<S: Sync> FromRequestParts<S> for Allowed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let allowed = parts.extensions.get::<Self>().cloned();
        allowed.ok_or_else(|| ApiError::internal("nobody asked what the caller may have"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_scopes() {
        assert_eq!(Scopes::ALL.iter().collect::<Vec<_>>(), Scope::ALL);
        let some: Scopes = [Scope::Admin, Scope::RunsRead].into_iter().collect();
        for scope in Scope::ALL {
            assert_eq!(some.has(*scope), matches!(scope, Scope::Admin | Scope::RunsRead), "{scope}");
            assert!(!Scopes::default().has(*scope));
        }
    }
}
