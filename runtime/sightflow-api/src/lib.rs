#![doc = include_str!("../README.md")]

mod auth;
mod caller;
mod convert;
mod decode;
mod error;
mod etag;
mod extract;
mod idempotency;
mod images;
mod intake;
mod key_cache;
mod middleware;
pub mod outgoing;
mod page;
mod rates;
mod ready;
mod router;
mod routes;
mod schema;
mod serve;
mod state;
mod views;
mod wait;

pub use extract::read_document;
pub use ready::{HealthCheck, Unwell};
pub use router::{openapi, router};
pub use routes::{checked_package, refused_component};
pub use serve::{ServeConfig, serve};
pub use state::{ApiConfig, ApiState};
