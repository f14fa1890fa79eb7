//! The sandbox from outside: hostile guests, limits, isolation and the cache.

mod cache;
mod compile;
mod crafted;
mod effects;
mod fairness;
mod fixtures;
mod guests;
mod host;
mod hostile;
mod interface;
mod isolation;
mod limits;
mod load;
#[path = "../../../mutate.rs"]
mod mutate;
mod mutated;
mod screen;
mod values;
mod wasi;
