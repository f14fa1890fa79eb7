//! What an operation may use: steps, time, bytes.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sightflow_memory::{MemoryPool, Reservation, Use};

use crate::error::{Allowance, ImageError};

/// Steps between two looks at the clock: a few milliseconds at most.
const LOOK: u64 = 1 << 18;

/// How long a [`Work`] without a deadline waits for bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bounds operations on images: how many steps they may take, until when, and how many bytes they may hold.
///
/// A step is what a loop does for about one pixel: 1 to 5 ns in a release build. Every loop pays for its steps before it
/// takes them, so that a bound ends an operation inside of it. Bytes are taken from the process's [`MemoryPool`] before
/// they are allocated, temporaries included, and given back when the pixels are dropped. Who does not fit waits; two
/// that hold bytes and wait for each other's wait until their deadlines, not longer.
pub struct Work {
    pool: MemoryPool,
    deadline: Option<Instant>,
    holder: bool,
    go_on: Option<Box<dyn Fn() -> bool + Send>>,
    most_steps: u64,
    spent: Cell<u64>,
    look_at: Cell<u64>,
    account: Arc<Account>,
}

/// The bytes that live at the same time on one [`Work`]'s account.
#[derive(Debug)]
struct Account {
    most: u64,
    live: AtomicU64,
    peak: AtomicU64,
}

/// Bytes that pixels or temporaries occupy; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Held {
    reservation: Reservation,
    account: Arc<Account>,
}

impl Default for Work {
    fn default() -> Self {
        Self::new(MemoryPool::process().clone())
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work({} of {} steps, {:?})", self.spent.get(), self.most_steps, self.account)
    }
}

impl Work {
    /// How long one who holds bytes waits for more without looking whether it is still wanted.
    pub const SLICE: Duration = Duration::from_millis(20);

    /// Unbounded, except by the bytes of `pool`, for which it waits ten seconds.
    pub fn new(pool: MemoryPool) -> Self {
        Self {
            pool,
            deadline: None,
            holder: false,
            go_on: None,
            most_steps: u64::MAX,
            spent: Cell::new(0),
            look_at: Cell::new(LOOK),
            account: Arc::new(Account { most: u64::MAX, live: AtomicU64::new(0), peak: AtomicU64::new(0) }),
        }
    }

    /// Ends at `deadline`: work is stopped there, and waiting for bytes.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Steps that it may take in all.
    #[must_use]
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.most_steps = steps;
        self.look_at.set(LOOK.min(steps.saturating_add(1)));
        self
    }

    /// Bytes that it may hold at any time.
    #[must_use]
    pub fn most_bytes(mut self, bytes: u64) -> Self {
        self.account = Arc::new(Account { most: bytes, live: AtomicU64::new(0), peak: AtomicU64::new(0) });
        self
    }

    /// Asked every few milliseconds of work; `false` stops it.
    #[must_use]
    pub fn watched(mut self, go_on: impl Fn() -> bool + Send + 'static) -> Self {
        self.go_on = Some(Box::new(go_on));
        self
    }

    /// Its owner holds other bytes of the pool: it goes before those who hold none, since they wait for it to end. So it
    /// does in any case once it holds bytes itself.
    #[must_use]
    pub fn as_holder(mut self) -> Self {
        self.holder = true;
        self
    }

    /// Steps taken so far.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Most bytes that were held at the same time.
    pub fn peak_bytes(&self) -> u64 {
        self.account.peak.load(Ordering::Relaxed)
    }

    /// Pays for steps that are about to be taken.
    ///
    /// # Errors
    /// [`ImageError::Allowance`] when they are more than are left, [`ImageError::Stopped`] when time is over.
    #[inline]
    pub(crate) fn spend(&self, steps: u64) -> Result<(), ImageError> {
        let spent = self.spent.get().saturating_add(steps);
        self.spent.set(spent);
        if spent < self.look_at.get() { Ok(()) } else { self.look(spent) }
    }

    #[cold]
    fn look(&self, spent: u64) -> Result<(), ImageError> {
        if spent > self.most_steps {
            return Err(ImageError::Allowance(Allowance::Steps));
        }
        self.check_time()?;
        self.look_at.set(spent.saturating_add(LOOK).min(self.most_steps.saturating_add(1)));
        Ok(())
    }

    /// Whether there is time left.
    ///
    /// # Errors
    /// [`ImageError::Stopped`] if there is none.
    pub(crate) fn check_time(&self) -> Result<(), ImageError> {
        let over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if over || self.go_on.as_ref().is_some_and(|go_on| !go_on()) { Err(ImageError::Stopped) } else { Ok(()) }
    }

    /// Whether there is time for something that cannot be stopped once it has begun.
    ///
    /// # Errors
    /// [`ImageError::Stopped`] if the deadline is nearer than that.
    pub(crate) fn check_time_for(&self, duration: Duration) -> Result<(), ImageError> {
        match self.deadline {
            Some(deadline) if Instant::now() + duration > deadline => Err(ImageError::Stopped),
            _ => self.check_time(),
        }
    }

    /// Takes bytes that are about to be allocated, waiting for them.
    ///
    /// # Errors
    /// [`ImageError::Allowance`] beyond [`Work::most_bytes`], [`ImageError::OutOfBudget`] when the process has not as
    /// many in time.
    pub(crate) fn take(&self, bytes: u64) -> Result<Held, ImageError> {
        let account = &self.account;
        let live = account.live.load(Ordering::Relaxed).checked_add(bytes).filter(|live| *live <= account.most);
        if live.is_none() {
            return Err(ImageError::Allowance(Allowance::Bytes));
        }
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
        // Whoever holds some goes first: others may wait for it to end.
        let reservation = if self.holder || account.live.load(Ordering::Relaxed) > 0 {
            self.wait_as_holder(bytes, deadline)?
        } else {
            self.pool.reserve_blocking(Use::Images, bytes, deadline)?
        };
        // Only this thread adds; others may give back in between.
        let live = account.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        account.peak.fetch_max(live, Ordering::Relaxed);
        Ok(Held { reservation, account: Arc::clone(account) })
    }

    /// A holder stands in no queue: it can look up now and then, whether it is still wanted.
    fn wait_as_holder(&self, bytes: u64, deadline: Instant) -> Result<Reservation, ImageError> {
        loop {
            let now = Instant::now();
            match self.pool.reserve_as_holder(Use::Images, bytes, deadline.min(now + Self::SLICE)) {
                Err(full) if full.wanted <= full.capacity && now < deadline => {
                    if self.go_on.as_ref().is_some_and(|go_on| !go_on()) && Instant::now() < deadline {
                        return Err(ImageError::Stopped);
                    }
                }
                outcome => return Ok(outcome?),
            }
        }
    }
}

impl Held {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.reservation.bytes()
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        self.account.live.fetch_sub(self.bytes().saturating_sub(bytes), Ordering::Relaxed);
        self.reservation.shrink_to(bytes);
    }

    pub(crate) fn pool(&self) -> &MemoryPool {
        self.reservation.pool()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.live.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}
