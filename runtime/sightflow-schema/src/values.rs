//! Values in their canonical spelling.

use serde_json::{Number, Value};
use sightflow_types::fold;

/// Deeper values stay as they are.
const MOST_LEVELS: usize = 16;

/// Value aliases, folded enum names, and whole floats as integers, at any depth of the schema.
pub(crate) fn canonical_value(value: &mut Value, schema: &Value) {
    at_depth(value, schema, 0);
}

fn at_depth(value: &mut Value, schema: &Value, depth: usize) {
    if depth > MOST_LEVELS {
        return;
    }
    if let Some(text) = value.as_str().map(str::to_owned) {
        let folded = fold(&text);
        let values = schema.get("x-value-aliases").and_then(Value::as_object).into_iter().flatten();
        let renamed = values.filter(|(from, _)| fold(from) == folded).map(|(_, to)| to.clone()).next();
        let mut options = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let same = options.find(|option| option.as_str().is_some_and(|option| fold(option) == folded)).cloned();
        if let Some(canonical) = same.or(renamed) {
            *value = canonical;
        }
        return;
    }
    if !value.is_object()
        && !value.is_array()
        && let Some(to) = schema.get("x-value-aliases").and_then(|aliases| aliases.get(value.to_string()))
    {
        *value = to.clone();
    }
    if let Some(number) = value.as_f64().filter(|_| value.is_f64() && is_integer(schema))
        && number.fract() == 0.0
        && number.abs() < 9e15
    {
        *value = Value::Number(Number::from(number as i64));
    }
    match value {
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| at_depth(item, schema, depth + 1));
            }
        }
        Value::Object(object) => {
            for (key, item) in object {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(key)) {
                    at_depth(item, schema, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn is_integer(schema: &Value) -> bool {
    let holds = |kind: &Value| match kind {
        Value::String(name) => name == "integer",
        Value::Array(names) => names.iter().any(|name| name == "integer") && !names.iter().any(|name| name == "number"),
        _ => false,
    };
    schema.get("type").is_some_and(holds)
        || ["anyOf", "oneOf"].iter().any(|key| {
            schema.get(*key).and_then(Value::as_array).is_some_and(|options| {
                options.iter().any(is_integer)
                    && !options.iter().any(|option| option.get("type").is_some_and(|kind| kind == "number"))
            })
        })
}
