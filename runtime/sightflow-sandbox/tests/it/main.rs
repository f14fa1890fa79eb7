//! The sandbox from outside: hostile guests, limits, isolation, the cache and the registry.

mod cache;
mod guests;
mod host;
mod isolation;
mod limits;
mod load;
mod registry;
mod values;
