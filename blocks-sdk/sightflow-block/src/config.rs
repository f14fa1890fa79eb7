//! Configuration: which Rust type stands for which JSON schema.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The configuration of a block; implemented for what derives `Config`.
pub trait Config: ConfigType + DeserializeOwned {}

impl<T: ConfigType + DeserializeOwned> Config for T {}

/// A type that may stand in a configuration.
pub trait ConfigType {
    /// Its JSON Schema (draft 2020-12).
    fn schema() -> Value;
}

/// The configuration of a block that has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sightflow_block_macros::Config)]
pub struct NoConfig {}

macro_rules! config_types {
    ($($ty:ty => $schema:tt;)+) => {$(
        impl ConfigType for $ty {
            fn schema() -> Value {
                json!($schema)
            }
        }
    )+};
}

config_types! {
    bool => {"type": "boolean"};
    u8 => {"type": "integer", "minimum": 0, "maximum": 255};
    u32 => {"type": "integer", "minimum": 0, "maximum": 4294967295u32};
    u64 => {"type": "integer", "minimum": 0};
    usize => {"type": "integer", "minimum": 0};
    i32 => {"type": "integer", "minimum": -2147483648i32, "maximum": 2147483647};
    i64 => {"type": "integer"};
    f64 => {"type": "number"};
    String => {"type": "string"};
    Value => {};
    Map<String, Value> => {"type": "object"};
}

impl<T: ConfigType> ConfigType for Vec<T> {
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}
