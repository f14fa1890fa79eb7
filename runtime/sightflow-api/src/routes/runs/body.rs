//! The body of a run: JSON with its images inside, or multipart with files beside it.
//!
//! Receiving and understanding are two steps: what an idempotency key stands for is known after the first.

use axum::extract::Request;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sightflow_store::Idempotency;

use super::forms::{NamedImage, Source, is_image, take_images};
use super::request::Run;
use crate::error::{ApiError, Code};
use crate::extract::body::{self, Charge, Held, JSON_LIMIT, RUN_LIMIT};
use crate::extract::document::{self, TREE_FACTOR};
use crate::extract::{Multipart, media_type, require_json};
use crate::idempotency;
use crate::state::ApiState;

/// From this size on, parsing and decoding leave the async threads.
const INLINE: usize = 256 << 10;

/// A run request whose bytes have arrived.
pub(super) struct Received {
    /// The request line and headers.
    pub(super) parts: Parts,
    /// The client's key, if it sent one.
    pub(super) key: Option<Idempotency>,
    document: Bytes,
    files: Vec<(String, Bytes)>,
    charge: Charge,
}

/// A run request that was understood, but not checked against a workflow.
pub(super) struct RunBody {
    /// The fields.
    pub(super) run: Run,
    /// The images, taken out of the input.
    pub(super) images: Vec<NamedImage>,
    /// Only of an inline run.
    pub(super) definition: Option<Value>,
    /// The request line and headers.
    pub(super) parts: Parts,
    /// The client's key, if it sent one.
    pub(super) key: Option<Idempotency>,
    /// What its tree and images are charged.
    pub(super) charge: Charge,
}

/// Reads the bytes of a request.
pub(super) async fn receive(state: &ApiState, request: Request) -> Result<Received, ApiError> {
    if media_type(request.headers()).as_deref() == Some("multipart/form-data") {
        return receive_parts(state, request).await;
    }
    require_json(request.headers()).map_err(|error| ApiError {
        message: "send the run as `application/json` or `multipart/form-data`".to_owned(),
        ..error
    })?;
    let (parts, body) = request.into_parts();
    let Held { bytes, charge } = body::read(&state.config.memory, body, &parts.headers, RUN_LIMIT).await?;
    let key = idempotency::key(&parts, &bytes)?;
    Ok(Received { parts, key, document: bytes, files: Vec::new(), charge })
}

async fn receive_parts(state: &ApiState, request: Request) -> Result<Received, ApiError> {
    let (parts, body) = request.into_parts();
    let head = Request::from_parts(parts.clone(), body);
    let mut multipart = Multipart::open(&state.config.memory, head).await?;
    let (mut document, mut files) = (None, Vec::new());
    // The boundary differs from attempt to attempt; names and contents do not.
    let mut identity = idempotency::given(&parts.headers)?.map(|_| Sha256::new());
    while let Some(part) = multipart.next().await? {
        if let Some(identity) = &mut identity {
            identity.update((part.name.len() as u64).to_be_bytes());
            identity.update(&part.name);
            identity.update((part.bytes.len() as u64).to_be_bytes());
            identity.update(&part.bytes);
        }
        if part.name == "request" {
            if document.replace(part.bytes).is_some() {
                return Err(ApiError::new(Code::BadJson, "the multipart body has two parts named `request`"));
            }
        } else if part.is_file {
            files.push((part.name, part.bytes));
        } else {
            return Err(part.no_file("put the run's fields as one JSON object into a part named `request`"));
        }
    }
    let key = match identity {
        Some(identity) => idempotency::key(&parts, &identity.finalize())?,
        None => None,
    };
    let document = document.unwrap_or_else(|| Bytes::from_static(b"{}"));
    Ok(Received { parts, key, document, files, charge: multipart.finish() })
}

impl Received {
    /// Reads the fields and takes the images out; `inline` says whether the body carries a definition.
    pub(super) async fn understand(self, inline: bool) -> Result<RunBody, ApiError> {
        let Self { parts, key, document, files, mut charge } = self;
        let size = document.len() as u64;
        // Beside the text: its images, decoded, and the tree of the rest, which cannot be more than the limit.
        charge.grow(size + size.min(JSON_LIMIT as u64) * TREE_FACTOR).await?;
        let (run, mut images, definition) = if document.len() < INLINE {
            understand(&document, inline)?
        } else {
            let text = document.clone();
            tokio::task::spawn_blocking(move || understand(&text, inline)).await.map_err(ApiError::internal)??
        };
        for (name, bytes) in files {
            images.push(file(&name, bytes, &images)?);
        }
        drop(document);
        let pictures: usize = images.iter().map(|image| image.source.size()).sum();
        charge.keep(pictures as u64 + size.min(JSON_LIMIT as u64) * TREE_FACTOR);
        Ok(RunBody { run, images, definition, parts, key, charge })
    }
}

fn understand(bytes: &[u8], inline: bool) -> Result<(Run, Vec<NamedImage>, Option<Value>), ApiError> {
    let mut read = document::read(bytes, JSON_LIMIT, is_image)?;
    let definition = if inline { Some(take_definition(&mut read.object)?) } else { None };
    let mut run = Run::read(read.object)?;
    let images = take_images(&mut run.input, run.input_pointer, &mut read.images)?;
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

/// A file part: `image` is the image of the run, any other name one of `images`.
fn file(name: &str, bytes: Bytes, known: &[NamedImage]) -> Result<NamedImage, ApiError> {
    let key = (name != "image").then(|| name.to_owned());
    if known.iter().any(|image| image.name == key) {
        return Err(ApiError::at(Code::InvalidField, format!("/{name}"), format!("the image `{name}` is given twice")));
    }
    Ok(NamedImage { name: key, pointer: format!("/{name}"), source: Source::Encoded(bytes) })
}
