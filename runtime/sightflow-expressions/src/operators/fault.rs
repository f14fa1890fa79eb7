//! Why a question has no answer.

use super::Operator;
use crate::path::Path;

/// Whether the data or the configuration is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The value does not fit the question.
    BadInput,
    /// The question cannot be asked like this.
    BadConfig,
}

/// Why a condition has no answer for a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Who is to blame.
    pub fault: Fault,
    /// Stable code: `not_comparable`, `bad_type`, `bad_pattern`, `fuel`, `not_boolean`, `undefined`, `expression`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl ConditionError {
    pub(crate) fn bad_input(code: &'static str, message: impl Into<String>) -> Self {
        Self { fault: Fault::BadInput, code, message: message.into() }
    }

    pub(crate) fn bad_config(code: &'static str, message: impl Into<String>) -> Self {
        Self { fault: Fault::BadConfig, code, message: message.into() }
    }

    /// Names the question.
    pub(crate) fn about(mut self, operator: Operator, field: &Path) -> Self {
        self.message = format!("`{}` of `{field}`: {}", operator.name(), self.message);
        self
    }
}
