//! Images inside the JSON values of a running execution: `{"$image": n}`, n an index into the run's table.
//!
//! An image is only ever such a handle, or a stored reference in a run's input, its parameters or a literal of its
//! definition. No text becomes an image, and nothing that a run computes becomes a stored one.

mod recipe;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use sightflow_images::{Image, PixelFormat, ReadOptions, probe};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, IMAGE_KEY, ImageRef};

pub(crate) use recipe::{Access, Origin, Recipe};
pub(crate) use table::{ImageTable, Picture};

/// What a stored image is for; decides who may read it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An inference job reads it.
    Job,
    /// It is part of the outputs.
    Output,
}

/// Bytes of images: loading, storing and fetching them, on behalf of one tenant.
#[async_trait]
pub trait ImageIo: Send + Sync {
    /// The bytes of a stored blob that the tenant may read.
    ///
    /// # Errors
    /// `E-IMAGE` if it is not there, or not the tenant's.
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

/// `{"$image": n}`.
pub(crate) fn handle_value(handle: usize) -> Value {
    json!({IMAGE_KEY: handle})
}

/// The handle in `{"$image": n}`.
pub(crate) fn handle(value: &Value) -> Option<usize> {
    let inside = value.as_object().filter(|object| object.len() == 1)?.get(IMAGE_KEY)?;
    usize::try_from(inside.as_u64()?).ok()
}

/// The image that a literal of a definition means, `"sha256:…"` or `{"$image": {…}}`, in the second form.
pub(crate) fn literal(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => text.parse::<Digest>().ok().map(|digest| json!({IMAGE_KEY: {"digest": digest}})),
        Value::Object(object) if object.len() == 1 => object.get(IMAGE_KEY).and_then(digest).map(|_| value.clone()),
        _ => None,
    }
}

/// The digest that the value inside `$image` names: the digest itself, or an object with `digest`.
pub(crate) fn digest(inside: &Value) -> Option<Digest> {
    inside.as_str().or_else(|| inside.get("digest").and_then(Value::as_str))?.parse().ok()
}

/// Calls `visit` for every `{"$image": …}` inside a value, whatever it holds.
pub(crate) fn for_each_image<E>(
    value: &mut Value,
    visit: &mut impl FnMut(&mut Value) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| for_each_image(item, visit)),
        Value::Object(object) if object.contains_key(IMAGE_KEY) => visit(value),
        Value::Object(object) => object.values_mut().try_for_each(|item| for_each_image(item, visit)),
        _ => Ok(()),
    }
}

/// Whether `found` holds for any `{"$image": …}` inside a value; asks no further then.
pub(crate) fn any_image<'v>(value: &'v Value, found: &mut impl FnMut(&'v Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_image(item, found)),
        Value::Object(object) if object.contains_key(IMAGE_KEY) => found(value),
        Value::Object(object) => object.values().any(|item| any_image(item, found)),
        _ => false,
    }
}

/// Whether a value holds an image anywhere.
pub(crate) fn holds_image(value: &Value) -> bool {
    any_image(value, &mut |_| true)
}

/// Whether a value holds an image that is not a handle: a stored reference, or nothing that exists.
pub(crate) fn holds_reference(value: &Value) -> bool {
    any_image(value, &mut |image| handle(image).is_none())
}

/// The stored image that the value inside `$image` names: a digest, or an object with `digest`.
///
/// # Errors
/// What is wrong, as a sentence that continues after the image's name.
pub(crate) fn reference(inside: &Value) -> Result<ImageRef, String> {
    if inside.is_string() {
        let digest = digest(inside).ok_or("is a reference without a valid `digest`")?;
        return Ok(ImageRef::whole(digest));
    }
    digest(inside).ok_or("is a reference without a valid `digest`")?;
    ImageRef::deserialize(inside).map_err(|error| format!("is a reference that cannot be read: {error}"))
}

/// Opens a stored image by the value inside `$image`.
pub(crate) async fn open(io: &dyn ImageIo, inside: &Value) -> Result<Image, RunError> {
    let reference = reference(inside).map_err(|reason| RunError::new(code::IMAGE, format!("an image {reason}")))?;
    reopen(io, &reference, PixelFormat::Rgb8).await
}

/// Opens a stored image in the pixel format that it had.
pub(crate) async fn reopen(io: &dyn ImageIo, reference: &ImageRef, format: PixelFormat) -> Result<Image, RunError> {
    let broken = |error: sightflow_images::ImageError| RunError::new(code::IMAGE, error.to_string());
    let bytes = io.load(&reference.digest).await?;
    let found = probe(&bytes).map_err(broken)?;
    let options = ReadOptions {
        ignore_orientation: reference.ignore_orientation,
        keep_alpha: format == PixelFormat::Rgba8,
        cache: None,
    };
    let whole = Image::from_encoded_with(bytes, reference.digest, found, options);
    let image = match reference.view {
        Some(view) => whole.crop(view).map_err(broken)?,
        None => whole,
    };
    if image.format() == format {
        return Ok(image);
    }
    crate::blocking::blocking(move || image.convert(format)).await?.map_err(broken)
}

/// Replaces stored references inside a value from outside by handles of this run; answers the images. A handle cannot come
/// from outside.
pub(crate) async fn import(
    value: &mut Value,
    table: &ImageTable,
    io: &dyn ImageIo,
) -> Result<Vec<Arc<Picture>>, RunError> {
    if any_image(value, &mut |image| handle(image).is_some()) {
        return Err(RunError::new(code::BAD_INPUT, "`$image` holds a number; it takes a stored image's reference"));
    }
    open_references(value, table, io).await
}

/// Replaces stored references inside a value by handles of this run; handles stay as they are. Answers the images that were
/// opened.
pub(crate) async fn open_references(
    value: &mut Value,
    table: &ImageTable,
    io: &dyn ImageIo,
) -> Result<Vec<Arc<Picture>>, RunError> {
    let mut references = Vec::new();
    let collected: Result<(), RunError> = for_each_image(value, &mut |place| {
        match (handle(place), place.get(IMAGE_KEY)) {
            (None, Some(inside)) if digest(inside).is_some() => references.push(inside.clone()),
            (None, _) => {
                return Err(RunError::new(code::BAD_INPUT, "`$image` takes a reference with a valid `digest`"));
            }
            (Some(_), _) => {}
        }
        Ok(())
    });
    collected?;
    let mut opened = Vec::with_capacity(references.len());
    for reference in &references {
        opened.push(table.add(open(io, reference).await?));
    }
    let mut pictures = opened.iter();
    let replaced: Result<(), RunError> = for_each_image(value, &mut |place| {
        if handle(place).is_none()
            && let Some(opened) = pictures.next()
        {
            *place = handle_value(opened.handle());
        }
        Ok(())
    });
    replaced.map(|()| opened)
}

/// Replaces handles inside a value by stored references.
pub(crate) async fn export(
    mut value: Value,
    table: &ImageTable,
    access: Access<'_>,
    purpose: Purpose,
) -> Result<Value, RunError> {
    let gone = || RunError::new(code::IMAGE, "a value names an image that does not exist");
    let mut pictures: Vec<Arc<Picture>> = Vec::new();
    for_each_image(&mut value, &mut |place| {
        let picture = table.of(place).ok_or_else(gone)?;
        if !pictures.iter().any(|known| known.handle() == picture.handle()) {
            pictures.push(picture);
        }
        Ok::<(), RunError>(())
    })?;
    let mut references: HashMap<usize, Value> = HashMap::with_capacity(pictures.len());
    for picture in pictures {
        references.insert(picture.handle(), json!({IMAGE_KEY: picture.store(access, purpose).await?}));
    }
    for_each_image(&mut value, &mut |place| {
        if let Some(reference) = handle(place).and_then(|handle| references.get(&handle)) {
            *place = reference.clone();
        }
        Ok::<(), RunError>(())
    })?;
    Ok(value)
}
