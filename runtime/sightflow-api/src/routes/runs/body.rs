//! The body of a run: JSON with its images inside, or multipart with files beside it.

use axum::extract::Request;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::forms::{NamedImage, Source, take_images};
use super::request::Run;
use crate::error::{ApiError, Code};
use crate::extract::body::{self, RUN_LIMIT};
use crate::extract::{Multipart, media_type, parse_object, require_json};

/// From this size on, parsing and decoding leave the async threads.
const INLINE: usize = 256 << 10;

/// A run request that was read and understood, but not checked against a workflow.
pub(super) struct RunBody {
    /// The fields.
    pub(super) run: Run,
    /// The images, taken out of the input.
    pub(super) images: Vec<NamedImage>,
    /// Only of an inline run.
    pub(super) definition: Option<Value>,
    /// What an idempotency key stands for.
    pub(super) identity: Bytes,
    /// The request line and headers.
    pub(super) parts: Parts,
}

/// Reads a request; `inline` says whether the body carries a definition.
pub(super) async fn read(request: Request, inline: bool) -> Result<RunBody, ApiError> {
    if media_type(request.headers()).as_deref() == Some("multipart/form-data") {
        return multipart(request, inline).await;
    }
    require_json(request.headers()).map_err(|error| ApiError {
        message: "send the run as `application/json` or `multipart/form-data`".to_owned(),
        ..error
    })?;
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, &parts.headers, RUN_LIMIT).await?;
    let (run, images, definition) = parse(bytes.clone(), inline).await?;
    Ok(RunBody { run, images, definition, identity: bytes, parts })
}

async fn parse(bytes: Bytes, inline: bool) -> Result<(Run, Vec<NamedImage>, Option<Value>), ApiError> {
    if bytes.len() < INLINE {
        return understand(&bytes, inline);
    }
    tokio::task::spawn_blocking(move || understand(&bytes, inline)).await.map_err(ApiError::internal)?
}

fn understand(bytes: &[u8], inline: bool) -> Result<(Run, Vec<NamedImage>, Option<Value>), ApiError> {
    let mut object = parse_object(bytes)?;
    let definition = if inline { Some(take_definition(&mut object)?) } else { None };
    let mut run = Run::read(object)?;
    let images = take_images(&mut run.input, run.input_pointer)?;
    Ok((run, images, definition))
}

fn take_definition(object: &mut Map<String, Value>) -> Result<Value, ApiError> {
    match object.remove("definition") {
        Some(definition @ Value::Object(_)) => Ok(definition),
        Some(_) => Err(ApiError::field("/definition", "`definition` must be an object")),
        None => Err(ApiError::field(
            "/definition",
            "`definition` is missing; to run a saved workflow use /api/v1/workflows/{id}/run",
        )),
    }
}

async fn multipart(request: Request, inline: bool) -> Result<RunBody, ApiError> {
    let (parts, body) = request.into_parts();
    let head = Request::from_parts(parts.clone(), body);
    let mut multipart = Multipart::open(head).await?;
    let (mut document, mut files) = (None, Vec::new());
    // The boundary differs from attempt to attempt; names and contents do not.
    let mut identity = Sha256::new();
    while let Some(part) = multipart.next().await? {
        identity.update((part.name.len() as u64).to_be_bytes());
        identity.update(&part.name);
        identity.update((part.bytes.len() as u64).to_be_bytes());
        identity.update(&part.bytes);
        if part.name != "request" {
            files.push((part.name, part.bytes));
        } else if document.replace(part.bytes).is_some() {
            return Err(ApiError::new(Code::BadJson, "the multipart body has two parts named `request`"));
        }
    }
    let document = document.unwrap_or_else(|| Bytes::from_static(b"{}"));
    let (run, mut images, definition) = parse(document, inline).await?;
    for (name, bytes) in files {
        images.push(file(&name, bytes, &images)?);
    }
    Ok(RunBody { run, images, definition, identity: Bytes::copy_from_slice(&identity.finalize()), parts })
}

/// A file part: `image` is the image of the run, any other name one of `images`.
fn file(name: &str, bytes: Bytes, known: &[NamedImage]) -> Result<NamedImage, ApiError> {
    let key = (name != "image").then(|| name.to_owned());
    if known.iter().any(|image| image.name == key) {
        return Err(ApiError::at(Code::InvalidField, format!("/{name}"), format!("the image `{name}` is given twice")));
    }
    Ok(NamedImage { name: key, pointer: format!("/{name}"), source: Source::Encoded(bytes) })
}
