//! From stored values to domain types and back.

use std::str::FromStr;

use serde_json::{Map, Value};
use sightflow_types::Timestamp;

use crate::error::{Result, StoreError};

/// A typed value out of its text.
pub(super) fn parse<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::Corrupt(error.to_string()))
}

/// [`parse`] for a column that may be null.
pub(super) fn parse_some<T: FromStr>(text: Option<&str>) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    text.map(parse).transpose()
}

/// A narrower number.
pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("number {value} is out of range")))
}

/// [`number`] for a column that may be null.
pub(super) fn number_some<T: TryFrom<i64>>(value: Option<i64>) -> Result<Option<T>> {
    value.map(number).transpose()
}

/// A number to store.
pub(super) fn stored<T>(value: T) -> Result<i64>
where
    i64: TryFrom<T>,
{
    i64::try_from(value).map_err(|_| StoreError::Refused("a number is too large".to_owned()))
}

/// A JSON document.
pub(super) fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// An instant that may be absent.
pub(super) fn time(ms: Option<i64>) -> Option<Timestamp> {
    ms.map(Timestamp::from_millis)
}
