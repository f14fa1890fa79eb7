//! Bytes that are taken.

use std::time::{Duration, Instant};

use crate::{MemoryPool, OutOfBudget, Use};

/// Bytes taken from a [`MemoryPool`]; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping a reservation gives its bytes back"]
pub struct Reservation {
    pool: MemoryPool,
    purpose: Use,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(pool: MemoryPool, purpose: Use, bytes: u64) -> Self {
        Self { pool, purpose, bytes }
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn pool(&self) -> &MemoryPool {
        &self.pool
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `more` bytes if they are there. A holder goes before those who wait: they wait for it to end.
    ///
    /// # Errors
    /// [`OutOfBudget`] otherwise; what was held stays held.
    pub fn try_grow(&mut self, more: u64) -> Result<(), OutOfBudget> {
        self.pool.grow(self.purpose, more, None).map_err(|full| self.beside(full))?;
        self.bytes += more;
        Ok(())
    }

    /// Takes `more` bytes, waiting for them on this thread until `deadline`.
    ///
    /// # Errors
    /// [`OutOfBudget`] at the deadline; what was held stays held.
    pub fn grow_blocking(&mut self, more: u64, deadline: Instant) -> Result<(), OutOfBudget> {
        self.pool.grow(self.purpose, more, Some(deadline)).map_err(|full| self.beside(full))?;
        self.bytes += more;
        Ok(())
    }

    /// Takes `more` bytes, waiting for them as long as `patience`.
    ///
    /// # Errors
    /// [`OutOfBudget`] after `patience`; what was held stays held.
    pub async fn grow(&mut self, more: u64, patience: Duration) -> Result<(), OutOfBudget> {
        match self.try_grow(more) {
            Err(full) if !full.never_fits() => {}
            grown => return grown,
        }
        let taken = self.pool.reserve(self.purpose, more, patience).await;
        let mut taken = taken.map_err(|full| self.beside(full))?;
        self.bytes += std::mem::take(&mut taken.bytes);
        Ok(())
    }

    /// The refusal of more, with what is held counted as part of the wish.
    fn beside(&self, full: OutOfBudget) -> OutOfBudget {
        let own = self.bytes.min(full.used);
        OutOfBudget { wanted: full.wanted.saturating_add(self.bytes), used: full.used - own, ..full }
    }

    /// Takes over what `other`, of the same pool and for the same use, holds.
    pub fn absorb(&mut self, mut other: Self) {
        debug_assert!(self.purpose == other.purpose, "bytes of another use");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back all but `bytes`; does nothing when fewer are held.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.pool.give_back(self.purpose, self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.give_back(self.purpose, self.bytes);
    }
}
