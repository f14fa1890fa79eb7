//! Why a model cannot be loaded, and why a request failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sightflow_types::error::panic_text;

/// Why a file cannot be used as a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The bytes are another kind of file.
    #[error("this is {what}, not an ONNX model; {advice}")]
    NotOnnx {
        /// What they are.
        what: String,
        /// What to do.
        advice: String,
    },
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
    /// A step of the graph asks for more than there can ever be.
    #[error("the model asks for too much: {node} needs {needed} {unit}, at most {most} are allowed")]
    TooLarge {
        /// The step that asks for it.
        node: String,
        /// How much it would need, with all that is alive at that moment.
        needed: u64,
        /// How much there is.
        most: u64,
        /// `bytes` or `multiply-adds`.
        unit: &'static str,
    },
    /// The graph fails on any image.
    #[error("the model does not run: {0}")]
    Unrunnable(String),
    /// Several of these at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),
    /// The device gave up, or memory was not there in time; another time it may work.
    #[error("loading failed: {0}")]
    Backend(String),
}

impl ModelError {
    /// Whether the same file with the same hints fails on every later attempt too.
    pub fn permanent(&self) -> bool {
        match self {
            Self::Backend(_) => false,
            Self::Several(errors) => errors.iter().any(Self::permanent),
            _ => true,
        }
    }

    /// Several reasons as one error.
    pub(crate) fn all(mut reasons: Vec<Self>) -> Self {
        match reasons.len() {
            1 => reasons.remove(0),
            _ => Self::Several(reasons),
        }
    }
}

/// What may be done about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFailureClass {
    /// Trying again may help.
    Transient,
    /// Memory ran out; a smaller batch may help.
    OutOfMemory,
    /// This image or these settings cannot be processed; trying again will not help.
    Poison,
    /// The model cannot do it for any image.
    Model,
    /// Nobody wants the result any more.
    Cancelled,
}

impl RunFailureClass {
    /// The name in job rows: `transient`, `oom`, `poison`, `model`; `cancelled` is in none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::OutOfMemory => "oom",
            Self::Poison => "poison",
            Self::Model => "model",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why one request of a batch has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RunFailure {
    /// What may be done about it.
    pub class: RunFailureClass,
    /// Stable: `bad_params`, `bad_image`, `zero_vector`, `not_finite`, `out_of_memory`, `inference`, `cancelled`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl RunFailure {
    pub(crate) fn new(class: RunFailureClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into() }
    }

    pub(crate) fn out_of_memory(message: impl Into<String>) -> Self {
        Self::new(RunFailureClass::OutOfMemory, "out_of_memory", message)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(RunFailureClass::Cancelled, "cancelled", "the request was cancelled")
    }
}

/// Why a pass through the graph has no outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PassFailure {
    /// Nobody wants its results any more.
    Cancelled,
    /// Memory was not there.
    Memory(String),
    /// A step failed.
    Step(String),
}

impl From<String> for PassFailure {
    /// Backends say only by their words that memory ran out.
    fn from(message: String) -> Self {
        let lower = message.to_ascii_lowercase();
        match lower.contains("out of memory") || lower.contains("memory allocation") {
            true => Self::Memory(message),
            false => Self::Step(message),
        }
    }
}

impl From<PassFailure> for RunFailure {
    fn from(failure: PassFailure) -> Self {
        match failure {
            PassFailure::Cancelled => Self::cancelled(),
            PassFailure::Memory(message) => Self::out_of_memory(message),
            PassFailure::Step(message) => Self::new(RunFailureClass::Model, "inference", message),
        }
    }
}

/// Runs `work`; a panic (burn panics on shapes that do not fit) becomes its message.
pub(crate) fn catching<T, E: From<String>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_text(panic.as_ref()).into()))
}
