//! The engine's behaviour from outside: definitions that are refused, runs with scripted blocks and models.
#![expect(clippy::needless_pass_by_value, reason = "cases of JSON read better")]

mod blocks;
mod definitions;
mod effects;
mod fleet;
mod images;
mod loops;
mod model;
#[path = "../../../mutate.rs"]
mod mutate;
mod mutated;
mod packages;
mod parked;
mod property;
mod runs;
mod script;
mod server;
mod supervision;
mod swap;
