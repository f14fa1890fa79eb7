//! JSON bodies, read once and strictly: every cap holds before the tree is built, and every refusal names its place.
//!
//! serde_json reads the text; the visitor here decides what becomes part of the tree. What it refuses beyond JSON itself:
//! a key that is given twice, NUL characters (stores cannot keep them), whole numbers that lose digits in a float, and
//! more text or more values than a request may have. Image texts are decoded on the way and never become part of the tree.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sightflow_types::pointer_token;

use super::{base64, fields};
use crate::error::{ApiError, Code};

/// Most JSON values in one body.
pub(crate) const MOST_VALUES: usize = 100_000;
/// What a body is charged for its tree: a tree of small values takes this many times its text.
pub(crate) const TREE_FACTOR: u64 = 32;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Images that were taken out of a document, by their JSON pointer: the bytes, or what is wrong with the text.
pub(crate) type Images = BTreeMap<String, Result<Bytes, String>>;

/// A document without its images.
#[derive(Debug)]
pub(crate) struct Read {
    /// The object; an image that was taken out is an empty text in it.
    pub(crate) object: Map<String, Value>,
    /// The images.
    pub(crate) images: Images,
}

/// Reads an object in which no text is an image.
pub(crate) fn object(bytes: &[u8], limit: usize) -> Result<Map<String, Value>, ApiError> {
    read(bytes, limit, |_, _| false).map(|read| read.object)
}

/// Reads a JSON object from a file as the API reads one from a body.
///
/// # Errors
/// What the API would answer, as one text with the place.
pub fn read_document(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    object(bytes, super::body::JSON_LIMIT).map_err(|error| match error.details.first() {
        Some(problem) if !problem.pointer.is_empty() => format!("{} at {}", error.message, problem.pointer),
        _ => error.message,
    })
}

/// Reads an object; texts for which `is_image(path, text)` holds are decoded and do not count towards `limit`, the most
/// bytes that the rest may have.
pub(crate) fn read(bytes: &[u8], limit: usize, is_image: fn(&[Step], &str) -> bool) -> Result<Read, ApiError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::new(Code::BadJson, "the body is empty; send a JSON object"));
    }
    let mut state = State {
        path: Vec::new(),
        is_image,
        images: BTreeMap::new(),
        image_bytes: 0,
        text_left: limit,
        values_left: MOST_VALUES,
        numbers: 0,
        too_long: too_long_integer(bytes),
        limit,
        refusal: None,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Node(&mut state).deserialize(&mut deserializer).and_then(|value| {
        // What follows the value has no place in it.
        deserializer.end()?;
        Ok(value)
    });
    let value = match (parsed, state.refusal.take()) {
        (Ok(value), _) => value,
        (Err(_), Some(refusal)) => return Err(refusal),
        (Err(error), None) => {
            let message = format!("the body is not valid JSON: {error}");
            return Err(ApiError::at(Code::BadJson, state.pointer(), message));
        }
    };
    // Escaped slashes and line breaks inside of an image belong to it.
    if bytes.len().saturating_sub(state.image_bytes + state.image_bytes / 16) > limit {
        return Err(state.too_large());
    }
    match value {
        Value::Object(object) => Ok(Read { object, images: state.images }),
        other => Err(ApiError::field("", format!("the body must be a JSON object, not {}", fields::kind_of(&other)))),
    }
}

/// One step of the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Key(String),
    /// Into a list.
    Index(usize),
}

struct State {
    /// The way to the value that is being read. Not taken back on an error, so that the error can be placed.
    path: Vec<Step>,
    is_image: fn(&[Step], &str) -> bool,
    images: Images,
    /// Bytes of image texts, without escapes.
    image_bytes: usize,
    text_left: usize,
    values_left: usize,
    /// Numbers so far.
    numbers: usize,
    /// Which number, counted from 0, is an integer of more than 64 bits: serde_json hands it over as a float.
    too_long: Option<usize>,
    limit: usize,
    refusal: Option<ApiError>,
}

impl State {
    fn pointer(&self) -> String {
        self.path
            .iter()
            .map(|step| match step {
                Step::Key(key) => format!("/{}", pointer_token(key)),
                Step::Index(index) => format!("/{index}"),
            })
            .collect()
    }

    fn refuse<T, E: serde::de::Error>(&mut self, code: Code, message: impl Into<String>) -> Result<T, E> {
        self.refusal = Some(ApiError::at(code, self.pointer(), message));
        Err(E::custom("refused"))
    }

    fn too_large(&self) -> ApiError {
        let what = if self.images.is_empty() { "the body" } else { "what is not image data in the body" };
        ApiError::new(Code::BodyTooLarge, format!("{what} is larger than {} MiB", self.limit >> 20))
    }

    fn count_value<E: serde::de::Error>(&mut self) -> Result<(), E> {
        match self.values_left.checked_sub(1) {
            Some(left) => self.values_left = left,
            None => return self.refuse(Code::BodyTooLarge, format!("the body has more than {MOST_VALUES} values")),
        }
        Ok(())
    }

    fn count_text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        match self.text_left.checked_sub(text.len()) {
            Some(left) => self.text_left = left,
            None => {
                self.refusal = Some(self.too_large());
                return Err(E::custom("refused"));
            }
        }
        if text.contains('\0') {
            return self.refuse(Code::InvalidField, "the text has a NUL character, which cannot be stored");
        }
        Ok(())
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<Value, E> {
        self.count_value()?;
        if (self.is_image)(&self.path, text) {
            self.image_bytes += text.len();
            let pointer = self.pointer();
            self.images.insert(pointer, base64::decode(text).map(Bytes::from));
            return Ok(Value::String(String::new()));
        }
        self.count_text(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn number<E: serde::de::Error>(&mut self, number: Number, exact: bool) -> Result<Value, E> {
        self.count_value()?;
        let ordinal = self.numbers;
        self.numbers += 1;
        // The client's own data may hold 64-bit ids: nothing computes with them.
        let own = matches!(self.path.first(), Some(Step::Key(key)) if key == "metadata");
        if self.too_long == Some(ordinal) || !(exact || own) {
            let in_definition = matches!(self.path.first(), Some(Step::Key(key)) if key == "definition");
            return self.refuse(
                if in_definition { Code::DefinitionInvalid } else { Code::InputInvalid },
                "the whole number has more digits than a float can hold exactly; send it as a text",
            );
        }
        Ok(Value::Number(number))
    }
}

struct Node<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.0.count_value()?;
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.0.count_value()?;
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.0.number(value.into(), value as f64 as u128 == u128::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.0.number(value.into(), value as f64 as i128 == i128::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => self.0.number(number, true),
            None => self.0.refuse(Code::InvalidField, "the number is too large for a float"),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let Self(state) = self;
        state.count_value()?;
        let mut items = Vec::new();
        loop {
            state.path.push(Step::Index(items.len()));
            let Some(item) = list.next_element_seed(Node(&mut *state))? else { break };
            items.push(item);
            state.path.pop();
        }
        state.path.pop();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Self(state) = self;
        state.count_value()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            state.path.push(Step::Key(key.clone()));
            state.count_text(&key)?;
            let value = map.next_value_seed(Node(&mut *state))?;
            if object.contains_key(&key) {
                return state.refuse(Code::InvalidField, format!("the key `{}` is given twice", fields::shorten(&key)));
            }
            object.insert(key, value);
            state.path.pop();
        }
        Ok(Value::Object(object))
    }
}

/// Which number of a JSON text, counted from 0, is the first integer beyond 64 bits.
fn too_long_integer(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut ordinal) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at += 1 + text_length(&bytes[at + 1..]),
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let length = rest
                    .iter()
                    .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .unwrap_or(rest.len());
                let token = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                let whole = !token.contains(['.', 'e', 'E']);
                if whole && token.len() > 18 && token.parse::<u64>().is_err() && token.parse::<i64>().is_err() {
                    return Some(ordinal);
                }
                ordinal += 1;
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// Bytes up to and with the quote that ends a text.
fn text_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        at += next + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // What is escaped ends nothing.
        at = (at + 1).min(bytes.len());
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Result<Value, (Code, String)> {
        object(text.as_bytes(), 1 << 20).map(Value::Object).map_err(|error| {
            let pointer = error.details.first().map(|detail| detail.pointer.clone());
            (error.code, pointer.unwrap_or_default())
        })
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            r#"{"a": [1, -2, 1.5, 1e300, true, null, "text", {"b": {}}], "c": "\u00e9\n\ud83d\ude00 \" \\"}"#,
            r#" {"large": 9007199254740992, "exact": 1152921504606846976, "small": -9007199254740992} "#,
            r#"{"metadata": {"id": 9007199254740993, "other": 18446744073709551615}}"#,
            r#"{"text": "123456789012345678901234567890", "escaped \" 12345678901234567890123": 1}"#,
        ] {
            assert_eq!(at(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
        assert_eq!(at("\u{feff}{\"a\": 1}"), Ok(json!({"a": 1})), "a byte-order mark is skipped");
    }

    #[test]
    fn refusals_name_the_place() {
        for (text, code, pointer) in [
            ("", Code::BadJson, ""),
            ("\u{feff} ", Code::BadJson, ""),
            ("[]", Code::InvalidField, ""),
            ("{\"a\": 1} x", Code::BadJson, ""),
            (r#"{"a": {"b": [1, {"c": }]}}"#, Code::BadJson, "/a/b/1/c"),
            (r#"{"a": {"id": 1, "x": 2, "id": 3}}"#, Code::InvalidField, "/a/id"),
            (r#"{"a": 1, "\u0061": 2}"#, Code::InvalidField, "/a"),
            (r#"{"a": ["x", "nul\u0000"]}"#, Code::InvalidField, "/a/1"),
            (r#"{"a/b": {"\u0000": 1}}"#, Code::InvalidField, "/a~1b/\0"),
            (r#"{"a": ["\ud800"]}"#, Code::BadJson, "/a/0"),
            (r#"{"a": "\udc00x"}"#, Code::BadJson, "/a"),
            (r#"{"a": "\ud800\u0041"}"#, Code::BadJson, "/a"),
            (r#"{"a": [0, 9007199254740993]}"#, Code::InputInvalid, "/a/1"),
            (r#"{"a": -9007199254740993}"#, Code::InputInvalid, "/a"),
            (r#"{"a": [1.5, "1", {"b": 100000000000000000000}]}"#, Code::InputInvalid, "/a/2/b"),
            (r#"{"definition": [9007199254740993]}"#, Code::DefinitionInvalid, "/definition/0"),
            (r#"{"metadata": 18446744073709551616}"#, Code::InputInvalid, "/metadata"),
            (r#"{"a": 1e400}"#, Code::BadJson, "/a"),
        ] {
            assert_eq!(at(text), Err((code, pointer.to_owned())), "{text}");
        }
    }

    #[test]
    fn caps_hold() {
        let list = |count: usize| format!("{{\"a\": [{}0]}}", "0,".repeat(count - 1));
        assert!(at(&list(MOST_VALUES - 2)).is_ok());
        assert_eq!(at(&list(MOST_VALUES)).unwrap_err().0, Code::BodyTooLarge);
        let deep = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(at(&deep(100)).is_ok());
        assert_eq!(at(&deep(200)).unwrap_err().0, Code::BadJson);
        let text = |bytes: usize| format!("{{\"a\": \"{}\"}}", "x".repeat(bytes));
        assert!(at(&text((1 << 20) - 9)).is_ok());
        assert_eq!(at(&text(1 << 20)).unwrap_err().0, Code::BodyTooLarge);
        assert_eq!(at(&format!("{{\"a\": 1{}}}", " ".repeat(1 << 20))).unwrap_err().0, Code::BodyTooLarge);
    }

    #[test]
    fn images_are_taken_out_and_do_not_count() {
        let picture = |path: &[Step], _: &str| matches!(path, [Step::Key(key)] if key == "picture");
        let body = format!(r#"{{"picture": "{}", "n": 1}}"#, "A".repeat(4 << 10));
        let found = read(body.as_bytes(), 64, picture).unwrap();
        assert_eq!(Value::Object(found.object), json!({"picture": "", "n": 1}));
        assert_eq!(found.images["/picture"].as_ref().map(Bytes::len), Ok(3 << 10));
        let beside = format!(r#"{{"picture": "AAAA", "n": "{}"}}"#, "n".repeat(100));
        assert!(read(beside.as_bytes(), 64, picture).is_err_and(|error| error.code == Code::BodyTooLarge));
        assert!(read(br#"{"picture": "?"}"#, 64, picture).unwrap().images["/picture"].is_err());
    }
}
