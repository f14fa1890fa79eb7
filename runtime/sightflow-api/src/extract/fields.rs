//! Which keys a request type knows, asked of serde itself so that there is one list.

use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value::Error};
use serde_json::Value;
use sightflow_types::Problem;

use crate::error::Code;

/// The field names, aliases included, of a type that derives `Deserialize` for a struct; none for any other type.
pub(crate) fn of<'de, T: Deserialize<'de>>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    // The probe always answers with an error; what counts is what it was asked for.
    let _ = T::deserialize(Probe(&mut fields));
    fields
}

/// One finding per key that is not in `known`, with the nearest known one where it is near.
pub(crate) fn unknown<'a>(
    keys: impl Iterator<Item = &'a str>,
    known: &[&str],
    pointer: impl Fn(&str) -> String,
) -> Vec<Problem> {
    keys.filter(|key| !known.contains(key))
        .map(|key| {
            Problem::new(Code::UnknownField.as_str(), pointer(key), format!("unknown field `{}`", shorten(key)))
                .suggest(nearest(key, known))
        })
        .collect()
}

/// A text that is short enough for a message.
pub(crate) fn shorten(key: &str) -> String {
    if key.chars().count() > 80 { key.chars().take(79).chain(['…']).collect() } else { key.to_owned() }
}

/// What a JSON value is, for messages: `an object`.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn nearest(key: &str, known: &[&str]) -> Option<String> {
    let best = known.iter().map(|candidate| (strsim::osa_distance(key, candidate), *candidate)).min()?;
    // A third of the letters wrong is no longer a misspelling.
    (best.0 <= best.1.len().max(3) / 3).then(|| best.1.to_owned())
}

struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("probe"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Some(fields);
        Err(Error::custom("probe"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use sightflow_types::pointer_token;

    use super::*;

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its field names matter")]
    struct Body {
        name: String,
        #[serde(alias = "inputs")]
        input: u32,
    }

    #[test]
    fn knows_fields_and_aliases_and_suggests_the_nearest() {
        let known = of::<Body>().unwrap();
        for (key, expected) in [
            ("name", None),
            ("inputs", None),
            ("nmae", Some(Some("name"))),
            ("colour", Some(None)),
            ("inptu", Some(Some("input"))),
        ] {
            let found = unknown([key].into_iter(), known, |key| format!("/{}", pointer_token(key)));
            assert_eq!(found.first().map(|problem| problem.suggestion.as_deref()), expected, "{key}");
        }
        assert_eq!(
            unknown(["a/b~c"].into_iter(), known, |key| format!("/{}", pointer_token(key)))[0].pointer,
            "/a~1b~0c"
        );
    }
}
