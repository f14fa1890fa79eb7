//! Values that stay JSON text until a path asks for a part of them.
//!
//! A list of detections passes through most blocks unread: a filter needs one number of each. Reading a tree, copying
//! it and writing it again costs far more than the question.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use sightflow_types::scan::{elements, fields};

use crate::path::{Lookup, Path, Short, Step, corners, position, walk};

/// A JSON value as text, with an index of its keys or elements once something asks for one.
#[derive(Clone)]
pub struct RawItem<'a> {
    text: &'a RawValue,
    level: OnceCell<Level<'a>>,
}

/// The first level of a value, and what was read of it.
#[derive(Clone)]
struct Level<'a> {
    parts: Parts<'a>,
    /// What its `bbox` says, once something asks for a side: several sides are often asked for.
    corners: OnceCell<Option<[f64; 4]>>,
}

/// The first level of a value: the texts of what it holds.
#[derive(Clone)]
enum Parts<'a> {
    /// Keys and values in the order of the text.
    Object(Vec<(Cow<'a, str>, &'a str)>),
    Array(Vec<&'a str>),
    Scalar(&'a str),
}

impl<'a> RawItem<'a> {
    /// An item over valid JSON text.
    pub fn new(text: &'a RawValue) -> Self {
        Self { text, level: OnceCell::new() }
    }

    /// The JSON text.
    pub fn as_raw(&self) -> &'a RawValue {
        self.text
    }

    /// The whole value as a tree.
    pub fn to_value(&self) -> Value {
        parse(self.text.get())
    }
}

impl Lookup for RawItem<'_> {
    fn lookup(&self, path: &Path) -> Option<Cow<'_, Value>> {
        let steps = path.steps();
        let found = match steps {
            [] => Some(self.to_value()),
            steps => self.level.get_or_init(|| Level::of(self.text.get())).find(steps),
        };
        found.map(Cow::Owned)
    }
}

impl<'a> Level<'a> {
    fn of(text: &'a str) -> Self {
        let parts = match text.as_bytes().first() {
            Some(b'{') => fields(text).map(Parts::Object),
            Some(b'[') => elements(text).map(Parts::Array),
            _ => None,
        };
        Self { parts: parts.unwrap_or(Parts::Scalar(text)), corners: OnceCell::new() }
    }

    /// What is found by steps, at least one.
    fn find(&self, steps: &[Step]) -> Option<Value> {
        let (first, rest) = steps.split_first()?;
        match (&self.parts, first) {
            (Parts::Object(fields), Step::Name(name) | Step::Key(name)) => {
                // The last one wins, as in a tree.
                let get = |key: &str| fields.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value);
                if let Some(text) = get(name) {
                    return find(text, rest);
                }
                if matches!(first, Step::Key(_)) {
                    return None;
                }
                if let Some(short) = Short::of(name)
                    && let Some(text) = get(short.key())
                {
                    return match short {
                        Short::Same(_) => find(text, rest),
                        Short::Box(side) => {
                            let corners = *self.corners.get_or_init(|| corners(&parse(text)));
                            below(side.of(corners?)?, rest)
                        }
                    };
                }
                if name == "length" { below(Value::from(fields.len()), rest) } else { None }
            }
            (Parts::Array(items), Step::Index(index)) => find(items.get(position(*index, items.len())?)?, rest),
            (Parts::Array(items), Step::Name(name)) if name == "length" => below(Value::from(items.len()), rest),
            (Parts::Scalar(text), _) => below(parse(text), steps),
            _ => None,
        }
    }
}

fn find(text: &str, steps: &[Step]) -> Option<Value> {
    if steps.is_empty() { Some(parse(text)) } else { Level::of(text).find(steps) }
}

fn below(value: Value, rest: &[Step]) -> Option<Value> {
    if rest.is_empty() { Some(value) } else { walk(&value, rest).map(Cow::into_owned) }
}

fn parse(text: &str) -> Value {
    // It is valid JSON; only nesting beyond serde_json's limit can fail, and then nothing can be read in it.
    serde_json::from_str(text).unwrap_or(Value::Null)
}

impl<'de: 'a, 'a> Deserialize<'de> for RawItem<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for RawItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl fmt::Debug for RawItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawItem").field(&self.text.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A raw item must answer exactly as the tree of the same text.
    #[test]
    fn answers_like_a_tree() {
        let items = [
            json!({"class_name": "can", "confidence": 0.7, "bbox": {"x1": 0.1, "y1": 0.2, "x2": 0.4, "y2": 0.6}, "tags": ["a", {"b": [1, 2]}]}),
            json!({"class": "own", "bbox": [0.4, 0.6, 0.1, 0.2], "length": "own", "odd \"key\"": 1, "é": "ü"}),
            json!({"bbox": {"x": 1, "y": 2, "width": 3, "height": 4}}),
            json!({"bbox": 7, "a": null}),
            json!({}),
            json!([1, {"a": 2}, [3]]),
            json!("aé€"),
            json!(12.5),
            json!(null),
            json!(true),
        ];
        let paths = [
            ".",
            "class",
            "label",
            "score",
            "confidence",
            "x1",
            "y2",
            "width",
            "cx",
            "cy",
            "length",
            "tags",
            "tags.length",
            "tags[-1].b[0]",
            "tags[5]",
            "bbox.x1",
            "bbox[0]",
            "class.length",
            "[\"class\"]",
            "[\"length\"]",
            "[\"odd \\\"key\\\"\"]",
            "é",
            "a",
            "a.b",
            "[1].a",
            "[-1][0]",
            "[0]",
            "nowhere",
            "length.length",
            "[1].length",
            "[\"a\"]",
            "tags[1].b.length",
        ];
        for item in &items {
            let text = item.to_string();
            let raw: RawItem<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&raw).unwrap(), text);
            for path in paths {
                let path = Path::parse(path).unwrap();
                assert_eq!(raw.lookup(&path), item.lookup(&path), "{path} in {item}");
            }
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let raw: RawItem<'_> = serde_json::from_str(r#"{"a": 1, "\u0061": 2}"#).unwrap();
        assert_eq!(raw.lookup(&Path::parse("a").unwrap()).map(Cow::into_owned), Some(json!(2)));
        assert_eq!(raw.lookup(&Path::parse("length").unwrap()).map(Cow::into_owned), Some(json!(2)));
    }
}
