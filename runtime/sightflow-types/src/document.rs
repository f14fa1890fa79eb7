//! Documents that blocks answer with: JSON objects in which an image is `{"$image": n}`, `n` an index into the images
//! that travel with the document. Everybody who looks for images looks here: at decoded keys, so that an escaped one
//! (`"\u0024image"`) is the same key.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::IMAGE_KEY;

/// One entry of a document's object: an output port and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct PortValue {
    /// The key.
    pub port: String,
    /// The value; images in it are what the caller made of them.
    pub value: Value,
    /// Whether an image is somewhere inside.
    pub images: bool,
}

/// Checks that `document` is one JSON object whose image indices are below `images`. Reads the text once and builds
/// nothing.
///
/// # Errors
/// What is wrong, for people.
pub fn check(document: &str, images: usize) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(document);
    let walk = Walk { images, whole: true };
    reader.deserialize_map(walk).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

/// Reads a document that travels with `images` images: one value a port, each image replaced by what `image` makes of its
/// index.
///
/// # Errors
/// What is wrong with the document, as [`check`] says it.
pub fn read(document: &str, images: usize, image: &mut dyn FnMut(usize) -> Value) -> Result<Vec<PortValue>, String> {
    let mut reader = serde_json::Deserializer::from_str(document);
    let mut build = Build { images, image, found: false };
    reader.deserialize_map(Ports(&mut build)).and_then(|ports| reader.end().map(|()| ports)).map_err(|e| e.to_string())
}

/// A walk that builds nothing.
#[derive(Clone, Copy)]
struct Walk {
    images: usize,
    whole: bool,
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.whole { "a JSON object" } else { "a JSON value" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = Self { whole: false, ..self };
        let mut keys = Keys::default();
        while let Some(image) = map.next_key_seed(IsImage)? {
            keys.see(image)?;
            if image {
                map.next_value_seed(Index(self.images))?;
                if self.whole {
                    return Err(itself());
                }
            } else {
                map.next_value_seed(inner)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Self { whole: false, ..self })?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A walk that builds values.
struct Build<'a> {
    images: usize,
    image: &'a mut dyn FnMut(usize) -> Value,
    found: bool,
}

/// The document's own object.
struct Ports<'b, 'a>(&'b mut Build<'a>);

impl<'de> Visitor<'de> for Ports<'_, '_> {
    type Value = Vec<PortValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<PortValue>, A::Error> {
        let mut ports: Vec<PortValue> = Vec::new();
        while let Some(port) = map.next_key::<String>()? {
            if port == IMAGE_KEY {
                map.next_value_seed(Index(self.0.images))?;
                return Err(itself());
            }
            self.0.found = false;
            let value = map.next_value_seed(Inner(&mut *self.0))?;
            ports.retain(|known| known.port != port);
            ports.push(PortValue { port, value, images: self.0.found });
        }
        Ok(ports)
    }
}

/// Any value inside of it.
struct Inner<'b, 'a>(&'b mut Build<'a>);

impl<'de> DeserializeSeed<'de> for Inner<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut made = None;
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<String>()? {
            let image = key == IMAGE_KEY;
            keys.see(image)?;
            if image {
                let index = map.next_value_seed(Index(self.0.images))?;
                self.0.found = true;
                made = Some((self.0.image)(index));
            } else {
                let value = map.next_value_seed(Inner(&mut *self.0))?;
                object.insert(key, value);
            }
        }
        Ok(made.unwrap_or(Value::Object(object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Inner(&mut *self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }
}

fn itself<E: Error>() -> E {
    E::custom("the document itself cannot be an image")
}

/// An image stands alone in its object.
#[derive(Default)]
struct Keys {
    images: usize,
    others: usize,
}

impl Keys {
    fn see<E: Error>(&mut self, image: bool) -> Result<(), E> {
        if image {
            self.images += 1;
        } else {
            self.others += 1;
        }
        match (self.images, self.others) {
            (0, _) | (1, 0) => Ok(()),
            _ => Err(E::custom("an object with `$image` has no other key")),
        }
    }
}

/// Whether a key is the image marker.
struct IsImage;

impl<'de> DeserializeSeed<'de> for IsImage {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for IsImage {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == IMAGE_KEY)
    }
}

/// An image index below the number of images. A block can name no other image, in particular no stored one.
struct Index(usize);

impl<'de> DeserializeSeed<'de> for Index {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<usize, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Index {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an image index below {}", self.0)
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<usize, E> {
        let found = usize::try_from(index).ok().filter(|index| *index < self.0);
        found.ok_or_else(|| E::custom(format!("image {index} does not exist: the answer carries {}", self.0)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("`$image` must be an index, not a reference"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check, read};

    fn values(document: &str, images: usize) -> Result<Value, String> {
        let ports = read(document, images, &mut |index| json!({"$image": 100 + index}))?;
        for port in &ports {
            assert_eq!(port.images, port.value.to_string().contains("$image"), "{document}");
        }
        Ok(ports.into_iter().map(|port| (port.port, port.value)).collect::<serde_json::Map<_, _>>().into())
    }

    #[test]
    fn documents() {
        let nothing = r#"{"a":[1,-2,3.5,null,true,"x",{"b":{}}]}"#;
        let cases: [(&str, usize, Result<Value, &str>); 17] = [
            ("{}", 0, Ok(json!({}))),
            (nothing, 0, Ok(serde_json::from_str(nothing).unwrap())),
            (
                r#"{"image":{"$image":0},"list":[{"$image":1},2]}"#,
                2,
                Ok(json!({"image": {"$image": 100}, "list": [{"$image": 101}, 2]})),
            ),
            (r#"{"image":{"\u0024image":0}}"#, 1, Ok(json!({"image": {"$image": 100}}))),
            (r#"{"a":{"$image":0},"a":1}"#, 1, Ok(json!({"a": 1}))),
            (r#"{"image":{"$image":2}}"#, 2, Err("image 2 does not exist")),
            (r#"{"$image":0}"#, 1, Err("cannot be an image")),
            (r#"{"$image":0}"#, 0, Err("image 0 does not exist")),
            (r#"{"image":{"$image":{"digest":"sha256:00"}}}"#, 1, Err("must be an index")),
            (r#"{"image":{"$image":-1}}"#, 1, Err("an image index below 1")),
            (r#"{"image":{"$image":"0"}}"#, 1, Err("an image index below 1")),
            (r#"{"image":{"\u0024image":7}}"#, 1, Err("image 7 does not exist")),
            (r#"{"image":{"$image":0,"x":1}}"#, 1, Err("has no other key")),
            ("[]", 0, Err("a JSON object")),
            ("null", 0, Err("a JSON object")),
            ("{} {}", 0, Err("trailing characters")),
            ("", 0, Err("EOF")),
        ];
        for (document, images, expected) in cases {
            let found = values(document, images);
            assert_eq!(check(document, images).err(), found.clone().err(), "{document}");
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{document}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{document}: {error}"),
                (found, expected) => panic!("{document}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_deep_document_is_refused_and_harms_nothing() {
        let document = format!(r#"{{"a":{}}}"#, "[".repeat(1_000_000));
        assert!(check(&document, 0).expect_err("too deep").contains("recursion limit"));
        assert!(values(&document, 0).expect_err("too deep").contains("recursion limit"));
    }
}
