//! From the configuration that a user writes to the one that a block receives.

use serde_json::{Map, Value};
use sightflow_types::Problem;

/// Aliases and rewrites applied, dropped keys removed, defaults filled in, everything checked against the schema.
///
/// # Errors
/// Everything that the schema refuses, pointers relative to the node.
pub fn canonical(schema: &Value, given: &Value) -> Result<Map<String, Value>, Vec<Problem>> {
    let Some(given) = given.as_object() else {
        return Err(vec![Problem::new("E-CONFIG-TYPE", "/config", "the configuration is no object")]);
    };
    let mut config = Map::new();
    for (key, value) in given {
        for (key, value) in rewritten(schema, key, value) {
            config.entry(key).or_insert(value);
        }
    }
    for (key, property) in properties(schema) {
        if let Some(default) = property.get("default") {
            config.entry(key.clone()).or_insert_with(|| default.clone());
        }
    }
    let config = Value::Object(config);
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| vec![Problem::new("E-CONFIG-SCHEMA", "", format!("the schema itself is wrong: {error}"))])?;
    let problems: Vec<_> = validator
        .iter_errors(&config)
        .map(|error| Problem::new("E-CONFIG-VALUE", format!("/config{}", error.instance_path()), error.to_string()))
        .collect();
    match config {
        Value::Object(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// What one given key means: none if it is dropped, several for a rewrite, else one.
fn rewritten(schema: &Value, key: &str, value: &Value) -> Vec<(String, Value)> {
    if contains(&schema["x-dropped"], key) {
        return Vec::new();
    }
    if let Some(cases) = schema["x-rewrites"][key].as_object() {
        let case = value.as_str().map_or_else(|| value.to_string(), normal);
        if let Some(Value::Object(set)) = cases.get(&case) {
            return set.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        }
    }
    let canonical = properties(schema).find(|(name, property)| *name == key || contains(&property["x-aliases"], key));
    let Some((name, property)) = canonical else { return vec![(key.to_owned(), value.clone())] };
    vec![(name.clone(), canonical_value(property, value))]
}

/// An enum value in its canonical spelling; any other value as it is.
fn canonical_value(property: &Value, value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        let alias = property["x-value-aliases"].get(value.to_string());
        return alias.unwrap_or(value).clone();
    };
    let aliases = property["x-value-aliases"].as_object().into_iter().flatten();
    if let Some((_, canonical)) = aliases.into_iter().find(|(alias, _)| normal(alias) == normal(text)) {
        return canonical.clone();
    }
    let names = property["enum"].as_array().into_iter().flatten();
    names
        .into_iter()
        .find(|name| name.as_str().is_some_and(|name| normal(name) == normal(text)))
        .unwrap_or(value)
        .clone()
}

/// Enum names ignore case and read `-` as `_`.
fn normal(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn contains(list: &Value, name: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| entry == name))
}
