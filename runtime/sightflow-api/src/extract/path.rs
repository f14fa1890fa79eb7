//! Typed values from the path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use sightflow_store::PackageKey;
use sightflow_types::{Digest, ExecutionId, JobId, KeyId, TenantId, WorkerId, WorkflowId};

use crate::error::{ApiError, Code};

/// A value that stands in one path segment.
pub(crate) trait PathValue: Sized {
    /// Reads the (percent-decoded) segment; a malformed one is `400 invalid_id`.
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! by_from_str {
    ($($name:ty),+) => {
        $(impl PathValue for $name {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <$name as std::str::FromStr>::Err| error.to_string())
            }
        })+
    };
}
/// A package by its id, or by its name `namespace/package`.
impl PathValue for PackageKey {
    fn read(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Name(text.to_owned()));
        }
        text.parse().map(Self::Id).map_err(|error: sightflow_types::InvalidId| error.to_string())
    }
}

by_from_str!(WorkflowId, ExecutionId, JobId, WorkerId, TenantId, KeyId, Digest);

impl PathValue for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// A workflow version: a number from 1.
impl PathValue for u32 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(|version| *version > 0).ok_or_else(|| format!("`{text}` is not a version number"))
    }
}

/// One value, or a pair, from the path, in the order of the template.
pub(crate) struct Path<T>(pub(crate) T);

async fn segments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, ApiError> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))
}

fn read<T: PathValue>(segment: Option<(&str, &str)>) -> Result<T, ApiError> {
    let (_, text) = segment.ok_or_else(|| ApiError::internal("the route template has too few parameters"))?;
    T::read(text).map_err(|message| ApiError::new(Code::InvalidId, message))
}

impl<S: Send + Sync, T: PathValue> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = segments(parts, state).await?;
        Ok(Self(read(segments.iter().next())?))
    }
}

impl<S: Send + Sync, A: PathValue, B: PathValue> FromRequestParts<S> for Path<(A, B)> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = segments(parts, state).await?;
        let mut segments = segments.iter();
        Ok(Self((read(segments.next())?, read(segments.next())?)))
    }
}

/// All segments of the template, joined by slashes: `namespace/package/block`.
pub(crate) struct Qualified(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Qualified {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = segments(parts, state).await?;
        Ok(Self(segments.iter().map(|(_, text)| text).collect::<Vec<_>>().join("/")))
    }
}
