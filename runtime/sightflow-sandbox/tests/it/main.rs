//! The sandbox from outside: hostile guests, limits, isolation and the cache.

mod cache;
mod crafted;
mod guests;
mod host;
mod isolation;
mod limits;
mod load;
mod values;
