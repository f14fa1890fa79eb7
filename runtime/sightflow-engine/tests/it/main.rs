//! The engine's behaviour from outside: definitions that are refused, runs with scripted blocks and models.

mod blocks;
mod definitions;
mod fleet;
mod images;
mod loops;
mod model;
mod parked;
mod property;
mod runs;
mod script;
mod server;
mod supervision;
mod swap;
