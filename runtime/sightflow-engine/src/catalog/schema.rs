//! Configuration schemas: aliases and value aliases to canonical, dropped and refused keys, defaults, validation.

use std::collections::HashMap;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Number, Value};
use sightflow_expressions::reference::nearest;
use sightflow_types::{Problem, ProblemCode};

use super::fold;

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
                canonical_value(value, property, 0);
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

/// Value aliases, folded enum names, and whole floats as integers, at any depth of the schema.
fn canonical_value(value: &mut Value, schema: &Value, depth: usize) {
    if depth > 16 {
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
                items.iter_mut().for_each(|item| canonical_value(item, schema, depth + 1));
            }
        }
        Value::Object(object) => {
            for (key, item) in object {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(key)) {
                    canonical_value(item, schema, depth + 1);
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

fn explain(error: &ValidationError<'_>, written: &HashMap<String, String>) -> Problem {
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
    Problem::new(ProblemCode::Config, pointer, message).suggest(suggestion)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(60).collect::<String>()) }
}

/// A key as a step of a JSON pointer.
pub(crate) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
