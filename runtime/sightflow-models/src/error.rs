//! Why a model cannot be loaded, and why a request failed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a file cannot be used as a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The bytes are no ONNX file, or a broken one.
    #[error("not a readable ONNX file: {0}")]
    Malformed(String),
    /// The graph needs what the runtime does not do; every reason is listed.
    #[error("the model cannot run here: {}", .0.join("; "))]
    Unsupported(Vec<String>),
    /// Neither the file nor the hints say something that the runtime must know.
    #[error("the file does not say {what}; {hint}")]
    Unspecified {
        /// What is missing.
        what: String,
        /// How to supply it.
        hint: String,
    },
    /// The spec and the graph contradict each other.
    #[error("the specification does not fit the graph: {0}")]
    Mismatch(String),
    /// The backend gave up.
    #[error("loading failed: {0}")]
    Backend(String),
}

/// What may be done about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Trying again may help.
    Transient,
    /// Memory ran out; a smaller batch may help.
    OutOfMemory,
    /// This image or these settings cannot be processed; trying again will not help.
    Poison,
    /// The model cannot do it for any image.
    Model,
}

impl FailureClass {
    /// The name in job rows: `transient`, `oom`, `poison`, `model`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::OutOfMemory => "oom",
            Self::Poison => "poison",
            Self::Model => "model",
        }
    }
}

/// Why one request of a batch has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RunFailure {
    /// What may be done about it.
    pub class: FailureClass,
    /// Stable: `bad_params`, `bad_image`, `zero_vector`, `not_finite`, `out_of_memory`, `inference`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl RunFailure {
    pub(crate) fn new(class: FailureClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into() }
    }

    /// A failure of the backend while the whole batch ran.
    pub(crate) fn of_backend(message: String) -> Self {
        let lower = message.to_ascii_lowercase();
        if lower.contains("out of memory") || lower.contains("memory allocation") {
            return Self::new(FailureClass::OutOfMemory, "out_of_memory", message);
        }
        Self::new(FailureClass::Model, "inference", message)
    }
}

/// Runs `work`; a panic (burn panics on shapes that do not fit) becomes its message.
pub(crate) fn catching<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the backend panicked".to_owned())
}
