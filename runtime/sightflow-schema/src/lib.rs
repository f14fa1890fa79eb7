#![doc = include_str!("../README.md")]

mod explain;
mod schema;
mod values;

pub use schema::{Canonical, ConfigSchema, SchemaError};
