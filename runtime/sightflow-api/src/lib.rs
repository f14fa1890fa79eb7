#![doc = include_str!("../README.md")]

mod error;
mod etag;
mod extract;
mod middleware;
pub mod outgoing;
mod page;
mod routes;
mod schema;
