//! What a guest finds on the other side: images, a log and a WASI that grants nothing.

pub(crate) mod bindings;
pub(crate) mod linker;
pub(crate) mod state;
mod cost;
mod images;
mod log;
mod wasi;
