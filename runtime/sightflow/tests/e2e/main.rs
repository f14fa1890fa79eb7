//! The real binary, real components, real weights, real photographs, over HTTP.

mod accounts;
mod author;
mod bad_input;
mod blocks;
mod client;
mod command_line;
mod durability;
mod examples;
mod faults;
mod load;
mod loops;
mod packages;
mod registry;
mod scenes;
mod server;
mod workflows;
