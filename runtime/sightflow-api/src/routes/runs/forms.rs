//! The forms in which a run input may give an image.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use bytes::Bytes;
use serde_json::{Map, Value};
use sightflow_types::{Digest, IMAGE_KEY};

use crate::error::{ApiError, Code};
use crate::extract::fields::escape;

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

/// Takes the images out of `input` and leaves the other keys.
pub(crate) fn take_images(input: &mut Map<String, Value>, pointer: &str) -> Result<Vec<NamedImage>, ApiError> {
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
            images.push(NamedImage { name: None, source: form(key, value, &pointer, "image")?, pointer });
        }
    }
    match input.remove("images") {
        None | Some(Value::Null) => {}
        Some(Value::Object(named)) => {
            for (name, value) in named {
                let pointer = format!("{pointer}/images/{}", escape(&name));
                let source = named_form(value, &pointer, &name)?;
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
fn named_form(value: Value, pointer: &str, label: &str) -> Result<Source, ApiError> {
    match value {
        Value::Object(mut object) if object.len() == 1 && SINGLE.iter().any(|key| object.contains_key(*key)) => {
            let (key, value) =
                SINGLE.into_iter().find_map(|key| Some((key, object.remove(key)?))).unwrap_or(("image", Value::Null));
            form(key, value, &format!("{pointer}/{key}"), label)
        }
        other => form("image", other, pointer, label),
    }
}

fn form(key: &str, value: Value, pointer: &str, label: &str) -> Result<Source, ApiError> {
    match (key, value) {
        ("image_url", Value::String(url)) => Ok(Source::Url(url)),
        ("image_base64", Value::String(text)) => decode(&text, pointer, label).map(Source::Encoded),
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
    if text.starts_with("data:") {
        return decode(&text, pointer, label).map(Source::Encoded);
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

/// Raw base64 or a data URI; line breaks inside are ignored.
fn decode(text: &str, pointer: &str, label: &str) -> Result<Bytes, ApiError> {
    let invalid = |reason: &str| ApiError::at(Code::ImageInvalid, pointer, format!("the image `{label}`: {reason}"));
    let payload = match text.strip_prefix("data:") {
        Some(rest) => {
            let (head, payload) = rest.split_once(',').ok_or_else(|| invalid("the data URI has no comma"))?;
            if !head.ends_with(";base64") {
                return Err(invalid("the data URI is not base64"));
            }
            payload
        }
        None => text,
    };
    if payload.is_empty() {
        return Err(invalid("it is empty"));
    }
    let decoded = if payload.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let compact: Vec<u8> = payload.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD_PAD_INDIFFERENT.decode(compact)
    } else {
        STANDARD_PAD_INDIFFERENT.decode(payload)
    };
    decoded.map(Bytes::from).map_err(|error| invalid(&format!("it is not valid base64: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(input: &Value) -> Result<Vec<NamedImage>, ApiError> {
        take_images(&mut input.as_object().unwrap().clone(), "/input")
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
        ] {
            let single = take(&form).unwrap();
            assert_eq!((&single[0].name, &single[0].source), (&None, &source), "{form}");
            let named = take(&json!({"images": {"before": form}})).unwrap();
            assert_eq!((named[0].label(), &named[0].source), ("before", &source), "{form}");
        }
        let mut input = json!({"images": {"a": digest, "b": {"$image": {"digest": digest}}}, "limit": 3})
            .as_object()
            .unwrap()
            .clone();
        assert_eq!(take_images(&mut input, "/input").unwrap().len(), 2);
        assert_eq!(Value::from(input), json!({"limit": 3}));
    }

    #[test]
    fn wrong_forms_name_the_place() {
        for (input, code, pointer) in [
            (json!({"image_url": "https://a", "image_base64": "aGVsbG8="}), Code::InvalidField, "/input/image_base64"),
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
