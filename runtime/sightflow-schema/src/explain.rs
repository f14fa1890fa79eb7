//! Violations of a schema in words.

use std::collections::HashMap;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;
use sightflow_expressions::nearest;
use sightflow_types::{Problem, pointer_token};

/// What the schema says about a value, as a problem at the place where the client wrote it.
pub(crate) fn explain(error: &ValidationError<'_>, written: &HashMap<String, String>) -> Problem {
    let path = error.instance_path().as_str().to_owned();
    let mut steps = path.splitn(3, '/').skip(1);
    let key = steps.next().unwrap_or_default().to_owned();
    let rest = steps.next().map(|rest| format!("/{rest}")).unwrap_or_default();
    let pointer = if key.is_empty() {
        String::new()
    } else {
        format!("/{}{rest}", written.get(&key).map_or(key.clone(), |name| pointer_token(name)))
    };
    let name =
        if key.is_empty() { "the configuration".to_owned() } else { format!("`{}`", path[1..].replace('/', ".")) };
    let given = short(error.instance());
    let (message, suggestion) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            (format!("the required key `{}` is missing", property.as_str().unwrap_or_default()), None)
        }
        ValidationErrorKind::Minimum { limit } => {
            (format!("{name} is {given}; the smallest allowed value is {limit}"), None)
        }
        ValidationErrorKind::Maximum { limit } => {
            (format!("{name} is {given}; the largest allowed value is {limit}"), None)
        }
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            (format!("{name} is {given}; it must be greater than {limit}"), None)
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            (format!("{name} is {given}; it must be less than {limit}"), None)
        }
        ValidationErrorKind::Enum { options } => {
            let names: Vec<String> = options.as_array().into_iter().flatten().map(short).collect();
            let near = error
                .instance()
                .as_str()
                .and_then(|text| nearest(text, options.as_array().into_iter().flatten().filter_map(Value::as_str)));
            (format!("{name} is {given}; it can be {}", names.join(", ")), near)
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
            };
            (format!("{name} is {given}; it must be of type {wanted}"), None)
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            (format!("{name} has unknown keys: {}", unexpected.join(", ")), None)
        }
        _ => (format!("{name}: {error}"), None),
    };
    Problem::new("E-CONFIG", pointer, message).suggest(suggestion)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(60).collect::<String>()) }
}
