//! Ends that the host decides on.

use sightflow_memory::OutOfBudget;

use crate::error::LimitKind;

/// Why the host stops a guest. Travels through wasmtime as the trap's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("out of processor time")]
    Cpu,
    #[error("out of processor time for image operations")]
    HostCpu,
    #[error("out of time")]
    Wall,
    #[error("cancelled")]
    Cancelled,
    #[error("no memory was free")]
    NoMemory(OutOfBudget),
    #[error("out of {0}")]
    Limit(LimitKind),
    #[error("the guest called exit with status {0}")]
    Exit(u8),
    #[error("`{0}` is not granted to blocks")]
    Denied(String),
}
