//! One finding about a document: what is wrong, where, and what was probably meant.

mod code;

use serde::{Deserialize, Serialize};

pub use code::ProblemCode;

/// Whether a finding prevents a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Code `E-…`: the document is refused.
    Error,
    /// Code `W-…`: the document is accepted and the finding returned beside it.
    Warning,
}

/// A finding, in the form in which the API returns it as a `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code: a [`ProblemCode`], or one of a component's own.
    pub code: String,
    /// RFC 6901 JSON pointer into the document, `""` for the whole.
    pub pointer: String,
    /// For people; names the thing and says what to do.
    pub message: String,
    /// The nearest valid spelling, where one is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Problem {
    /// A finding without a suggestion.
    pub fn new(code: impl Into<String>, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), pointer: pointer.into(), message: message.into(), suggestion: None }
    }

    /// Adds what was probably meant.
    #[must_use]
    pub fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// Error or warning, by the code's first letter.
    pub fn severity(&self) -> Severity {
        if self.code.starts_with("W-") { Severity::Warning } else { Severity::Error }
    }
}
