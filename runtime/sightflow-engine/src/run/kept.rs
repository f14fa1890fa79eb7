//! What a run keeps in memory: the values that its nodes deliver, taken from the process's budget while it lives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sightflow_memory::{MemoryPool, Reservation, Use};
use sightflow_types::error::{RunError, code};

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

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.held().bytes()
    }

    /// Takes the bytes of what a node delivered.
    pub(super) async fn keep(&self, bytes: u64) -> Result<(), RunError> {
        let full = {
            let mut held = self.held();
            self.fits(held.bytes(), bytes)?;
            held.try_grow(bytes)
        };
        if full.is_ok() {
            return Ok(());
        }
        let more = self.lend(bytes).await?;
        self.held().absorb(more);
        Ok(())
    }

    /// Whether so many bytes could be kept beside what is.
    pub(super) fn check(&self, bytes: u64) -> Result<(), RunError> {
        self.fits(self.bytes(), bytes)
    }

    fn fits(&self, held: u64, bytes: u64) -> Result<(), RunError> {
        let most = self.limits.values;
        if held.saturating_add(bytes) <= most {
            return Ok(());
        }
        let message = format!("its values take {bytes} bytes, beside {held} of this run; at most {most} are allowed");
        Err(RunError::new(code::BLOCK_LIMIT, message))
    }

    /// Gives the bytes of values back that nobody needs any more.
    pub(super) fn release(&self, bytes: u64) {
        let mut held = self.held();
        let left = held.bytes().saturating_sub(bytes);
        held.shrink_to(left);
    }

    /// Takes the bytes of what a node is given, for as long as it works.
    pub(super) async fn lend(&self, bytes: u64) -> Result<Reservation, RunError> {
        let mut lent = self.limits.memory.nothing(Use::Values);
        lent.grow(bytes, PATIENCE)
            .await
            .map_err(|full| RunError::new(code::BLOCK_LIMIT, format!("no memory was free for its values: {full}")))?;
        Ok(lent)
    }

    fn held(&self) -> MutexGuard<'_, Reservation> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
