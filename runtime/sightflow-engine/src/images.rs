//! Images inside the JSON values of a running execution: `{"$image": n}`, n an index into the run's table.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow_images::Image;
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, IMAGE_KEY, ImageRef};

/// What a stored image is for; decides who may read it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An inference job reads it.
    Job,
    /// It is part of the outputs.
    Output,
}

/// Bytes of images: loading, storing and fetching them.
#[async_trait]
pub trait ImageIo: Send + Sync {
    /// The bytes of a stored blob.
    ///
    /// # Errors
    /// `E-IMAGE` if it is not there.
    async fn load(&self, digest: &Digest) -> Result<Bytes, RunError>;

    /// Makes sure that an image is stored, losslessly, and readable for `purpose`; its reference.
    ///
    /// # Errors
    /// `E-IMAGE` if it cannot be encoded, `E-INTERNAL` if it cannot be stored.
    async fn store(&self, image: &Image, purpose: Purpose) -> Result<ImageRef, RunError>;

    /// The bytes behind a URL, fetched once per execution and node, and stored.
    ///
    /// # Errors
    /// `E-URL-NOT-ALLOWED`, or `E-IMAGE` if it cannot be fetched.
    async fn fetch(&self, node_id: &str, url: &str) -> Result<(Bytes, Digest), RunError>;
}

/// The images of one run, by handle.
#[derive(Debug, Default)]
pub(crate) struct ImageTable(Mutex<Vec<Image>>);

impl ImageTable {
    pub(crate) fn add(&self, image: Image) -> usize {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.push(image);
        images.len() - 1
    }

    pub(crate) fn get(&self, handle: usize) -> Option<Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(handle).cloned()
    }

    /// The handle and image behind a value `{"$image": n}`.
    pub(crate) fn image(&self, value: &Value) -> Option<(usize, Image)> {
        let handle = handle(value)?;
        Some((handle, self.get(handle)?))
    }

    /// The stored reference of an image; an image that has none is stored first, once.
    pub(crate) async fn store(
        &self,
        at: usize,
        image: &Image,
        io: &dyn ImageIo,
        purpose: Purpose,
    ) -> Result<ImageRef, RunError> {
        let reference = io.store(image, purpose).await?;
        if image.reference().is_none()
            && let Ok(stored) = image.with_reference(reference.clone())
            && let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at)
        {
            *place = stored;
        }
        Ok(reference)
    }
}

/// `{"$image": n}`.
pub(crate) fn handle_value(handle: usize) -> Value {
    json!({IMAGE_KEY: handle})
}

/// The handle in `{"$image": n}`.
pub(crate) fn handle(value: &Value) -> Option<usize> {
    let inside = value.as_object().filter(|object| object.len() == 1)?.get(IMAGE_KEY)?;
    usize::try_from(inside.as_u64()?).ok()
}

/// Whether a value of a definition or a run is an image reference: `"sha256:…"` or `{"$image": {…}}`.
pub(crate) fn is_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<Digest>().is_ok(),
        Value::Object(object) => {
            object.len() == 1 && object.get(IMAGE_KEY).is_some_and(|inside| inside.is_object() || inside.is_string())
        }
        _ => false,
    }
}

/// Calls `replace` for every `{"$image": …}` inside a value.
pub(crate) fn for_each_image<E>(
    value: &mut Value,
    replace: &mut impl FnMut(&mut Value) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| for_each_image(item, replace)),
        Value::Object(object) => match object.get_mut(IMAGE_KEY) {
            Some(inside) if object_is_image(inside) => replace(value),
            _ => object.values_mut().try_for_each(|item| for_each_image(item, replace)),
        },
        _ => Ok(()),
    }
}

fn object_is_image(inside: &Value) -> bool {
    inside.is_u64() || inside.is_object() || inside.is_string()
}

/// Whether a value holds a stored image that is not in the run's table yet.
pub(crate) fn holds_reference(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(object) => {
            object.get(IMAGE_KEY).is_some_and(|inside| inside.is_object() || inside.is_string())
                || object.values().any(holds_reference)
        }
        _ => false,
    }
}

/// Whether a value holds an image anywhere.
pub(crate) fn holds_image(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_image),
        Value::Object(object) => object.get(IMAGE_KEY).is_some_and(object_is_image) || object.values().any(holds_image),
        _ => false,
    }
}

/// Opens a stored image by the value inside `$image` (an object with `digest`, or the digest itself).
pub(crate) async fn open(io: &dyn ImageIo, reference: &Value) -> Result<Image, RunError> {
    let invalid = |reason: String| RunError::new(code::IMAGE, reason);
    let digest = reference.as_str().or_else(|| reference.get("digest").and_then(Value::as_str)).unwrap_or_default();
    let digest: Digest =
        digest.parse().map_err(|error| invalid(format!("an image reference has no valid digest: {error}")))?;
    let bytes = io.load(&digest).await?;
    let view = reference.get("view").filter(|view| !view.is_null());
    let ignore = reference.get("ignore_orientation").and_then(Value::as_bool).unwrap_or(false);
    let mut whole =
        ImageRef { digest, width: 0, height: 0, format: None, view: None, ignore_orientation: ignore, url: None };
    if let Some(view) = view {
        whole.view = Some(
            serde_json::from_value(view.clone())
                .map_err(|error| invalid(format!("an image's view is not valid: {error}")))?,
        );
    }
    Image::from_reference(bytes, &whole).map_err(|error| invalid(error.to_string()))
}

/// Replaces stored references inside values by handles of this run.
pub(crate) async fn import(value: &mut Value, table: &ImageTable, io: &dyn ImageIo) -> Result<(), RunError> {
    let mut references = Vec::new();
    let collected: Result<(), RunError> = for_each_image(value, &mut |place| {
        if let Some(inside) = place.get(IMAGE_KEY).filter(|inside| !inside.is_u64()) {
            references.push(inside.clone());
        }
        Ok(())
    });
    collected?;
    let mut handles = Vec::with_capacity(references.len());
    for reference in &references {
        handles.push(table.add(open(io, reference).await?));
    }
    let mut handles = handles.into_iter();
    for_each_image(value, &mut |place| {
        if place.get(IMAGE_KEY).is_some_and(|inside| !inside.is_u64())
            && let Some(handle) = handles.next()
        {
            *place = handle_value(handle);
        }
        Ok(())
    })
}

/// Replaces handles inside a value by stored references.
pub(crate) async fn export(
    value: &Value,
    table: &ImageTable,
    io: &dyn ImageIo,
    purpose: Purpose,
) -> Result<Value, RunError> {
    let mut value = value.clone();
    let mut handles = Vec::new();
    let collected: Result<(), RunError> = for_each_image(&mut value, &mut |place| {
        handles.extend(handle(place));
        Ok(())
    });
    collected?;
    let mut references: Map<String, Value> = Map::new();
    for handle in handles {
        let key = handle.to_string();
        if let (false, Some(image)) = (references.contains_key(&key), table.get(handle)) {
            references.insert(key, json!({IMAGE_KEY: table.store(handle, &image, io, purpose).await?}));
        }
    }
    for_each_image(&mut value, &mut |place| {
        if let Some(reference) = handle(place).and_then(|handle| references.get(&handle.to_string())) {
            *place = reference.clone();
        }
        Ok::<(), RunError>(())
    })?;
    Ok(value)
}
