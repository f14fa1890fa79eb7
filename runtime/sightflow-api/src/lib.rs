#![doc = include_str!("../README.md")]

mod caller;
mod convert;
mod error;
mod etag;
mod extract;
mod idempotency;
mod intake;
mod middleware;
mod models;
pub mod outgoing;
mod page;
mod router;
mod routes;
mod schema;
mod state;
mod views;
mod wait;

pub use router::{openapi, router};
pub use state::{ApiConfig, ApiState};
