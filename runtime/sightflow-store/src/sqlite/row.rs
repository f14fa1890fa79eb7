//! From stored values to domain types and back.

use std::str::FromStr;

use serde_json::{Map, Value};
use sightflow_types::{Digest, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use crate::error::{Result, StoreError};

/// A struct whose fields are the columns of the same names.
macro_rules! columns {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field_vis:vis $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        $vis struct $name { $($field_vis $field: $type),+ }

        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?),+ })
            }
        }
    };
}

/// The columns of one row; an error concerns this row alone.
pub(super) fn columns_of<T: for<'r> FromRow<'r, SqliteRow>>(row: &SqliteRow) -> Result<T> {
    Ok(T::from_row(row)?)
}

/// The one number that a count answers.
pub(super) fn counted(row: &SqliteRow) -> Result<u64> {
    number(row.try_get(0)?)
}

/// What to do about a value that cannot be read.
pub(super) enum Reading {
    /// The row is unreadable.
    Strict,
    /// Something neutral takes its place, and the reason is kept: for people who look.
    Lenient(Vec<String>),
}

impl Reading {
    pub(super) const fn lenient() -> Self {
        Self::Lenient(Vec::new())
    }

    pub(super) fn take<T>(&mut self, column: &'static str, value: Result<T>, neutral: impl FnOnce() -> T) -> Result<T> {
        match (value, self) {
            (Ok(value), _) => Ok(value),
            (Err(error), Self::Strict) => Err(StoreError::Corrupt(format!("{column}: {}", reason(error)))),
            (Err(error), Self::Lenient(faults)) => {
                faults.push(format!("{column}: {}", reason(error)));
                Ok(neutral())
            }
        }
    }

    /// Why the row is unreadable; none if all of it could be read.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::Lenient(faults) if !faults.is_empty() => Some(unreadable(&faults.join("; "))),
            Self::Strict | Self::Lenient(_) => None,
        }
    }
}

fn reason(error: StoreError) -> String {
    match error {
        StoreError::Corrupt(reason) => reason,
        other => other.to_string(),
    }
}

/// What is said about a row that is set aside.
pub(super) fn unreadable(why: &str) -> String {
    format!("a stored value is unreadable: {why}")
}

/// An item of a list; one that cannot even be named is left out.
pub(super) fn listed<T>(what: &str, item: Result<T>) -> Option<T> {
    item.inspect_err(|error| {
        tracing::warn!(error = error as &dyn std::error::Error, what, "an unreadable row is left out of a list");
    })
    .ok()
}

/// The text below which a page's ids lie; without a cursor one above every UUID.
pub(super) fn before(cursor: Option<uuid::Uuid>) -> String {
    cursor.map_or_else(|| "g".to_owned(), |id| id.to_string())
}

/// A list of digests as statements take it.
pub(super) fn list<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> String {
    Value::from_iter(digests.into_iter().map(Digest::to_string)).to_string()
}

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

/// A value that is stored as JSON.
pub(super) fn document<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A value, to be stored as JSON.
pub(super) fn to_document(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.to_string()))
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// An instant that may be absent.
pub(super) fn time(ms: Option<i64>) -> Option<Timestamp> {
    ms.map(Timestamp::from_millis)
}
