//! Typed ids: a UUIDv7 with a prefix at the edge (`exe_019ab3c0-…`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid id: expected `{prefix}<uuid>`")]
pub struct InvalidId {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// The prefix that the wanted type carries, for example `exe_`.
    pub prefix: &'static str,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text in front of the UUID.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that is known to name such a thing.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, as databases store it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new id, ordered by time.
            #[cfg(feature = "generate")]
            #[expect(clippy::new_without_default, reason = "a default id would not be the same twice")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts the prefixed form and the bare UUID; another type's prefix is an error.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bare = text.strip_prefix($prefix).unwrap_or(text);
                // Only the hyphenated form: braces, URNs and the 32-digit form are not ids of ours.
                if bare.len() == 36 && let Ok(uuid) = Uuid::try_parse(bare) {
                    return Ok(Self(uuid));
                }
                Err(InvalidId { text: text.chars().take(80).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

typed_id!(
    /// A workflow.
    WorkflowId, "wf_");
typed_id!(
    /// One run of a workflow.
    ExecutionId, "exe_");
typed_id!(
    /// One inference job.
    JobId, "job_");
typed_id!(
    /// A member of the fleet: a worker or an engine.
    WorkerId, "wrk_");
typed_id!(
    /// A tenant.
    TenantId, "ten_");
typed_id!(
    /// A block package.
    PackageId, "blk_");
typed_id!(
    /// A batch of executions.
    BatchId, "bat_");
typed_id!(
    /// A recorded effect: a webhook, a callback.
    EffectId, "eff_");
typed_id!(
    /// An API key.
    KeyId, "key_");

impl TenantId {
    /// The tenant of a server without accounts.
    pub const BUILT_IN: Self = Self(Uuid::from_u128(0x00000000_0000_7000_8000_000000000000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_its_own_prefix_and_the_bare_uuid_only() {
        let uuid = "019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
        let id: ExecutionId = format!("exe_{uuid}").parse().unwrap();
        assert_eq!(id, uuid.parse().unwrap());
        assert_eq!(id.to_string(), format!("exe_{uuid}"));
        for wrong in [format!("wf_{uuid}"), "exe_".into(), "exe_1".into(), format!("{{{uuid}}}"), uuid.replace('-', "")]
        {
            assert!(wrong.parse::<ExecutionId>().is_err(), "{wrong}");
        }
    }
}
