//! What a run keeps in memory: the values that its nodes deliver, taken from the process's budget while it lives.

use std::time::Duration;

use sightflow_memory::{MemoryPool, Reservation, Use};
use sightflow_types::error::{RunError, code};
use tokio::sync::Mutex;

use super::cell::Cell;
use crate::weight::weigh;

/// How long a node waits for memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much a run may keep.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// Where the bytes of its values come from.
    pub memory: MemoryPool,
    /// Most bytes of the values that its nodes deliver, and of those that one node is given.
    pub values: u64,
    /// Most bytes of JSON in its outputs.
    pub outputs: usize,
}

impl Default for RunLimits {
    /// The process's budget: a run keeps at most an eighth of it, and gives its nodes about as much.
    fn default() -> Self {
        let memory = MemoryPool::process().clone();
        Self { values: (memory.capacity() / 8).min(256 << 20), outputs: 16 << 20, memory }
    }
}

/// The values of one run.
#[derive(Debug)]
pub(super) struct Kept {
    limits: RunLimits,
    held: Mutex<Reservation>,
}

impl Kept {
    pub(super) fn new(limits: RunLimits) -> Self {
        Self { held: Mutex::new(limits.memory.nothing(Use::Values)), limits }
    }

    pub(super) fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// Takes the bytes of what a node delivered; they are given back with the run.
    pub(super) async fn keep(&self, outputs: &[(String, Cell)]) -> Result<(), RunError> {
        let bytes: u64 = outputs.iter().map(|(_, cell)| weigh(&cell.value)).sum();
        let most = self.limits.values;
        let mut held = self.held.lock().await;
        if held.bytes() + bytes > most {
            let message = format!(
                "its outputs take {bytes} bytes, beside {} of this run; at most {most} are allowed",
                held.bytes()
            );
            return Err(RunError::new(code::BLOCK_LIMIT, message));
        }
        held.grow(bytes, PATIENCE)
            .await
            .map_err(|full| RunError::new(code::BLOCK_LIMIT, format!("no memory was free for its outputs: {full}")))
    }

    /// Takes the bytes of what a node is given, for as long as it works.
    pub(super) async fn lend(&self, bytes: u64) -> Result<Reservation, RunError> {
        let mut lent = self.limits.memory.nothing(Use::Values);
        lent.grow(bytes, PATIENCE)
            .await
            .map_err(|full| RunError::new(code::BLOCK_LIMIT, format!("no memory was free for its inputs: {full}")))?;
        Ok(lent)
    }
}
