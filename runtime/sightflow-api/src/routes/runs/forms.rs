//! The forms in which a run input may give an image.

use bytes::Bytes;
use serde_json::{Map, Value};
use sightflow_types::{Digest, IMAGE_KEY, pointer_token};

use crate::error::{ApiError, Code};
use crate::extract::base64;
use crate::extract::document::{Images, Step};

/// Where the pixels are.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    /// To be fetched once, by the engine.
    Url(String),
    /// Came in the request.
    Encoded(Bytes),
    /// Uploaded before, or the result of another execution: the object inside `{"$image": …}`.
    Stored(Map<String, Value>),
}

impl Source {
    /// Bytes that it holds in memory.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Encoded(bytes) => bytes.len(),
            Self::Url(_) | Self::Stored(_) => 0,
        }
    }
}

/// One image of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct NamedImage {
    /// Key in `images`; none for the one image of the run.
    pub(crate) name: Option<String>,
    /// Where it stands in the request.
    pub(crate) pointer: String,
    /// Where the pixels are.
    pub(crate) source: Source,
}

impl NamedImage {
    /// For messages: `image`, or the name in `images`.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("image")
    }
}

const SINGLE: [&str; 3] = ["image_url", "image_base64", "image"];

/// Whether the text at `path` of a request is an image's bytes: `image_base64`, or a data URI where an image belongs.
pub(crate) fn is_image(path: &[Step], text: &str) -> bool {
    let [Step::Key(input), rest @ ..] = path else { return false };
    let key = match rest {
        [Step::Key(key)] => Some(key),
        [Step::Key(images), Step::Key(_)] if images == "images" => None,
        [Step::Key(images), Step::Key(_), Step::Key(key)] if images == "images" => Some(key),
        _ => return false,
    };
    let data_uri = || base64::is_data_uri(text);
    matches!(input.as_str(), "input" | "inputs")
        && match key.map(String::as_str) {
            Some("image_base64") => true,
            Some("image" | "image_url") | None => data_uri(),
            Some(_) => false,
        }
}

/// Takes the images out of `input` and leaves the other keys. What [`is_image`] found was read before and is in `decoded`.
pub(crate) fn take_images(
    input: &mut Map<String, Value>,
    pointer: &str,
    decoded: &mut Images,
) -> Result<Vec<NamedImage>, ApiError> {
    let mut images = Vec::new();
    let given: Vec<&str> =
        SINGLE.into_iter().filter(|key| input.get(*key).is_some_and(|value| !value.is_null())).collect();
    if let [_, second, ..] = given.as_slice() {
        return Err(ApiError::field(
            format!("{pointer}/{second}"),
            format!(
                "the run's image is given as {}; send one form, or several images under `images`",
                given.join(" and ")
            ),
        ));
    }
    for key in SINGLE {
        if let Some(value) = input.remove(key).filter(|value| !value.is_null()) {
            let pointer = format!("{pointer}/{key}");
            images.push(NamedImage { name: None, source: form(key, value, &pointer, "image", decoded)?, pointer });
        }
    }
    match input.remove("images") {
        None | Some(Value::Null) => {}
        Some(Value::Object(named)) => {
            for (name, value) in named {
                let pointer = format!("{pointer}/images/{}", pointer_token(&name));
                let source = named_form(value, &pointer, &name, decoded)?;
                images.push(NamedImage { name: Some(name), pointer, source });
            }
        }
        Some(_) => {
            return Err(ApiError::field(format!("{pointer}/images"), "`images` must be an object: image name → image"));
        }
    }
    Ok(images)
}

/// Inside `images`: an object with one of the three keys, or directly what `image` takes.
fn named_form(value: Value, pointer: &str, label: &str, decoded: &mut Images) -> Result<Source, ApiError> {
    match value {
        Value::Object(mut object) if object.len() == 1 && SINGLE.iter().any(|key| object.contains_key(*key)) => {
            let (key, value) =
                SINGLE.into_iter().find_map(|key| Some((key, object.remove(key)?))).unwrap_or(("image", Value::Null));
            form(key, value, &format!("{pointer}/{key}"), label, decoded)
        }
        other => form("image", other, pointer, label, decoded),
    }
}

fn form(key: &str, value: Value, pointer: &str, label: &str, decoded: &mut Images) -> Result<Source, ApiError> {
    if let Some(image) = decoded.remove(pointer) {
        let invalid = |reason| ApiError::at(Code::ImageInvalid, pointer, format!("the image `{label}`: {reason}"));
        return image.map(Source::Encoded).map_err(invalid);
    }
    match (key, value) {
        ("image_url", Value::String(url)) => Ok(Source::Url(url)),
        ("image", Value::String(text)) => short_form(text, pointer, label),
        ("image", Value::Object(mut object)) => match (object.remove(IMAGE_KEY), object.is_empty()) {
            (Some(Value::Object(reference)), true) => Ok(Source::Stored(reference)),
            _ => Err(wrong_form(pointer, label)),
        },
        ("image", _) => Err(wrong_form(pointer, label)),
        (key, _) => Err(ApiError::field(pointer, format!("`{key}` must be a string"))),
    }
}

fn short_form(text: String, pointer: &str, label: &str) -> Result<Source, ApiError> {
    if text.parse::<Digest>().is_ok() {
        return Ok(Source::Stored(Map::from_iter([("digest".to_owned(), Value::String(text))])));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Source::Url(text));
    }
    Err(wrong_form(pointer, label))
}

fn wrong_form(pointer: &str, label: &str) -> ApiError {
    ApiError::field(
        pointer,
        format!(
            "the image `{label}` must be {{\"$image\": {{\"digest\": \"sha256:…\"}}}} or \"sha256:…\"; use `image_url` or `image_base64` for other forms"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    use crate::extract::document;

    fn take(input: &Value) -> Result<Vec<NamedImage>, ApiError> {
        let mut read = document::read(json!({"input": input}).to_string().as_bytes(), 1 << 10, is_image)?;
        let input = read.object["input"].as_object_mut().unwrap();
        let images = take_images(input, "/input", &mut read.images)?;
        assert!(read.images.is_empty(), "each image was asked for");
        Ok(images)
    }

    #[test]
    fn every_form() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let stored = || Source::Stored(json!({"digest": digest}).as_object().unwrap().clone());
        let hello = || Source::Encoded(Bytes::from_static(b"hello"));
        let url = || Source::Url("https://example.com/a.jpg".to_owned());
        for (form, source) in [
            (json!({"image_url": "https://example.com/a.jpg"}), url()),
            (json!({"image_base64": "aGVsbG8="}), hello()),
            (json!({"image_base64": "aGVs\nbG8"}), hello()),
            (json!({"image_base64": "data:image/png;base64,aGVsbG8="}), hello()),
            (json!({"image": digest}), stored()),
            (json!({"image": {"$image": {"digest": digest}}}), stored()),
            (json!({"image": "data:image/png;base64,aGVsbG8="}), hello()),
            (json!({"image_url": "DATA:image/png;base64,aGVsbG8"}), hello()),
        ] {
            let single = take(&form).unwrap();
            assert_eq!((&single[0].name, &single[0].source), (&None, &source), "{form}");
            let named = take(&json!({"images": {"before": form}})).unwrap();
            assert_eq!((named[0].label(), &named[0].source), ("before", &source), "{form}");
        }
        let direct = json!({"images": {"a": digest, "b": "data:;base64,aGVsbG8="}, "limit": "data:,3"});
        let mut input = direct.as_object().unwrap().clone();
        let mut decoded = Images::from([("/input/images/b".to_owned(), Ok(Bytes::from_static(b"hello")))]);
        assert_eq!(take_images(&mut input, "/input", &mut decoded).unwrap().len(), 2);
        assert_eq!(Value::from(input), json!({"limit": "data:,3"}));
    }

    #[test]
    fn wrong_forms_name_the_place() {
        for (input, code, pointer) in [
            (json!({"image_url": "https://a", "image_base64": "aGVsbG8="}), Code::InvalidField, "/input/image_base64"),
            (json!({"image_base64": 3}), Code::InvalidField, "/input/image_base64"),
            (json!({"image_url": 3}), Code::InvalidField, "/input/image_url"),
            (json!({"image_base64": "%%%"}), Code::ImageInvalid, "/input/image_base64"),
            (json!({"image_base64": ""}), Code::ImageInvalid, "/input/image_base64"),
            (json!({"image_base64": "data:image/png,abc"}), Code::ImageInvalid, "/input/image_base64"),
            (json!({"image": "shelf.jpg"}), Code::InvalidField, "/input/image"),
            (json!({"image": {"digest": "sha256:00"}}), Code::InvalidField, "/input/image"),
            (json!({"images": []}), Code::InvalidField, "/input/images"),
            (json!({"images": {"a/b": {"image_base64": "%"}}}), Code::ImageInvalid, "/input/images/a~1b/image_base64"),
            (json!({"images": {"x": null}}), Code::InvalidField, "/input/images/x"),
        ] {
            let error = take(&input).unwrap_err();
            assert_eq!((error.code, error.details[0].pointer.as_str()), (code, pointer), "{input}: {error}");
        }
    }
}
