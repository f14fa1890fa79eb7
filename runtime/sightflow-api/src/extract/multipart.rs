//! Multipart bodies, one part at a time so that at most one file is in memory.

use axum::extract::multipart::{self, Field};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};

use super::body::{self, IMAGE_LIMIT, MULTIPART_FILES, MULTIPART_LIMIT};
use crate::error::{ApiError, Code};

/// A multipart body that is being read.
pub(crate) struct Multipart {
    inner: multipart::Multipart,
    left: usize,
    files: usize,
}

/// One complete part.
pub(crate) struct Part {
    /// Its form name.
    pub(crate) name: String,
    /// Its content.
    pub(crate) bytes: Bytes,
}

impl Multipart {
    /// Starts reading; the boundary must be declared.
    pub(crate) async fn open(request: Request) -> Result<Self, ApiError> {
        let declared = request
            .headers()
            .get(axum::http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > MULTIPART_LIMIT as u64) {
            return Err(body::too_large(MULTIPART_LIMIT));
        }
        let inner = multipart::Multipart::from_request(request, &())
            .await
            .map_err(|error| ApiError::new(Code::BadJson, error.body_text()))?;
        Ok(Self { inner, left: MULTIPART_LIMIT, files: 0 })
    }

    /// The next part; `request` may be as large as a JSON body, every other part is a file.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, ApiError> {
        let Some(field) = self.inner.next_field().await.map_err(broken)? else { return Ok(None) };
        let name = field.name().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(ApiError::new(Code::BadJson, "a part of the multipart body has no name"));
        }
        let limit = if name == "request" { body::JSON_LIMIT } else { IMAGE_LIMIT };
        if name != "request" {
            self.files += 1;
            if self.files > MULTIPART_FILES {
                return Err(ApiError::new(Code::BodyTooLarge, format!("more than {MULTIPART_FILES} files")));
            }
        }
        let bytes = Self::read(field, &name, limit, &mut self.left).await?;
        Ok(Some(Part { name, bytes }))
    }

    async fn read(mut field: Field<'_>, name: &str, limit: usize, left: &mut usize) -> Result<Bytes, ApiError> {
        let mut all = BytesMut::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            *left = left.checked_sub(chunk.len()).ok_or_else(|| body::too_large(MULTIPART_LIMIT))?;
            if all.len() + chunk.len() > limit {
                return Err(ApiError::new(
                    Code::BodyTooLarge,
                    format!("the part `{name}` is larger than {} MiB", limit >> 20),
                ));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

fn broken(error: multipart::MultipartError) -> ApiError {
    let message = format!("the multipart body is broken: {}", error.body_text());
    ApiError { source: Some(error.into()), ..ApiError::new(Code::BadJson, message) }
}
