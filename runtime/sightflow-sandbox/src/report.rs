//! What a block says about its failure: JSON `{code, message, port?, key?, index?}` or a plain message.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::Report;
use crate::text::{ERROR_BYTES, capped};

/// A longer text is not looked at as JSON: most of it could not be kept.
const LONGEST: usize = 64 << 10;

/// Reads the text of an error; keeps at most a few kilobytes of it.
#[expect(clippy::needless_pass_by_value, reason = "the guest's text ends here")]
pub(crate) fn read(text: String) -> Report {
    let fields = if text.len() <= LONGEST { serde_json::from_str::<Fields>(&text).ok() } else { None };
    let Some(fields) = fields else {
        return Report { message: capped(&text, ERROR_BYTES), ..Report::default() };
    };
    let Text(message) = fields.message;
    Report {
        message: capped(message.as_deref().unwrap_or(&text), ERROR_BYTES),
        code: fields.code.0,
        port: fields.port.0,
        key: fields.key.0,
        index: fields.index.0,
    }
}

/// The known fields; whatever else is there is read over.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Fields {
    message: Text,
    code: Text,
    port: Text,
    key: Text,
    index: Index,
}

/// A string; anything else counts as absent.
#[derive(Default)]
struct Text(Option<String>);

/// A whole number; anything else counts as absent.
#[derive(Default)]
struct Index(Option<u64>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Scalar).map(|found| match found {
            Found::Text(text) => Self(Some(text)),
            Found::Index(_) | Found::Other => Self(None),
        })
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Scalar).map(|found| match found {
            Found::Index(index) => Self(Some(index)),
            Found::Text(_) | Found::Other => Self(None),
        })
    }
}

enum Found {
    Text(String),
    Index(u64),
    Other,
}

/// Reads any value and keeps nothing of lists and objects.
struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<Found, E> {
        Ok(Found::Index(index))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::{ERROR_BYTES, LONGEST, Report, read};

    #[test]
    fn reports() {
        let plain = |message: &str| Report { message: message.to_owned(), ..Report::default() };
        let cases = [
            ("no such class", plain("no such class")),
            ("42", plain("42")),
            ("[0,0]", plain("[0,0]")),
            (
                r#"{"code":"not_comparable","message":"cannot compare","port":"value","index":3,"more":[{"a":[]}]}"#,
                Report {
                    code: Some("not_comparable".to_owned()),
                    port: Some("value".to_owned()),
                    index: Some(3),
                    ..plain("cannot compare")
                },
            ),
            (r#"{"port":7,"index":-1}"#, plain(r#"{"port":7,"index":-1}"#)),
            (
                r#"{"message":["x"],"key":"k"}"#,
                Report { key: Some("k".to_owned()), ..plain(r#"{"message":["x"],"key":"k"}"#) },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.to_owned()), expected, "{text}");
        }
    }

    #[test]
    fn nothing_long_is_kept() {
        let long = "ü".repeat(LONGEST);
        for text in [long.clone(), format!(r#"{{"message":"{}"}}"#, &long[..LONGEST - 20]), format!("[{long}")] {
            let report = read(text);
            assert!(report.message.len() < ERROR_BYTES + 100, "{}", report.message.len());
            assert!(report.message.ends_with("more bytes)"));
        }
    }
}
