//! Run-time errors of an execution, and their codes.

use std::any::Any;

use serde::{Deserialize, Serialize};

/// Stable codes of what can go wrong while an execution runs.
pub mod code {
    #![expect(missing_docs, reason = "each constant is its own wire name, explained in the message that carries it")]
    pub const BAD_INPUT: &str = "E-BAD-INPUT";
    pub const BAD_CONFIG: &str = "E-BAD-CONFIG";
    pub const REFERENCE: &str = "E-REFERENCE";
    pub const EXPRESSION: &str = "E-EXPRESSION";
    pub const BLOCK_FAILED: &str = "E-BLOCK-FAILED";
    pub const BLOCK_TRAP: &str = "E-BLOCK-TRAP";
    pub const BLOCK_CPU: &str = "E-BLOCK-CPU";
    pub const BLOCK_MEMORY: &str = "E-BLOCK-MEMORY";
    pub const BLOCK_LIMIT: &str = "E-BLOCK-LIMIT";
    pub const BLOCK_QUARANTINED: &str = "E-BLOCK-QUARANTINED";
    pub const GRANT: &str = "E-GRANT";
    pub const EFFECT_UNKNOWN: &str = "E-EFFECT-UNKNOWN";
    pub const MODEL_UNAVAILABLE: &str = "E-MODEL-UNAVAILABLE";
    pub const JOB_FAILED: &str = "E-JOB-FAILED";
    pub const JOB_TIMEOUT: &str = "E-JOB-TIMEOUT";
    pub const WORKER_LOST: &str = "E-WORKER-LOST";
    pub const EXECUTION_ENDED: &str = "E-EXECUTION-ENDED";
    pub const IMAGE: &str = "E-IMAGE";
    pub const URL_NOT_ALLOWED: &str = "E-URL-NOT-ALLOWED";
    pub const TIMEOUT: &str = "E-TIMEOUT";
    pub const CRASH_LOOP: &str = "E-CRASH-LOOP";
    pub const CANCELLED: &str = "E-CANCELLED";
    pub const INTERNAL: &str = "E-INTERNAL";
}

/// Why an execution or a node failed: the API's `error` object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RunError {
    /// One of [`code`].
    pub code: String,
    /// For people; says what to do where something can be done.
    pub message: String,
    /// The node that failed, if one did.
    pub node_id: Option<String>,
    /// Loop indexes or list position, for example `3/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What lies behind the message, outermost first.
    #[serde(default)]
    pub cause: Vec<String>,
}

impl RunError {
    /// An error that no node is to blame for, or whose node the caller adds.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), node_id: None, item: None, cause: Vec::new() }
    }

    /// Names the node.
    #[must_use]
    pub fn at_node(mut self, node_id: impl Into<String>) -> Self {
        self.node_id = Some(node_id.into());
        self
    }
}

/// An error with everything behind it, for logs: `outer: inner: innermost`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// What a panic said, from its payload.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
