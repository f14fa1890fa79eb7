//! What a guest finds on the other side: images, a log and a WASI that grants nothing.

pub(crate) mod bindings;
mod clock;
mod drawing;
mod effects;
mod egress;
pub(crate) mod exports;
pub(crate) mod failure;
mod image_ops;
mod images;
pub(crate) mod linker;
mod log;
mod log_buffer;
mod names;
#[cfg(test)]
mod next;
mod operation;
pub(crate) mod pace;
pub(crate) mod state;
pub(crate) mod stop;
mod waiting;
pub(crate) mod wasi;
