//! What the macros' code calls. No part of the public interface.

use std::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Visitor};
use serde_json::{Value, json};
use sightflow_types::capability::Capability;
use sightflow_types::manifest::{Example, Manifest, PortKind, Role};

#[cfg(target_family = "wasm")]
pub use crate::guest;
use crate::{BlockError, Config, Inputs, Outputs};
pub use serde;
pub use serde_json::Map;
#[cfg(target_family = "wasm")]
pub use wit_bindgen::rt;

/// The parts of a manifest that do not follow from types.
#[derive(Debug)]
#[expect(missing_docs, reason = "filled in by #[block]")]
pub struct About {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub category: &'static str,
    pub icon: Option<&'static str>,
    pub aliases: &'static [&'static str],
    pub capabilities: &'static [&'static str],
    pub effect: bool,
    pub role: Option<&'static str>,
}

/// The manifest of a block; its types follow from the function.
pub fn manifest<I, C, O>(_: fn(I, C) -> Result<O, BlockError>, about: &About, examples: Vec<Example>) -> Manifest
where
    I: Inputs,
    C: Config,
    O: Outputs,
{
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Manifest {
        name: about.name.to_owned(),
        title: about.title.to_owned(),
        description: about.description.to_owned(),
        category: about.category.to_owned(),
        icon: about.icon.map(str::to_owned),
        aliases: owned(about.aliases),
        inputs: I::ports(),
        outputs: O::ports(),
        config: C::schema(),
        capabilities: about.capabilities.iter().map(|text| capability(text)).collect(),
        effect: about.effect,
        role: about.role.map(role),
        named_outputs: O::named(),
        examples,
    }
}

/// A capability that a block asks for. Wrong ones are told when the package is looked at: what asks for less than its author
/// thinks must not be published.
fn capability(text: &str) -> Capability {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// One call of a block.
pub fn run<I, C, O>(
    block: fn(I, C) -> Result<O, BlockError>,
    config: &str,
    document: &str,
) -> Result<String, BlockError>
where
    I: Inputs,
    C: Config,
    O: Outputs,
{
    let config: C = read_config(config)?;
    let outputs = block(I::read(document)?, config)?;
    serde_json::to_string(&outputs).map_err(|error| BlockError::failed(format!("the result is not JSON: {error}")))
}

fn read_config<C: DeserializeOwned>(text: &str) -> Result<C, BlockError> {
    serde_json::from_str(text).map_err(|error| BlockError::bad_config("config", without_position(&error)))
}

/// serde_json adds where in the text an error lies; a user never sees that text.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Reads a JSON object with a visitor.
pub fn read_object<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = (&mut deserializer).deserialize_map(visitor)?;
    deserializer.end()?;
    Ok(value)
}

/// An error of [`Inputs::read`].
pub fn input_error(error: &serde_json::Error, port: &'static str) -> BlockError {
    let message = without_position(error);
    if port.is_empty() {
        return BlockError::bad_input("bad_document", message);
    }
    let code = if message == MISSING { "missing" } else { "bad_type" };
    BlockError::bad_input(code, message).port(port)
}

const MISSING: &str = "this port is required but has no value";

/// A required port has no value.
pub fn missing<E: de::Error>() -> E {
    E::custom(MISSING)
}

/// Adds the key to an error of its value.
pub fn at_key<E: de::Error>(error: &E, key: &str) -> E {
    E::custom(format_args!("`{key}`: {error}"))
}

/// The kind with this name. Names come from `#[port(kind = "…")]`, so a wrong one shows in the first call of `catalog`.
pub fn kind(name: &str) -> PortKind {
    serde_json::from_value(Value::from(name)).unwrap_or_else(|_| panic!("`{name}` is not a kind of port"))
}

/// The role with this name; a wrong one shows as a wrong kind does.
fn role(name: &str) -> Role {
    serde_json::from_value(Value::from(name)).unwrap_or_else(|_| panic!("`{name}` is not a role"))
}

/// Reads a key as its index in a list; a key that is not listed is `usize::MAX`.
#[derive(Debug)]
pub struct Names(pub &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Names {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Names {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<usize, E> {
        Ok(self.0.iter().position(|known| *known == name).unwrap_or(usize::MAX))
    }
}

/// Reads one of `names` as its index.
pub fn read_choice<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &'static [&'static str],
) -> Result<usize, D::Error> {
    match deserializer.deserialize_str(Names(names))? {
        usize::MAX => Err(de::Error::custom(format_args!("expected one of {}", names.join(", ")))),
        index => Ok(index),
    }
}

/// The schema of a choice; aliases are pairs of the given and the canonical name.
pub fn choice_schema(names: &[&str], aliases: &[(&str, &str)]) -> Value {
    let mut schema = json!({"type": "string", "enum": names});
    if !aliases.is_empty() {
        let aliases: Map<String, Value> =
            aliases.iter().map(|(given, name)| ((*given).to_owned(), Value::from(*name))).collect();
        schema["x-value-aliases"] = Value::Object(aliases);
    }
    schema
}

/// A literal of a rewrite rule as JSON.
pub fn literal(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A JSON schema under construction.
#[derive(Debug)]
pub struct Schema {
    root: Map<String, Value>,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Schema {
    /// The schema of an object that allows only its own properties.
    pub fn object() -> Self {
        let mut schema = Self::new(json!({"type": "object"}));
        schema.root.insert("additionalProperties".to_owned(), Value::Bool(false));
        schema
    }

    /// Starts from the schema of a type.
    pub fn new(schema: Value) -> Self {
        let root = if let Value::Object(root) = schema { root } else { Map::new() };
        Self { root, properties: Map::new(), required: Vec::new() }
    }

    /// Sets a keyword.
    pub fn set(&mut self, keyword: &str, value: impl Serialize) {
        self.root.insert(keyword.to_owned(), literal(value));
    }

    /// Adds a property.
    pub fn property(&mut self, name: &str, schema: Self, required: bool) {
        self.properties.insert(name.to_owned(), Value::Object(schema.root));
        if required {
            self.required.push(Value::from(name));
        }
    }

    /// Keys that are removed with a warning.
    pub fn dropped(&mut self, keys: &[&str]) {
        self.set("x-dropped", keys);
    }

    /// A key that is refused with a hint.
    pub fn refused(&mut self, key: &str, hint: impl Serialize) {
        let refused = self.root.entry("x-refused").or_insert_with(|| json!({}));
        refused[key] = literal(hint);
    }

    /// `given: value`, the value as text, stands for `keys`; a key that is null is taken away.
    pub fn rewrite(&mut self, given: &str, value: &Value, keys: &[(&str, Value)]) {
        let set: Map<String, Value> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let case = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let rewrites = self.root.entry("x-rewrites").or_insert_with(|| json!({}));
        rewrites[given][case] = Value::Object(set);
    }

    /// The finished schema.
    pub fn finish(mut self) -> Value {
        self.root.insert("properties".to_owned(), Value::Object(self.properties));
        if !self.required.is_empty() {
            self.root.insert("required".to_owned(), Value::Array(self.required));
        }
        Value::Object(self.root)
    }
}

/// A text as an array of its bytes.
#[must_use]
pub const fn bytes_of<const N: usize>(text: &str) -> [u8; N] {
    let (text, mut bytes, mut at) = (text.as_bytes(), [0; N], 0);
    while at < N {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}
