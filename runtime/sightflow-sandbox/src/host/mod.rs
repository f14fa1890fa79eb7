//! What a guest finds on the other side: images, a log and a WASI that grants nothing.

pub(crate) mod bindings;
mod cost;
mod images;
pub(crate) mod linker;
mod log;
pub(crate) mod state;
mod wasi;
