//! How a block fails.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Why a block has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The inputs do not fit. Repeating the call with the same inputs gives the same answer.
    #[error("{0}")]
    BadInput(Complaint),
    /// The configuration does not fit, after references and templates resolved.
    #[error("{0}")]
    BadConfig(Complaint),
    /// The block could not finish.
    #[error("{0}")]
    Failed(String),
    /// The block could not finish, but a repetition may help: transport, overload.
    #[error("{0}")]
    Retry(String),
}

/// What exactly does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Stable, `snake_case`: `not_comparable`, `bad_box`.
    pub code: Cow<'static, str>,
    /// For people; names the thing and says what to do.
    pub message: String,
    /// The input port, for bad input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Cow<'static, str>>,
    /// The configuration key, for bad configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'static, str>>,
    /// Position in the list that the port received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = self.port.as_deref().or(self.key.as_deref()) {
            write!(f, "{place}")?;
            if let Some(index) = self.index {
                write!(f, "[{index}]")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl BlockError {
    /// The inputs do not fit.
    pub fn bad_input(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::BadInput(Complaint::new(code.into(), message.into()))
    }

    /// The configuration does not fit.
    pub fn bad_config(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::BadConfig(Complaint::new(code.into(), message.into()))
    }

    /// The block could not finish.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The block could not finish, but a repetition may help.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry(message.into())
    }

    /// Names the input port, where it is not named yet.
    #[must_use]
    pub fn port(self, port: impl Into<Cow<'static, str>>) -> Self {
        self.amend(|complaint| _ = complaint.port.get_or_insert_with(|| port.into()))
    }

    /// Names the configuration key, where it is not named yet.
    #[must_use]
    pub fn key(self, key: impl Into<Cow<'static, str>>) -> Self {
        self.amend(|complaint| _ = complaint.key.get_or_insert_with(|| key.into()))
    }

    /// Gives the position in the port's list, where it is not given yet.
    #[must_use]
    pub fn index(self, index: usize) -> Self {
        self.amend(|complaint| _ = complaint.index.get_or_insert(index))
    }

    fn amend(mut self, change: impl FnOnce(&mut Complaint)) -> Self {
        if let Self::BadInput(complaint) | Self::BadConfig(complaint) = &mut self {
            change(complaint);
        }
        self
    }
}

impl Complaint {
    fn new(code: Cow<'static, str>, message: String) -> Self {
        Self { code, message, port: None, key: None, index: None }
    }
}

#[cfg(test)]
mod tests {
    use super::BlockError;

    #[test]
    fn says_where() {
        let error =
            BlockError::bad_input("bad_box", "pixels belong in bbox_abs").port("detections").index(3).port("other");
        assert_eq!(error.to_string(), "detections[3]: pixels belong in bbox_abs");
        assert_eq!(BlockError::failed("no").port("image").to_string(), "no");
    }
}
