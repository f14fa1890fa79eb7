//! Why a package is refused and why a call failed.

use std::time::Duration;

use sightflow_memory::OutOfBudget;
use sightflow_types::Problem;
use sightflow_types::error::code;

use crate::finding::Findings;
use crate::text::{ERROR_BYTES, capped};

/// Why the sandbox itself cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A field of the configuration is out of its range.
    #[error("invalid sandbox configuration: {0}")]
    Config(String),
    /// The WebAssembly engine refuses the host.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Why a package does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// What its author has to change: one finding for each thing, with a code of [`finding`](crate::finding).
    #[error("{}", .0.iter().map(|problem| format!("{}: {}", problem.code, problem.message)).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Problem>),
    /// Too many packages of this tenant wait to be compiled. A repetition helps later.
    #[error("too many packages wait to be compiled")]
    Busy,
    /// The host failed; not the package's fault.
    #[error("the package cannot be loaded: {0}")]
    Host(String),
}

impl LoadError {
    /// One finding.
    pub(crate) fn refused(code: &str, message: impl AsRef<str>) -> Self {
        let mut findings = Findings::default();
        findings.add(code, message);
        Self::Refused(findings.into_vec())
    }
}

/// What a block said about its failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// For people.
    pub message: String,
    /// The block's own code, for example `not_comparable`.
    pub code: Option<String>,
    /// Input port at fault.
    pub port: Option<String>,
    /// Configuration key at fault.
    pub key: Option<String>,
    /// Position in a list at fault.
    pub index: Option<u64>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match (&self.port, &self.key, self.index) {
            (Some(port), _, Some(index)) => write!(f, " (port `{port}`, item {index})"),
            (Some(port), _, None) => write!(f, " (port `{port}`)"),
            (None, Some(key), _) => write!(f, " (config key `{key}`)"),
            (None, None, Some(index)) => write!(f, " (item {index})"),
            (None, None, None) => Ok(()),
        }
    }
}

/// Which allowance of [`CallLimits`](crate::CallLimits) a call used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is named after the field of CallLimits that it stands for")]
pub enum LimitKind {
    #[error("table elements")]
    TableElements,
    #[error("image handles")]
    Handles,
    #[error("bytes of output")]
    OutputBytes,
    #[error("pixel bytes read and written")]
    HostCallBytes,
    #[error("bytes passed to the host at once")]
    ArgumentBytes,
    #[error("bytes of images")]
    ImageBytes,
    #[error("steps of image operations")]
    HostSteps,
}

/// Why one call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The package has no block of this name.
    #[error("the package has no block `{0}`")]
    UnknownBlock(String),
    /// The block refuses its inputs.
    #[error("{0}")]
    BadInput(Report),
    /// The block refuses its configuration.
    #[error("{0}")]
    BadConfig(Report),
    /// The block could not finish.
    #[error("{0}")]
    Failed(Report),
    /// The block could not finish, and a repetition may help.
    #[error("{0}")]
    Retry(Report),
    /// The answer is not what the interface demands.
    #[error("the block answered with an invalid document: {0}")]
    InvalidOutput(String),
    /// The guest stopped itself or broke a rule of WebAssembly.
    #[error("the block trapped: {0}")]
    Trap(String),
    /// [`CallLimits::cpu`](crate::CallLimits::cpu) is used up.
    #[error("the block used more than {} ms of processor time", .0.as_millis())]
    Cpu(Duration),
    /// [`CallLimits::host_cpu`](crate::CallLimits::host_cpu) is used up.
    #[error("image operations of the block used more than {} ms of processor time", .0.as_millis())]
    HostCpu(Duration),
    /// [`CallLimits::wall`](crate::CallLimits::wall) has passed.
    #[error("the block ran longer than {} ms", .0.as_millis())]
    Wall(Duration),
    /// [`CallLimits::memory_bytes`](crate::CallLimits::memory_bytes) is used up, or what the block allows itself.
    #[error("the block asked for more than {} MiB of memory", .0 >> 20)]
    Memory(usize),
    /// Another allowance is used up.
    #[error("the block went beyond its limit of {limit} {kind}")]
    Limit {
        /// Which.
        kind: LimitKind,
        /// Its size.
        limit: u64,
    },
    /// The process had no memory for the call until its time was over. A repetition may help.
    #[error("no memory was free for the block: {0}")]
    NoMemory(OutOfBudget),
    /// The caller took the call back.
    #[error("the call was cancelled")]
    Cancelled,
    /// The package keeps breaking down and is left alone for a while.
    #[error("the package broke down again and again and is not called for another {} s", .0.as_secs().max(1))]
    Quarantined(Duration),
    /// The host failed; not the block's fault.
    #[error("the sandbox failed: {0}")]
    Host(String),
}

impl GuestError {
    /// The stable code of [`sightflow_types::error::code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownBlock(_) | Self::Host(_) => code::INTERNAL,
            Self::BadInput(_) => code::BAD_INPUT,
            Self::BadConfig(_) => code::BAD_CONFIG,
            Self::Failed(_) | Self::Retry(_) | Self::InvalidOutput(_) => code::BLOCK_FAILED,
            Self::Trap(_) => code::BLOCK_TRAP,
            Self::Cpu(_) | Self::HostCpu(_) => code::BLOCK_CPU,
            Self::Wall(_) => code::TIMEOUT,
            Self::Memory(_) => code::BLOCK_MEMORY,
            Self::Limit { .. } | Self::NoMemory(_) => code::BLOCK_LIMIT,
            Self::Quarantined(_) => code::BLOCK_QUARANTINED,
            Self::Cancelled => code::CANCELLED,
        }
    }

    /// The same with texts of bounded length.
    pub(crate) fn capped(self) -> Self {
        let cap = |text: String| capped(&text, ERROR_BYTES);
        let report = |report: Report| Report {
            message: cap(report.message),
            code: report.code.map(cap),
            port: report.port.map(cap),
            key: report.key.map(cap),
            index: report.index,
        };
        match self {
            Self::UnknownBlock(text) => Self::UnknownBlock(cap(text)),
            Self::BadInput(said) => Self::BadInput(report(said)),
            Self::BadConfig(said) => Self::BadConfig(report(said)),
            Self::Failed(said) => Self::Failed(report(said)),
            Self::Retry(said) => Self::Retry(report(said)),
            Self::InvalidOutput(text) => Self::InvalidOutput(cap(text)),
            Self::Trap(text) => Self::Trap(cap(text)),
            Self::Host(text) => Self::Host(cap(text)),
            other @ (Self::Cpu(_)
            | Self::HostCpu(_)
            | Self::Wall(_)
            | Self::Memory(_)
            | Self::NoMemory(_)
            | Self::Limit { .. }
            | Self::Quarantined(_)
            | Self::Cancelled) => other,
        }
    }

    /// Whether the package broke down: by itself, or by using up what a call is given. Not so where the caller decides,
    /// as with the wall clock, or the host, as with memory that nobody had.
    pub(crate) fn breakdown(&self) -> bool {
        matches!(
            self,
            Self::Trap(_)
                | Self::Cpu(_)
                | Self::HostCpu(_)
                | Self::Memory(_)
                | Self::Limit { .. }
                | Self::InvalidOutput(_)
        )
    }
}

/// A failed call with what it left behind.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CallFailure {
    /// Why.
    #[source]
    pub error: GuestError,
    /// What the block had logged until then.
    pub logs: crate::Logs,
    /// What it had used until then.
    pub profile: crate::Profile,
}
