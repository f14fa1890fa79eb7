//! From the images of a request to references in the run input.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow_blobs::Named;
use sightflow_images::Probe;
use sightflow_store::{Created, Execution, NewExecution, StoreError};
use sightflow_types::{Digest, IMAGE_KEY, ImageRef};

use super::forms::{NamedImage, Source};
use crate::caller::Caller;
use crate::error::{ApiError, Code};
use crate::intake;
use crate::outgoing::FetchError;
use crate::state::ApiState;

/// The images of a run, checked; nothing is stored yet.
#[derive(Default)]
pub(super) struct Checked {
    /// Digests that the execution will refer to.
    digests: BTreeSet<Digest>,
    new: Vec<(Named, Probe)>,
}

/// Checks every image and writes it into `input` as the engine reads it: a reference, or a URL for the engine to fetch.
pub(super) async fn check(
    state: &ApiState,
    caller: Caller,
    images: Vec<NamedImage>,
    input: &mut Map<String, Value>,
) -> Result<Checked, ApiError> {
    let mut checked = Checked::default();
    let mut named = Map::new();
    for image in images {
        let label = format!("the image `{}`", image.label());
        let value = match image.source {
            Source::Url(url) => {
                state.outgoing.check(&url).map_err(|error| refused(&label, &image.pointer, &error))?;
                json!({"image_url": url})
            }
            Source::Encoded(bytes) => {
                let probe = intake::check(&bytes, &label, &image.pointer)?;
                let reference = checked.add(bytes, probe).await;
                json!({IMAGE_KEY: reference})
            }
            Source::Stored(given) => {
                let reference = stored(state, caller, &given, &label, &image.pointer).await?;
                checked.digests.insert(reference.digest);
                json!({IMAGE_KEY: reference})
            }
        };
        match (image.name, value) {
            (Some(name), value) => {
                named.insert(name, value);
            }
            (None, Value::Object(mut object)) if object.contains_key("image_url") => input.append(&mut object),
            (None, value) => {
                input.insert("image".to_owned(), value);
            }
        }
    }
    if !named.is_empty() {
        input.insert("images".to_owned(), Value::Object(named));
    }
    Ok(checked)
}

impl Checked {
    async fn add(&mut self, bytes: Bytes, probe: Probe) -> ImageRef {
        let named = Named::of(bytes).await;
        let digest = named.digest;
        self.digests.insert(digest);
        self.new.push((named, probe));
        ImageRef {
            digest,
            width: probe.width,
            height: probe.height,
            format: Some(probe.format.as_str().to_owned()),
            view: None,
            ignore_orientation: false,
            url: None,
        }
    }

    /// Collects the stored images that are named anywhere else: in further input, in parameters.
    pub(super) fn add_references(&mut self, value: &mut Value) {
        crate::views::images::visit(value, &mut |reference| {
            self.digests
                .extend(reference.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok()));
        });
    }

    /// Digests that the execution will refer to.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.digests.iter().copied().collect()
    }

    /// Stores the bytes that came with the request, then the run with the rows of these blobs.
    pub(super) async fn submit(self, state: &ApiState, mut new: NewExecution) -> Result<Created<Execution>, ApiError> {
        let mut attempt = 1;
        loop {
            let stored_at = state.store.now();
            new.new_blobs.clear();
            for (named, probe) in &self.new {
                state.blobs.put_named(named).await?;
                new.new_blobs.push(intake::new_blob(named.digest, &named.bytes, probe, stored_at));
            }
            match state.store.submit(new.clone()).await {
                // The collector was about to delete what `put` found: these bytes are stored once more.
                Err(StoreError::BlobBusy(_)) if attempt < intake::ATTEMPTS => tokio::time::sleep(intake::PAUSE).await,
                submitted => return Ok(submitted?),
            }
            attempt += 1;
        }
    }
}

fn refused(label: &str, pointer: &str, error: &FetchError) -> ApiError {
    ApiError::at(Code::UrlNotAllowed, pointer, format!("{label}: {error}"))
}

/// A reference to an earlier blob, completed from what is known about it; a `view` must lie inside.
async fn stored(
    state: &ApiState,
    caller: Caller,
    given: &Map<String, Value>,
    label: &str,
    pointer: &str,
) -> Result<ImageRef, ApiError> {
    let invalid = |reason: String| ApiError::at(Code::ImageInvalid, pointer, format!("{label}: {reason}"));
    let digest = given.get("digest").and_then(Value::as_str).unwrap_or_default();
    let digest: Digest = digest.parse().map_err(|error| ApiError::field(pointer, format!("{label}: {error}")))?;
    let blob = intake::find(state, caller.tenant, &digest)
        .await?
        .ok_or_else(|| invalid(format!("there is no blob {digest}; upload it to /api/v1/blobs first")))?;
    let mut reference = intake::reference(&blob);
    if reference.width == 0 {
        return Err(invalid(format!("the blob {digest} is no image ({})", blob.media_type)));
    }
    // A reference with `ignore_orientation` is taken back as it was given out; its size may be turned.
    reference.ignore_orientation = given.get("ignore_orientation").and_then(Value::as_bool).unwrap_or(false);
    if let Some(view) = given.get("view").filter(|view| !view.is_null()) {
        let view: sightflow_types::Rect = serde_json::from_value(view.clone())
            .map_err(|error| ApiError::field(format!("{pointer}/$image/view"), error.to_string()))?;
        let longest = u64::from(reference.width.max(reference.height));
        let (right, bottom) = (u64::from(view.x) + u64::from(view.width), u64::from(view.y) + u64::from(view.height));
        let inside = if reference.ignore_orientation {
            right.max(bottom) <= longest
        } else {
            right <= u64::from(reference.width) && bottom <= u64::from(reference.height)
        };
        if view.width == 0 || view.height == 0 || !inside {
            return Err(invalid(format!("its view does not lie within {}×{}", reference.width, reference.height)));
        }
        (reference.width, reference.height, reference.view) = (view.width, view.height, Some(view));
    }
    Ok(reference)
}
