//! The API over a real SQLite store, blobs in memory and a scripted engine; the tree mirrors the routes.

mod auth;
mod blobs;
mod block_packages;
mod blocks;
mod errors;
mod events;
mod executions;
mod fleet;
mod health;
mod nodes;
mod openapi;
mod outgoing;
mod runs;
mod server;
mod support;
mod workflows;
