//! Messages to the execution's log. They never change a result.

use crate::host;

/// For the author while a block is being written.
pub fn debug(message: &str) {
    host::log(Level::Debug, message);
}

/// What a user may want to know.
pub fn info(message: &str) {
    host::log(Level::Info, message);
}

/// Something odd that the block could work around.
pub fn warn(message: &str) {
    host::log(Level::Warn, message);
}

/// Something that went wrong, beside the error that the block returns.
pub fn error(message: &str) {
    host::log(Level::Error, message);
}

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}
