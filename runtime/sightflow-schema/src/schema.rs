//! A compiled schema, and a configuration on its way through it.

use std::collections::HashMap;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};
use sightflow_expressions::nearest;
use sightflow_types::{Problem, ProblemCode, fold, pointer_token};

use crate::explain::explain;
use crate::values::canonical_value;

/// A schema that is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration schema is not valid: {0}")]
pub struct SchemaError(String);

/// A compiled configuration schema.
#[derive(Debug)]
pub struct ConfigSchema {
    validator: Validator,
    properties: Map<String, Value>,
    aliases: HashMap<String, String>,
    dropped: Vec<String>,
    refused: Vec<(String, String)>,
    rewrites: HashMap<String, Map<String, Value>>,
    templates: Vec<String>,
    record_ports: Vec<String>,
    /// The block also receives the run's parameters, as `$params`.
    pub wants_params: bool,
    /// The block also receives where it runs, as `$context`.
    pub wants_context: bool,
}

/// A configuration after canonicalisation.
#[derive(Debug, Default)]
pub struct Canonical {
    /// Canonical keys; defaults are filled in.
    pub config: Map<String, Value>,
    /// Where the client wrote each canonical key.
    pub written: HashMap<String, String>,
    /// `E-…` and `W-…`; pointers are relative to the configuration (`/confidence`).
    pub problems: Vec<Problem>,
}

impl ConfigSchema {
    /// Compiles a manifest's `config`.
    ///
    /// # Errors
    /// [`SchemaError`] where it is not a JSON schema.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let schema = if schema.is_object() {
            schema.clone()
        } else {
            serde_json::json!({"type": "object", "additionalProperties": false})
        };
        let validator =
            jsonschema::options().offline().build(&schema).map_err(|error| SchemaError(error.to_string()))?;
        let object = |key: &str| schema.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        let properties = object("properties");
        let mut aliases = HashMap::new();
        let mut templates = Vec::new();
        for (key, property) in &properties {
            for alias in
                property.get("x-aliases").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
            {
                aliases.insert(alias.to_owned(), key.clone());
            }
            if property.get("x-template").and_then(Value::as_bool) == Some(true) {
                templates.push(key.clone());
            }
        }
        let dropped = schema.get("x-dropped").and_then(Value::as_array).into_iter().flatten();
        let record_ports = schema.get("x-record-ports").and_then(Value::as_array).into_iter().flatten();
        let rewrites =
            object("x-rewrites").into_iter().filter_map(|(key, cases)| Some((key, cases.as_object()?.clone())));
        Ok(Self {
            validator,
            aliases,
            dropped: dropped.filter_map(Value::as_str).map(str::to_owned).collect(),
            refused: object("x-refused")
                .into_iter()
                .map(|(key, hint)| (key, hint.as_str().unwrap_or_default().to_owned()))
                .collect(),
            rewrites: rewrites.collect(),
            templates,
            record_ports: record_ports.filter_map(Value::as_str).map(str::to_owned).collect(),
            wants_params: schema.get("x-params").and_then(Value::as_bool).unwrap_or(false),
            wants_context: schema.get("x-context").and_then(Value::as_bool).unwrap_or(false),
            properties,
        })
    }

    /// Whether the block evaluates this key's templates itself.
    pub fn is_template(&self, key: &str) -> bool {
        self.templates.iter().any(|name| name == key)
    }

    /// Whether this `many` port takes one edge's value as it is, and several edges as a record by source node, instead
    /// of a list (`x-record-ports`).
    pub fn takes_record(&self, port: &str) -> bool {
        self.record_ports.iter().any(|name| name == port)
    }

    /// The canonical key names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }

    /// The canonical form of a configuration of which everything is known: keys, values, defaults, problems.
    pub fn canonical(&self, config: Map<String, Value>) -> Canonical {
        let mut canonical = self.canonical_keys(config);
        self.finish(&mut canonical, &[]);
        canonical
    }

    /// Brings keys to canonical form: aliases, rewrites, dropped and refused keys, unknown keys. Values stay.
    pub fn canonical_keys(&self, config: Map<String, Value>) -> Canonical {
        let mut out = Canonical::default();
        let mut removed = Vec::new();
        for (key, value) in config {
            let pointer = format!("/{}", pointer_token(&key));
            if self.properties.contains_key(&key) {
                out.put(key.clone(), value, &key, &pointer);
            } else if let Some(canonical) = self.aliases.get(&key) {
                out.problems.push(alias(&pointer, &key, canonical));
                out.put(canonical.clone(), value, &key, &pointer);
            } else if let Some(cases) = self.rewrites.get(&key) {
                let case = value.as_str().map_or_else(|| value.to_string(), fold);
                let Some(Value::Object(pairs)) = cases.get(&case) else {
                    let allowed: Vec<&str> = cases.keys().map(String::as_str).collect();
                    out.problems.push(Problem::new(
                        ProblemCode::Config,
                        pointer,
                        format!("`{key}` is {value}; it can be {}", allowed.join(" or ")),
                    ));
                    continue;
                };
                out.problems.push(Problem::new(
                    ProblemCode::Alias,
                    &pointer,
                    format!("`{key}` is written as {} now", Value::Object(pairs.clone())),
                ));
                for (canonical, value) in pairs {
                    if value.is_null() {
                        removed.push(canonical.clone());
                    } else {
                        out.put(canonical.clone(), value.clone(), &key, &pointer);
                    }
                }
            } else if self.dropped.contains(&key) {
                out.problems.push(Problem::new(
                    ProblemCode::DroppedKey,
                    pointer,
                    format!("`{key}` has no effect on results and was removed"),
                ));
            } else {
                out.problems.push(self.unknown_key(&key, pointer));
            }
        }
        for key in removed {
            out.config.remove(&key);
        }
        out
    }

    fn unknown_key(&self, key: &str, pointer: String) -> Problem {
        let hint = self.refused.iter().find(|(refused, _)| match refused.strip_suffix('*') {
            Some(stem) => key.starts_with(stem),
            None => refused == key,
        });
        if let Some((_, hint)) = hint {
            return Problem::new(ProblemCode::ConfigKey, pointer, format!("`{key}` is not available: {hint}"));
        }
        let known = self.properties.keys().chain(self.aliases.keys()).map(String::as_str);
        let suggestion = nearest(key, known).map(|near| self.aliases.get(&near).cloned().unwrap_or(near));
        Problem::new(ProblemCode::ConfigKey, pointer, format!("there is no configuration key `{key}`"))
            .suggest(suggestion)
    }

    /// Brings values to canonical form, fills defaults and validates. Keys in `dynamic` are not known yet: they get no
    /// default and may be missing.
    pub fn finish(&self, canonical: &mut Canonical, dynamic: &[String]) {
        for (key, value) in &mut canonical.config {
            if let Some(property) = self.properties.get(key) {
                let before = value.clone();
                canonical_value(value, property);
                if *value != before && (before.is_string() || before.is_array()) {
                    let pointer = format!("/{}", pointer_token(canonical.written.get(key).unwrap_or(key)));
                    canonical.problems.push(Problem::new(
                        ProblemCode::Alias,
                        pointer,
                        format!("{before} is written {value} now"),
                    ));
                }
            }
        }
        for (key, property) in &self.properties {
            if let Some(default) = property.get("default")
                && !canonical.config.contains_key(key)
                && !dynamic.contains(key)
            {
                canonical.config.insert(key.clone(), default.clone());
            }
        }
        let instance = Value::Object(std::mem::take(&mut canonical.config));
        for error in self.validator.iter_errors(&instance) {
            let at_root = error.instance_path().as_str().is_empty();
            let missing = match error.kind() {
                ValidationErrorKind::Required { property } => property.as_str(),
                _ => None,
            };
            // Conditions over several keys cannot be judged while some are unknown.
            if at_root && !dynamic.is_empty() && missing.is_none_or(|key| dynamic.iter().any(|name| name == key)) {
                continue;
            }
            canonical.problems.push(explain(&error, &canonical.written));
        }
        if let Value::Object(config) = instance {
            canonical.config = config;
        }
    }
}

impl Canonical {
    fn put(&mut self, canonical: String, value: Value, key: &str, pointer: &str) {
        if let Some(other) = self.config.get(&canonical) {
            if *other != value {
                let written = self.written.get(&canonical).cloned().unwrap_or_default();
                let message = format!("`{key}` and `{written}` mean the same key and have different values");
                self.problems.push(Problem::new(ProblemCode::Config, pointer, message).suggest(Some(canonical)));
            }
            return;
        }
        self.written.insert(canonical.clone(), key.to_owned());
        self.config.insert(canonical, value);
    }
}

fn alias(pointer: &str, from: &str, to: &str) -> Problem {
    Problem::new(ProblemCode::Alias, pointer, format!("`{from}` is written `{to}` now")).suggest(Some(to))
}
