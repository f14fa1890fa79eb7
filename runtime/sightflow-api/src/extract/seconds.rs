//! Durations in query strings.

use serde::{Deserialize, Deserializer, de::Error};

/// Whole seconds, written `20s` or `20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix('s').unwrap_or(&text);
        number
            .parse()
            .map(Self)
            .map_err(|_| D::Error::custom(format!("`{text}` is not a number of seconds such as `20s`")))
    }
}
