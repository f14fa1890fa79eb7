//! Documents that blocks answer with: JSON objects in which an image is `{"$image": n}`, `n` an index into the images
//! that travel with the document; in what a component says, bytes are `{"$bytes": n}` likewise, anywhere else their text in
//! base64. Everybody who looks for images looks here: at decoded keys, so that an escaped one
//! (`"\u0024image"`) is the same key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::scan::fields;
use crate::{BYTES_KEY, IMAGE_KEY};

/// Most entries of a document: output ports, of which no block has nearly as many.
const MAX_PORTS: usize = 4096;

/// Bytes of a value's place in memory.
const VALUE_BYTES: u64 = size_of::<serde_json::Value>() as u64;
/// Bytes of a node of an object's tree: keys and values for eleven fields.
const TREE_NODE: u64 = 640;
const FIELDS_IN_NODE: usize = 11;

/// Bytes that an object takes in memory, about, beside its keys and values.
#[must_use]
pub const fn object_bytes(fields: usize) -> u64 {
    VALUE_BYTES + fields.div_ceil(FIELDS_IN_NODE) as u64 * TREE_NODE
}

/// What a value is at its outermost level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `null`.
    Null,
    /// A boolean, a number or a string.
    Scalar,
    /// A list of so many values.
    Array(usize),
    /// An object of so many keys.
    Object(usize),
}

/// What is known about a value whose text was read and not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// Bytes that it would take in memory as a tree, about.
    pub weight: u64,
    /// Whether an image is somewhere inside.
    pub images: bool,
    /// Whether an index of bytes is somewhere inside; only in what a component said.
    pub bytes: bool,
    /// Its outermost level.
    pub shape: Shape,
}

/// One entry of a document's object: an output port and the text of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortText {
    /// The key.
    pub port: String,
    /// Where its value stands in the text.
    pub span: Range<usize>,
    /// What is known about the value.
    pub survey: Survey,
}

/// A document that was checked: valid JSON, one object, every image in it exists. Its values stay text until somebody
/// looks inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    text: String,
    ports: Vec<PortText>,
}

impl Document {
    /// Checks that `text` is one JSON object whose image indices are below `images`. Builds no values. Of two entries for
    /// one port the last counts.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(text: String, images: usize) -> Result<Self, String> {
        let ports = ports(&text, Walk { images, buffers: None })?;
        Ok(Self { text, ports })
    }

    /// As [`Document::check`], for what a component said: bytes in it are indices below `buffers`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check_said(text: String, images: usize, buffers: usize) -> Result<Self, String> {
        let ports = ports(&text, Walk { images, buffers: Some(buffers) })?;
        Ok(Self { text, ports })
    }

    /// Whether an index of bytes is somewhere inside.
    #[must_use]
    pub fn names_bytes(&self) -> bool {
        self.ports.iter().any(|port| port.survey.bytes)
    }

    /// The text, with nothing known about it any more.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its ports in the order of the text, each with the text of its value.
    pub fn ports(&self) -> impl Iterator<Item = (&PortText, &str)> {
        self.ports.iter().map(|port| (port, &self.text[port.span.clone()]))
    }
}

/// Reads the text of any JSON value once and builds nothing; image indices in it are below `images`.
///
/// # Errors
/// What is wrong, for people.
pub fn survey(text: &str, images: usize) -> Result<Survey, String> {
    look(text, Walk { images, buffers: None }).map_err(|error| error.to_string())
}

fn look(text: &str, walk: Walk) -> serde_json::Result<Survey> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = walk.deserialize(&mut reader)?;
    reader.end().map(|()| found)
}

/// The entries of a document. Each value is read once: where it ends is found without reading it.
fn ports(text: &str, walk: Walk) -> Result<Vec<PortText>, String> {
    let Some(fields) = fields(text) else { return Err(no_object(text)) };
    if fields.len() > MAX_PORTS {
        return Err(format!("the document has {} entries; at most {MAX_PORTS} are allowed", fields.len()));
    }
    let mut ports: Vec<PortText> = Vec::with_capacity(fields.len());
    let mut places = HashMap::with_capacity(fields.len());
    for (port, value) in fields {
        if port == IMAGE_KEY {
            let index = Index::image(walk.images).deserialize(&mut serde_json::Deserializer::from_str(value));
            return Err(
                index.map_or_else(|error| error.to_string(), |_| "the document itself cannot be an image".to_owned())
            );
        }
        if port == BYTES_KEY && walk.buffers.is_some() {
            return Err("the document itself cannot be bytes".to_owned());
        }
        let survey = look(value, walk).map_err(|error| error.to_string())?;
        // The value is a part of the text.
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        let found = PortText { port: port.clone().into_owned(), span: start..start + value.len(), survey };
        match places.entry(port) {
            Entry::Occupied(place) => ports[*place.get()] = found,
            Entry::Vacant(place) => {
                place.insert(ports.len());
                ports.push(found);
            }
        }
    }
    Ok(ports)
}

/// Why a text is no object.
fn no_object(text: &str) -> String {
    let mut reader = serde_json::Deserializer::from_str(text);
    match reader.deserialize_map(Whole).and_then(|()| reader.end()) {
        Err(error) => error.to_string(),
        Ok(()) => "a key of the document cannot be read".to_owned(),
    }
}

/// An object of which nothing is wanted but what is wrong with it.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<String, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A walk that builds nothing.
#[derive(Clone, Copy)]
struct Walk {
    images: usize,
    /// Where bytes are indices, how many there are.
    buffers: Option<usize>,
}

impl Survey {
    fn scalar(bytes: usize) -> Self {
        Self { weight: VALUE_BYTES + bytes as u64, images: false, bytes: false, shape: Shape::Scalar }
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Survey;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Survey, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Survey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Survey, A::Error> {
        let (mut weight, mut images, mut bytes) = (0, false, false);
        let mut keys = Keys::default();
        while let Some(key) = map.next_key_seed(Key)? {
            let marker = match (key.marker, self.buffers) {
                (Some(Marker::Image), _) => Some(Index::image(self.images)),
                (Some(Marker::Bytes), Some(buffers)) => Some(Index::bytes(buffers)),
                _ => None,
            };
            keys.see(marker.as_ref())?;
            weight += key.bytes;
            if let Some(index) = marker {
                (images, bytes) = (images | (index.key == IMAGE_KEY), bytes | (index.key == BYTES_KEY));
                map.next_value_seed(index)?;
            } else {
                let inside = map.next_value_seed(self)?;
                weight += inside.weight;
                (images, bytes) = (images | inside.images, bytes | inside.bytes);
            }
        }
        let fields = keys.markers + keys.others;
        Ok(Survey { weight: weight + object_bytes(fields), images, bytes, shape: Shape::Object(fields) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Survey, A::Error> {
        let (mut weight, mut images, mut bytes, mut length) = (VALUE_BYTES, false, false, 0);
        while let Some(inside) = list.next_element_seed(self)? {
            weight += inside.weight;
            (images, bytes) = (images | inside.images, bytes | inside.bytes);
            length += 1;
        }
        Ok(Survey { weight, images, bytes, shape: Shape::Array(length) })
    }

    fn visit_unit<E>(self) -> Result<Survey, E> {
        Ok(Survey { shape: Shape::Null, ..Survey::scalar(0) })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Survey, E> {
        Ok(Survey::scalar(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Survey, E> {
        Ok(Survey::scalar(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Survey, E> {
        Ok(Survey::scalar(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Survey, E> {
        Ok(Survey::scalar(0))
    }

    fn visit_str<E>(self, text: &str) -> Result<Survey, E> {
        Ok(Survey::scalar(text.len()))
    }
}

/// An image, and bytes, stand alone in their object.
#[derive(Default)]
struct Keys {
    markers: usize,
    others: usize,
}

impl Keys {
    fn see<E: Error>(&mut self, marker: Option<&Index>) -> Result<(), E> {
        let sum = if marker.is_some() { &mut self.markers } else { &mut self.others };
        *sum += 1;
        match (self.markers, self.others) {
            (0, _) | (1, 0) => Ok(()),
            _ => Err(E::custom("an object with `$image` or `$bytes` has no other key")),
        }
    }
}

/// What an object stands for that has such a key.
#[derive(Clone, Copy)]
enum Marker {
    Image,
    Bytes,
}

/// A key: whether it is a marker, and its length.
struct Key;

struct KeyFound {
    marker: Option<Marker>,
    bytes: u64,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = KeyFound;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<KeyFound, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = KeyFound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<KeyFound, E> {
        let marker = match key {
            IMAGE_KEY => Some(Marker::Image),
            BYTES_KEY => Some(Marker::Bytes),
            _ => None,
        };
        Ok(KeyFound { marker, bytes: key.len() as u64 })
    }
}

/// An index below the number of images, or of buffers. A block can name no other image, in particular no stored one.
struct Index {
    key: &'static str,
    what: &'static str,
    most: usize,
}

impl Index {
    const fn image(most: usize) -> Self {
        Self { key: IMAGE_KEY, what: "image", most }
    }

    const fn bytes(most: usize) -> Self {
        Self { key: BYTES_KEY, what: "buffer", most }
    }
}

impl<'de> DeserializeSeed<'de> for Index {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<usize, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Index {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.key == IMAGE_KEY { "an" } else { "a" };
        write!(f, "{article} {} index below {}", self.what, self.most)
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<usize, E> {
        let Self { what, most, .. } = self;
        let found = usize::try_from(index).ok().filter(|index| *index < most);
        found.ok_or_else(|| E::custom(format!("{what} {index} does not exist: the answer carries {most}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom(format!("`{}` must be an index, not a reference", self.key)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Document, Shape, survey};

    fn values(text: &str, images: usize) -> Result<Value, String> {
        let document = Document::check(text.to_owned(), images)?;
        let ports = document.ports().map(|(port, text)| {
            assert_eq!(survey(text, images).as_ref(), Ok(&port.survey), "{text}");
            (port.port.clone(), serde_json::from_str(text).expect("valid"))
        });
        Ok(ports.collect::<serde_json::Map<_, _>>().into())
    }

    #[test]
    fn documents() {
        let nothing = r#"{"a":[1,-2,3.5,null,true,"x",{"b":{}}]}"#;
        let cases: [(&str, usize, Result<Value, &str>); 18] = [
            ("{}", 0, Ok(json!({}))),
            (nothing, 0, Ok(serde_json::from_str(nothing).unwrap())),
            (
                r#" {"image" : {"$image":0} , "list":[{"$image":1},2] } "#,
                2,
                Ok(json!({"image": {"$image": 0}, "list": [{"$image": 1}, 2]})),
            ),
            (r#"{"image":{"\u0024image":0}}"#, 1, Ok(json!({"image": {"$image": 0}}))),
            (r#"{"a":{"$image":0},"a":1}"#, 1, Ok(json!({"a": 1}))),
            (r#"{"image":{"$image":2}}"#, 2, Err("image 2 does not exist")),
            (r#"{"$image":0}"#, 1, Err("cannot be an image")),
            (r#"{"$image":0}"#, 0, Err("image 0 does not exist")),
            (r#"{"image":{"$image":{"digest":"sha256:00"}}}"#, 1, Err("must be an index")),
            (r#"{"image":{"$image":-1}}"#, 1, Err("an image index below 1")),
            (r#"{"image":{"$image":"0"}}"#, 1, Err("an image index below 1")),
            (r#"{"image":{"\u0024image":7}}"#, 1, Err("image 7 does not exist")),
            (r#"{"image":{"$image":0,"x":1}}"#, 1, Err("has no other key")),
            (r#"{"a":1e400}"#, 0, Err("out of range")),
            ("[]", 0, Err("a JSON object")),
            ("null", 0, Err("a JSON object")),
            ("{} {}", 0, Err("trailing characters")),
            ("", 0, Err("EOF")),
        ];
        for (document, images, expected) in cases {
            match (values(document, images), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{document}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{document}: {error}"),
                (found, expected) => panic!("{document}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn bytes_are_indices_in_what_a_component_says() {
        // Text, buffers; whether it names some, or what is wrong.
        let cases: [(&str, usize, Result<bool, &str>); 9] = [
            (r#"{"a":{"$bytes":0},"b":[{"$bytes":1}]}"#, 2, Ok(true)),
            (r#"{"a":{"\u0024bytes":0}}"#, 1, Ok(true)),
            (r#"{"a":"$bytes"}"#, 0, Ok(false)),
            (r#"{"a":{"$bytes":2}}"#, 2, Err("buffer 2 does not exist: the answer carries 2")),
            (r#"{"a":{"$bytes":"AAAA"}}"#, 1, Err("a buffer index below 1")),
            (r#"{"a":{"$bytes":{}}}"#, 1, Err("`$bytes` must be an index")),
            (r#"{"a":{"$bytes":0,"x":1}}"#, 1, Err("no other key")),
            (r#"{"a":{"$bytes":0,"$image":0}}"#, 1, Err("no other key")),
            (r#"{"$bytes":0}"#, 1, Err("cannot be bytes")),
        ];
        for (text, buffers, expected) in cases {
            let found = Document::check_said(text.to_owned(), 1, buffers).map(|document| document.names_bytes());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        }
        // Anywhere else they are text in base64, an object as any other.
        let elsewhere = Document::check(r#"{"a":{"$bytes":"AAAA"}}"#.to_owned(), 0).expect("an object");
        assert!(!elsewhere.names_bytes());
    }

    #[test]
    fn a_document_of_a_million_entries_is_refused() {
        let entries = |count: usize| (0..count).map(|at| format!("\"p{at}\":1")).collect::<Vec<_>>().join(",");
        assert!(Document::check(format!("{{{}}}", entries(4096)), 0).is_ok());
        let refused = Document::check(format!("{{{}}}", entries(1_000_000)), 0).expect_err("too many");
        assert!(refused.contains("at most 4096"), "{refused}");
    }

    #[test]
    fn what_is_known_about_a_value() {
        let value = size_of::<Value>() as u64;
        // Text; bytes as a tree; images; shape.
        for (text, weight, images, shape) in [
            ("1", value, false, Shape::Scalar),
            ("null", value, false, Shape::Null),
            (r#""four""#, value + 4, false, Shape::Scalar),
            ("[1,[2]]", 4 * value, false, Shape::Array(2)),
            ("{}", value, false, Shape::Object(0)),
            (r#"{"a":1}"#, 2 * value + 640 + 1, false, Shape::Object(1)),
            (r#"[{"$image":0}]"#, 2 * value + 640 + 6, true, Shape::Array(1)),
        ] {
            let found = survey(text, 1).expect(text);
            assert_eq!((found.weight, found.images, found.shape), (weight, images, shape), "{text}");
        }
    }

    #[test]
    fn a_deep_document_is_refused_and_harms_nothing() {
        let document = format!(r#"{{"a":{}}}"#, "[".repeat(1_000_000));
        assert!(Document::check(document, 0).is_err());
        let document = format!(r#"{{"a":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        assert!(Document::check(document, 0).expect_err("too deep").contains("recursion limit"));
    }
}
