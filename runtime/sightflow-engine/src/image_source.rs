//! Where a run image comes from.

use serde_json::{Value, json};
use sightflow_types::{Digest, IMAGE_KEY};

/// Where a run image comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageSource {
    /// A stored blob; the value inside `$image`, with at least `digest`.
    Reference(Value),
    /// To be fetched by the engine.
    Url(String),
}

impl ImageSource {
    /// Reads one of the accepted forms: a reference object, `sha256:…`, a URL or `{image_url}`. Encoded bytes are stored
    /// before a run is made of them.
    ///
    /// # Errors
    /// What is wrong, as a sentence that continues after the image's name.
    pub fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.starts_with("sha256:") => {
                text.parse::<Digest>().map_err(|error| format!("is {error}"))?;
                Ok(Self::Reference(json!({"digest": text})))
            }
            Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
                Ok(Self::Url(text.clone()))
            }
            Value::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((key, Value::Object(reference))) if key == IMAGE_KEY => {
                    let digest = reference.get("digest").and_then(Value::as_str).unwrap_or_default();
                    digest.parse::<Digest>().map_err(|_| "is a reference without a valid `digest`".to_owned())?;
                    Ok(Self::Reference(Value::Object(reference.clone())))
                }
                Some((key, Value::String(digest))) if key == IMAGE_KEY => Self::read(&Value::String(digest.clone())),
                Some((key, Value::String(url))) if key == "image_url" => Ok(Self::Url(url.clone())),
                _ => Err("is not an image: expected `$image` or `image_url`".to_owned()),
            },
            _ => Err("is not an image: expected a reference or a URL".to_owned()),
        }
    }

    /// The form in which it is stored with the execution.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Reference(reference) => json!({IMAGE_KEY: reference}),
            Self::Url(url) => json!({"image_url": url}),
        }
    }
}
