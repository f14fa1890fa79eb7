//! What a run gives a plan: images, values and parameters, checked before anything is written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sightflow_expressions::reference::nearest;
use sightflow_types::definition::{Parameter, ParameterType};
use sightflow_types::{Digest, IMAGE_KEY, Problem};

use crate::plan::Plan;

/// Where a run image comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageSource {
    /// A stored blob; the value inside `$image`, with at least `digest`.
    Reference(Value),
    /// To be fetched by the engine.
    Url(String),
}

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

impl RunInput {
    /// The input as it is stored with the execution, without `parameters`. [`validate_run`] reads it back.
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

/// Checks a run's input and parameters against a plan. Pointers begin with `/input` or `/parameters`.
///
/// # Errors
/// Every problem at once, code `E-BAD-INPUT`.
pub fn validate_run(
    plan: &Plan,
    input: &Map<String, Value>,
    parameters: &Map<String, Value>,
) -> Result<RunInput, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut run = RunInput::default();
    let mut report = |pointer: String, message: String, near: Option<String>| {
        problems.push(Problem::new("E-BAD-INPUT", pointer, message).suggest(near));
    };
    let mut given = parameters.clone();
    for (key, value) in input {
        let pointer = format!("/input/{}", crate::catalog::pointer_token(key));
        let single = match (key.as_str(), value) {
            ("parameters", Value::Object(inside)) => {
                for (name, value) in inside {
                    given.entry(name.clone()).or_insert_with(|| value.clone());
                }
                continue;
            }
            ("parameters", _) => {
                report(pointer, "`parameters` is an object".to_owned(), None);
                continue;
            }
            ("images", Value::Object(images)) => {
                for (name, value) in images {
                    match ImageSource::read(value) {
                        Ok(source) => {
                            run.images.insert(name.clone(), source);
                        }
                        Err(reason) => {
                            report(
                                format!("{pointer}/{}", crate::catalog::pointer_token(name)),
                                format!("the image `{name}` {reason}"),
                                None,
                            );
                        }
                    }
                }
                continue;
            }
            ("images", _) => {
                report(pointer, "`images` is an object of named images".to_owned(), None);
                continue;
            }
            ("image_url", Value::String(url)) => Ok(ImageSource::Url(url.clone())),
            ("image_url", _) => Err("is not a text".to_owned()),
            ("image_base64", _) => Err("was not stored before the run".to_owned()),
            ("image", value) => ImageSource::read(value),
            _ => {
                if let Some(reason) = forged(value) {
                    report(pointer, format!("`{key}` {reason}"), None);
                }
                run.values.insert(key.clone(), value.clone());
                continue;
            }
        };
        match single {
            Ok(_) if run.image.is_some() => {
                report(pointer, "the run image is given twice; name several under `images`".to_owned(), None);
            }
            Ok(source) => run.image = Some(source),
            Err(reason) => report(pointer, format!("`{key}` {reason}"), None),
        }
    }
    check_images(plan, &run, &mut report);
    run.parameters = check_parameters(plan, given, &mut report);
    if problems.is_empty() { Ok(run) } else { Err(problems) }
}

/// What is wrong with the images inside a value from outside: each must be a stored image's reference.
fn forged(value: &Value) -> Option<&'static str> {
    crate::images::any_image(value, &mut |image| image.get(IMAGE_KEY).and_then(crate::images::digest).is_none())
        .then_some("holds an `$image` that is no reference with a valid `digest`")
}

fn check_images(plan: &Plan, run: &RunInput, report: &mut impl FnMut(String, String, Option<String>)) {
    let inputs = plan.image_inputs();
    let only = inputs.len() == 1;
    if run.image.is_some() && inputs.len() > 1 {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        report(
            "/input".to_owned(),
            format!("the workflow reads several images; name them under `images`: {}", names.join(", ")),
            None,
        );
        return;
    }
    let lone = only && run.image.is_none() && run.images.len() == 1;
    for name in run.images.keys().filter(|name| !lone && !inputs.iter().any(|input| input.name == **name)) {
        let near = nearest(name, inputs.iter().map(|input| input.name.as_str()));
        report(
            format!("/input/images/{}", crate::catalog::pointer_token(name)),
            format!("the workflow reads no image `{name}`"),
            near,
        );
    }
    for input in inputs.iter().filter(|input| input.required && run.image_for(&input.name, only).is_none()) {
        let pointer = if only {
            "/input/image".to_owned()
        } else {
            format!("/input/images/{}", crate::catalog::pointer_token(&input.name))
        };
        report(pointer, format!("the image `{}` is missing; the node `{}` needs it", input.name, input.node_id), None);
    }
}

fn check_parameters(
    plan: &Plan,
    given: Map<String, Value>,
    report: &mut impl FnMut(String, String, Option<String>),
) -> Map<String, Value> {
    let free = plan.parameters.is_empty() && plan.nodes.iter().any(|node| node.entry.block_type == "parameter_input");
    for (name, value) in &given {
        if let Some(reason) = forged(value) {
            report(format!("/parameters/{}", crate::catalog::pointer_token(name)), format!("`{name}` {reason}"), None);
        }
    }
    if free {
        return given;
    }
    let mut coerced = Map::new();
    for (name, value) in &given {
        let pointer = format!("/parameters/{}", crate::catalog::pointer_token(name));
        match plan.parameters.iter().find(|parameter| parameter.name == *name) {
            None => {
                let near = nearest(name, plan.parameters.iter().map(|parameter| parameter.name.as_str()));
                report(pointer, format!("the workflow declares no parameter `{name}`"), near);
            }
            // Null is not a value: the default applies, or the parameter is missing.
            Some(_) if value.is_null() => {}
            Some(parameter) => match coerce(parameter, value) {
                Ok(value) => {
                    coerced.insert(name.clone(), value);
                }
                Err(reason) => report(pointer, format!("`{name}` {reason}"), None),
            },
        }
    }
    for parameter in &plan.parameters {
        if coerced.contains_key(&parameter.name) {
            continue;
        }
        match &parameter.default {
            Some(default) => {
                coerced.insert(parameter.name.clone(), default.clone());
            }
            None if parameter.required && given.get(&parameter.name).is_none_or(Value::is_null) => {
                let pointer = format!("/parameters/{}", crate::catalog::pointer_token(&parameter.name));
                report(pointer, format!("the parameter `{}` is required", parameter.name), None);
            }
            None => {}
        }
    }
    coerced
}

/// Brings a run value to its parameter's type, once: numeric texts to numbers, `"true"`, `"1"`, `"yes"` to true.
///
/// # Errors
/// What is wrong, as a sentence that continues after the parameter's name.
pub(crate) fn coerce(parameter: &Parameter, value: &Value) -> Result<Value, String> {
    let wrong = |wanted: &str| Err(format!("is {}, not {wanted}", shorten(value)));
    let coerced = match (parameter.kind, value) {
        (ParameterType::String, Value::String(_)) => value.clone(),
        (ParameterType::String, Value::Number(_) | Value::Bool(_)) => Value::String(value.to_string()),
        (ParameterType::Number, Value::Number(_)) => value.clone(),
        (ParameterType::Number | ParameterType::Integer, Value::String(text)) => {
            match serde_json::from_str::<Value>(text.trim()) {
                Ok(number @ Value::Number(_)) if parameter.kind == ParameterType::Number => number,
                Ok(number @ Value::Number(_)) => match whole(&number) {
                    Some(number) => number.into(),
                    None => return wrong("a whole number"),
                },
                _ => return wrong("a number"),
            }
        }
        (ParameterType::Integer, Value::Number(_)) => match whole(value) {
            Some(number) => number.into(),
            None => return wrong("a whole number"),
        },
        (ParameterType::Boolean, Value::Bool(_)) => value.clone(),
        (ParameterType::Boolean, Value::String(_) | Value::Number(_)) => {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_lowercase());
            match text.as_str() {
                "true" | "1" | "yes" => Value::Bool(true),
                "false" | "0" | "no" => Value::Bool(false),
                _ => return wrong("a boolean"),
            }
        }
        (ParameterType::Array, Value::Array(_)) | (ParameterType::Object, Value::Object(_)) => value.clone(),
        (ParameterType::Array | ParameterType::Object, Value::String(text)) => {
            match serde_json::from_str::<Value>(text) {
                Ok(list @ Value::Array(_)) if parameter.kind == ParameterType::Array => list,
                Ok(object @ Value::Object(_)) if parameter.kind == ParameterType::Object => object,
                _ => {
                    return wrong(if parameter.kind == ParameterType::Array { "an array" } else { "an object" });
                }
            }
        }
        (ParameterType::Image, value) => match ImageSource::read(value)? {
            source @ ImageSource::Reference(_) => source.to_value(),
            _ => return Err("is an image parameter; give a stored image's reference".to_owned()),
        },
        (kind, _) => return wrong(&format!("of type {}", format!("{kind:?}").to_lowercase())),
    };
    if let Some(number) = coerced.as_f64() {
        if parameter.min.is_some_and(|min| number < min) {
            return Err(format!("is {number}; the smallest allowed value is {}", parameter.min.unwrap_or_default()));
        }
        if parameter.max.is_some_and(|max| number > max) {
            return Err(format!("is {number}; the largest allowed value is {}", parameter.max.unwrap_or_default()));
        }
    }
    if let Some(allowed) = &parameter.allowed {
        let same =
            |option: &Value| *option == coerced || option.as_f64().zip(coerced.as_f64()).is_some_and(|(a, b)| a == b);
        if !allowed.iter().any(same) {
            let names: Vec<String> = allowed.iter().map(shorten).collect();
            return Err(format!("is {}; it can be {}", shorten(value), names.join(", ")));
        }
    }
    Ok(coerced)
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64)
    })
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(60).collect::<String>()) }
}
