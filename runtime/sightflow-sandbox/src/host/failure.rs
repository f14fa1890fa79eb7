//! Errors of the engine, in words.

use crate::LoadError;
use crate::finding::code;

/// An engine error with its causes on one line.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What the comparison of interfaces did not find.
pub(super) fn differs(error: &wasmtime::Error) -> LoadError {
    LoadError::refused(
        code::WIT,
        format!("the package does not match the block interface of this host: {}", chain(error)),
    )
}
