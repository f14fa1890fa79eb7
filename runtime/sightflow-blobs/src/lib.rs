#![doc = include_str!("../README.md")]

mod directory;
mod error;
mod store;

pub use error::BlobError;
pub use store::{BlobStore, Named, digest_of};
