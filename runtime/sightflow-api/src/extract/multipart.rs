//! Multipart bodies, one part at a time. What the parts hold is charged together.

use axum::extract::multipart::{self, Field};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use sightflow_memory::MemoryPool;
use sightflow_types::pointer_token;

use super::body::{self, Charge, IMAGE_LIMIT, MULTIPART_FILES, MULTIPART_LIMIT};
use super::fields;
use crate::error::{ApiError, Code};

/// A multipart body that is being read.
pub(crate) struct Multipart {
    inner: multipart::Multipart,
    /// Bytes of all parts so far.
    read: usize,
    files: usize,
    charge: Charge,
}

/// One complete part.
pub(crate) struct Part {
    /// Its form name.
    pub(crate) name: String,
    /// Its content.
    pub(crate) bytes: Bytes,
    /// Whether it came as a file; otherwise it is a plain form field.
    pub(crate) is_file: bool,
}

impl Part {
    /// The refusal of a form field where a file belongs; `hint` says what to do.
    pub(crate) fn no_file(&self, hint: &str) -> ApiError {
        let name = fields::shorten(&self.name);
        ApiError::at(
            Code::InvalidField,
            format!("/{}", pointer_token(&self.name)),
            format!("the form field `{name}` is not a file; {hint}"),
        )
    }
}

impl Multipart {
    /// Starts reading; the boundary must be declared.
    pub(crate) async fn open(pool: &MemoryPool, request: Request) -> Result<Self, ApiError> {
        if body::declared(request.headers()).is_some_and(|length| length > MULTIPART_LIMIT as u64) {
            return Err(body::too_large(MULTIPART_LIMIT));
        }
        let inner = multipart::Multipart::from_request(request, &())
            .await
            .map_err(|error| ApiError::new(Code::BadJson, error.body_text()))?;
        Ok(Self { inner, read: 0, files: 0, charge: Charge::take(pool, 0).await? })
    }

    /// The next part; `request` may be as large as a JSON body, every other part as an image.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, ApiError> {
        let Some(mut field) = self.inner.next_field().await.map_err(broken)? else { return Ok(None) };
        let name = field.name().unwrap_or_default().to_owned();
        if name.is_empty() || name.contains('\0') {
            return Err(ApiError::new(Code::BadJson, "a part of the multipart body has no name, or one with NUL"));
        }
        let limit = if name == "request" { body::JSON_LIMIT } else { IMAGE_LIMIT };
        if name != "request" {
            self.files += 1;
            if self.files > MULTIPART_FILES {
                return Err(ApiError::new(Code::BodyTooLarge, format!("more than {MULTIPART_FILES} files")));
            }
        }
        let is_file = is_file(&field);
        let mut all = BytesMut::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            self.read += chunk.len();
            if self.read > MULTIPART_LIMIT {
                return Err(body::too_large(MULTIPART_LIMIT));
            }
            if all.len() + chunk.len() > limit {
                let name = fields::shorten(&name);
                let message = format!("the part `{name}` is larger than {} MiB", limit >> 20);
                return Err(ApiError::new(Code::BodyTooLarge, message));
            }
            self.charge.cover(self.read as u64, MULTIPART_LIMIT as u64).await?;
            all.extend_from_slice(&chunk);
        }
        Ok(Some(Part { name, bytes: all.freeze(), is_file }))
    }

    /// What the parts are charged.
    pub(crate) fn finish(mut self) -> Charge {
        self.charge.keep(self.read as u64);
        self.charge
    }
}

/// A part with a file name, or with a type that no form field has.
fn is_file(field: &Field<'_>) -> bool {
    field.file_name().is_some() || field.content_type().is_some_and(|kind| !kind.starts_with("text/plain"))
}

fn broken(error: multipart::MultipartError) -> ApiError {
    let message = format!("the multipart body is broken: {}", error.body_text());
    body::unreadable(error, message)
}
