//! Durations in query strings.

use serde::{Deserialize, Deserializer, de::Error};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Longest time that a query can ask to wait.
const LONGEST: u64 = 60;

/// Whole seconds up to 60, written `20s` or `20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix('s').unwrap_or(&text);
        // Digits alone: `parse` would take a sign.
        let seconds = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()));
        match seconds {
            Some(seconds) if seconds <= LONGEST => Ok(Self(seconds)),
            Some(_) => Err(D::Error::custom(format!("`{text}` is too long; at most {LONGEST} seconds"))),
            None => Err(D::Error::custom(format!("`{text}` is not a number of seconds such as `20s`"))),
        }
    }
}

impl PartialSchema for Seconds {
    fn schema() -> RefOr<Schema> {
        let pattern = "^0{0,8}([0-9]|[1-5][0-9]|60)s?$";
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples(["20s"]).into()
    }
}

impl ToSchema for Seconds {}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::Error;

    use super::*;

    #[test]
    fn up_to_a_minute() {
        for (text, expected) in [
            ("0", Some(0)),
            ("20s", Some(20)),
            ("60", Some(60)),
            ("060s", Some(60)),
            ("61", None),
            ("61s", None),
            ("+5", None),
            ("", None),
            ("s", None),
            ("1m", None),
            ("18446744073709551616", None),
        ] {
            let deserializer: serde::de::value::StrDeserializer<'_, Error> = text.into_deserializer();
            assert_eq!(Seconds::deserialize(deserializer).ok().map(|seconds| seconds.0), expected, "{text}");
        }
    }
}
