//! The way to an item of a loop, in query strings.

use serde::{Deserialize, Deserializer, de::Error};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Loop indexes, outermost first, as the store writes them: `3/1`. Read from `3/1` or `3,1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemPath(pub(crate) String);

impl<'de> Deserialize<'de> for ItemPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let index = |part: &str| {
            // Digits alone: `parse` would take a sign.
            let index = part.parse::<u32>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
            index.map(|index| index.to_string())
        };
        let indexes: Option<Vec<String>> = text.split(['/', ',']).map(index).collect();
        let message = || D::Error::custom(format!("`{text}` is not an item such as `3` or `3/1`"));
        indexes.map(|indexes| Self(indexes.join("/"))).ok_or_else(message)
    }
}

impl PartialSchema for ItemPath {
    fn schema() -> RefOr<Schema> {
        let pattern = "^[0-9]{1,9}([/,][0-9]{1,9}){0,15}$";
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples(["3/1"]).into()
    }
}

impl ToSchema for ItemPath {}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    #[test]
    fn indexes_in_two_spellings() {
        for (text, expected) in [
            ("3", Some("3")),
            ("3/1", Some("3/1")),
            ("3,1,0", Some("3/1/0")),
            ("007", Some("7")),
            ("", None),
            ("3/", None),
            ("/3", None),
            ("+3", None),
            ("-1", None),
            ("a", None),
            ("3#0", None),
            ("4294967296", None),
        ] {
            let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
            let read = ItemPath::deserialize(deserializer).ok().map(|path| path.0);
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
