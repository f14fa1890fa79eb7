//! Values of parameters, brought to their types.

use serde_json::Value;
use sightflow_types::definition::{Parameter, ParameterType};

use crate::image_source::ImageSource;

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
            source @ ImageSource::Stored(_) => source.to_value(),
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
