//! Extractors whose rejections come out in the one error shape.

pub(crate) mod base64;
pub(crate) mod body;
pub(crate) mod document;
pub(crate) mod fields;
mod item;
mod json;
mod multipart;
mod path;
mod query;
mod seconds;

pub use document::read_document;
pub(crate) use item::ItemPath;
pub(crate) use json::{Json, media_type, parse_object, require_json, typed};
pub(crate) use multipart::Multipart;
pub(crate) use path::{Path, Qualified};
pub(crate) use query::{Many, Query, query_keys};
pub(crate) use seconds::Seconds;
