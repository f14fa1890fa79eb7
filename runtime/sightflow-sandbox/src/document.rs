//! Checks what a block answers: a JSON object whose image indices exist. Reads the text once and builds no tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sightflow_types::IMAGE_KEY;

/// Says what is wrong with `document`, which travels with `images` images.
pub(crate) fn check(document: &str, images: usize) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(document);
    reader.deserialize_map(Value { images, whole: true }).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

#[derive(Clone, Copy)]
struct Value {
    images: usize,
    whole: bool,
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.whole { "a JSON object" } else { "a JSON value" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = Self { whole: false, ..self };
        while let Some(key) = map.next_key_seed(IsImage)? {
            if key {
                map.next_value_seed(Index(self.images))?;
            } else {
                map.next_value_seed(inner)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
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
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Index {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an image index below {}", self.0)
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<(), E> {
        if index < self.0 as u64 {
            Ok(())
        } else {
            Err(E::custom(format!("image {index} does not exist: the answer carries {}", self.0)))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("`$image` must be an index, not a reference"))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn documents() {
        let cases: [(&str, usize, Option<&str>); 13] = [
            ("{}", 0, None),
            (r#"{"a":[1,-2,3.5,null,true,"x",{"b":{}}]}"#, 0, None),
            (r#"{"image":{"$image":0},"list":[{"$image":1}]}"#, 2, None),
            (r#"{"image":{"$image":2}}"#, 2, Some("image 2 does not exist")),
            (r#"{"$image":0}"#, 0, Some("image 0 does not exist")),
            (r#"{"image":{"$image":{"digest":"sha256:00"}}}"#, 1, Some("must be an index")),
            (r#"{"image":{"$image":-1}}"#, 1, Some("an image index below 1")),
            (r#"{"image":{"$image":"0"}}"#, 1, Some("an image index below 1")),
            (r#"{"image":{"\u0024image":7}}"#, 1, Some("image 7 does not exist")),
            ("[]", 0, Some("a JSON object")),
            ("null", 0, Some("a JSON object")),
            ("{} {}", 0, Some("trailing characters")),
            ("", 0, Some("EOF")),
        ];
        for (document, images, expected) in cases {
            match (check(document, images), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(part)) => assert!(error.contains(part), "{document}: {error}"),
                (answer, _) => panic!("{document}: {answer:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_deep_document_is_refused_and_harms_nothing() {
        let document = format!(r#"{{"a":{}}}"#, "[".repeat(1_000_000));
        assert!(check(&document, 0).expect_err("too deep").contains("recursion limit"));
    }
}
