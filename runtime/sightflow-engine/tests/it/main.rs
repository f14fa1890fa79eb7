//! The engine's behaviour from outside: definitions that are refused, runs with scripted blocks and models.

mod definitions;
mod images;
mod loops;
mod runs;
mod script;
mod server;
mod supervision;
mod swap;
