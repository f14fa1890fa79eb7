//! Values that stay JSON text until a path asks for a part of them.
//!
//! A list of detections passes through most blocks unread: a filter needs one number of each. Reading a tree, copying
//! it and writing it again costs far more than the question.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::path::{Lookup, Path, Short, Step, position, walk};

/// A JSON value as text, with an index of its keys or elements once something asks for one.
#[derive(Clone)]
pub struct RawItem<'a> {
    text: &'a RawValue,
    parts: OnceCell<Parts<'a>>,
}

/// The first level of a value.
#[derive(Clone)]
enum Parts<'a> {
    Object(Fields<'a>),
    Array(Vec<&'a RawValue>),
    Scalar,
}

/// The keys of an object and the text of their values, in the order of the text.
#[derive(Clone)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawItem<'a> {
    /// An item over valid JSON text.
    pub fn new(text: &'a RawValue) -> Self {
        Self { text, parts: OnceCell::new() }
    }

    /// The JSON text.
    pub fn as_raw(&self) -> &'a RawValue {
        self.text
    }

    /// The whole value as a tree.
    pub fn to_value(&self) -> Value {
        parse(self.text)
    }

    /// Keys and values of an object in the order of the text; none for anything else.
    pub fn entries(&self) -> Option<impl Iterator<Item = (&str, &'a RawValue)>> {
        match self.parts() {
            Parts::Object(fields) => Some(fields.0.iter().map(|(key, value)| (key.as_ref(), *value))),
            _ => None,
        }
    }

    fn parts(&self) -> &Parts<'a> {
        let read = || match self.text.get().as_bytes().first() {
            Some(b'{') => serde_json::from_str(self.text.get()).map_or(Parts::Scalar, Parts::Object),
            Some(b'[') => serde_json::from_str(self.text.get()).map_or(Parts::Scalar, Parts::Array),
            _ => Parts::Scalar,
        };
        self.parts.get_or_init(read)
    }

    fn find(&self, steps: &[Step]) -> Option<Value> {
        let Some((first, rest)) = steps.split_first() else {
            return Some(self.to_value());
        };
        match (self.parts(), first) {
            (Parts::Object(fields), Step::Name(name) | Step::Key(name)) => {
                if let Some(text) = fields.get(name) {
                    return RawItem::new(text).find(rest);
                }
                if matches!(first, Step::Key(_)) {
                    return None;
                }
                if let Some(short) = Short::of(name)
                    && let Some(text) = fields.get(short.key())
                {
                    return match short {
                        Short::Same(_) => RawItem::new(text).find(rest),
                        Short::Box(side) => below(side.of(&parse(text))?, rest),
                    };
                }
                if name == "length" { below(Value::from(fields.0.len()), rest) } else { None }
            }
            (Parts::Array(items), Step::Index(index)) => {
                RawItem::new(items.get(position(*index, items.len())?)?).find(rest)
            }
            (Parts::Array(items), Step::Name(name)) if name == "length" => below(Value::from(items.len()), rest),
            (Parts::Scalar, _) => below(self.to_value(), steps),
            _ => None,
        }
    }
}

impl Lookup for RawItem<'_> {
    fn lookup(&self, path: &Path) -> Option<Cow<'_, Value>> {
        self.find(path.steps()).map(Cow::Owned)
    }
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        // The last one wins, as in a tree.
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

fn below(value: Value, rest: &[Step]) -> Option<Value> {
    if rest.is_empty() { Some(value) } else { walk(&value, rest).map(Cow::into_owned) }
}

fn parse(text: &RawValue) -> Value {
    // A RawValue holds valid JSON; only nesting beyond serde_json's limit can fail, and then nothing can be read in it.
    serde_json::from_str(text.get()).unwrap_or(Value::Null)
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

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            fields.push((key.0, value));
        }
        Ok(fields)
    }
}

/// A key that is borrowed unless it holds escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
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
        assert_eq!(raw.entries().unwrap().count(), 2);
    }
}
