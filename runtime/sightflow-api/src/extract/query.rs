//! Query strings as structs. Unknown parameters were refused before, by [`crate::middleware::known_query`]; repeated ones are lists.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::error::ApiError;

/// The query string as a struct.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// A parameter that may be repeated, or hold several values separated by commas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Many<T>(pub(crate) Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split(',')
            .map(|part| T::deserialize(IntoDeserializer::<serde::de::value::Error>::into_deserializer(part.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// The keys of a query string, each once.
pub(crate) fn query_keys(text: &str) -> BTreeSet<String> {
    pairs(text).map(|(key, _)| decode(key)).collect()
}

/// A key without `=` is a flag.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "true")))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in pairs(text) {
        let value = decode(value);
        values
            .entry(decode(key))
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    if let Some(name) = values.iter().find_map(|(name, value)| value.contains('\0').then_some(name)) {
        return Err(ApiError::field(format!("?{name}"), format!("`{name}` has a NUL character")));
    }
    let source = MapDeserializer::new(values.iter().map(|(key, value)| (key.as_str(), Text(value))));
    serde_path_to_error::deserialize(source).map_err(|error| {
        let name = error.path().to_string();
        ApiError::field(format!("?{name}"), format!("`{name}`: {}", error.inner()))
    })
}

/// Percent-decoding of `application/x-www-form-urlencoded`; bytes that are no UTF-8 become the replacement character.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = rest.clone();
                match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        rest = ahead;
                        high << 4 | low
                    }
                    _ => b'%',
                }
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// One parameter's text, read as whatever the field wants.
struct Text<'a>(&'a str);

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $what:literal;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Self::Error::custom(format!("`{}` is not {}", self.0, $what))),
            }
        })+
    };
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = serde::de::value::Error;

    parsed! {
        deserialize_bool visit_bool bool, "`true` or `false`";
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number from 0";
        deserialize_u64 visit_u64 u64, "a whole number from 0";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    /// A parameter that is there has a value, even an empty one.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        StrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use sightflow_types::ExecutionStatus;

    use super::*;
    use crate::error::Code;

    #[derive(Debug, Deserialize)]
    struct List {
        limit: Option<u32>,
        search: Option<String>,
        #[serde(default)]
        total: bool,
        #[serde(default)]
        status: Many<ExecutionStatus>,
    }

    #[test]
    fn reads_numbers_flags_texts_and_lists() {
        let list: List = parse("limit=5&search=a%20b%2Bc+d&total&status=failed&status=running").unwrap();
        assert_eq!((list.limit, list.search.as_deref(), list.total), (Some(5), Some("a b+c d"), true));
        assert_eq!(list.status.0, [ExecutionStatus::Failed, ExecutionStatus::Running]);
        let empty: List = parse("search=").unwrap();
        assert_eq!(
            (empty.limit, empty.search.as_deref(), empty.total, empty.status.0.len()),
            (None, Some(""), false, 0)
        );
    }

    #[test]
    fn refuses_with_the_place() {
        for (query, code, pointer) in [
            ("limit=x", Code::InvalidField, "?limit"),
            ("status=done", Code::InvalidField, "?status"),
            ("total=perhaps", Code::InvalidField, "?total"),
            ("total=", Code::InvalidField, "?total"),
            ("limit=", Code::InvalidField, "?limit"),
            ("status=", Code::InvalidField, "?status"),
            ("status=failed,", Code::InvalidField, "?status"),
            ("search=a%00b", Code::InvalidField, "?search"),
        ] {
            let error = parse::<List>(query).unwrap_err();
            assert_eq!((error.code, error.details[0].pointer.as_str()), (code, pointer), "{query}: {error}");
        }
    }
}
