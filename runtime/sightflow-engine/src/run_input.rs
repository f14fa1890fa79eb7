//! What a run gives a plan: images, values and parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::image_source::ImageSource;

/// The checked input of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunInput {
    /// The image that was given without a name.
    pub image: Option<ImageSource>,
    /// Named images.
    pub images: BTreeMap<String, ImageSource>,
    /// Further JSON under its own names.
    pub values: Map<String, Value>,
    /// Parameters, coerced, defaults filled in.
    pub parameters: Map<String, Value>,
}

impl RunInput {
    /// The input as it is stored with the execution, without the parameters.
    pub fn to_input(&self) -> Map<String, Value> {
        let mut input = self.values.clone();
        match &self.image {
            Some(ImageSource::Url(url)) => {
                input.insert("image_url".to_owned(), json!(url));
            }
            Some(reference) => {
                input.insert("image".to_owned(), reference.to_value());
            }
            None => {}
        }
        if !self.images.is_empty() {
            let images: Map<String, Value> =
                self.images.iter().map(|(name, source)| (name.clone(), source.to_value())).collect();
            input.insert("images".to_owned(), Value::Object(images));
        }
        input
    }

    /// The image for an `image_input` that reads `name`; `only` where the plan has no other `image_input`.
    pub fn image_for(&self, name: &str, only: bool) -> Option<&ImageSource> {
        let single = || {
            if only {
                self.image.as_ref().or_else(|| self.images.values().next().filter(|_| self.images.len() == 1))
            } else {
                None
            }
        };
        self.images.get(name).or_else(single)
    }
}
