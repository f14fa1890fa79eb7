//! Where a run image comes from.

use serde_json::{Value, json};
use sightflow_types::{Digest, IMAGE_KEY, ImageRef};

use crate::images;

/// Where a run image comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageSource {
    /// A stored blob, or a part of it.
    Stored(ImageRef),
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
                let digest = text.parse::<Digest>().map_err(|error| format!("is {error}"))?;
                Ok(Self::Stored(ImageRef::whole(digest)))
            }
            Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
                Ok(Self::Url(text.clone()))
            }
            Value::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((key, inside @ (Value::Object(_) | Value::String(_)))) if key == IMAGE_KEY => {
                    images::reference(inside).map(Self::Stored)
                }
                Some((key, Value::String(url))) if key == "image_url" => Ok(Self::Url(url.clone())),
                _ => Err("is not an image: expected `$image` or `image_url`".to_owned()),
            },
            _ => Err("is not an image: expected a reference or a URL".to_owned()),
        }
    }

    /// The form in which it is stored with the execution.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Stored(reference) => json!({IMAGE_KEY: reference}),
            Self::Url(url) => json!({"image_url": url}),
        }
    }
}
