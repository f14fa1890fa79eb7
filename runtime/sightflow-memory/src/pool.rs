//! The pool: what is taken, who waits, who is next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::Reservation;

/// What bytes are taken for; statistics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Linear memories of running components.
    Guests,
    /// Decoded pictures and what image operations need on the way.
    Images,
    /// Request bodies being read, and encoded pictures held for them.
    Bodies,
    /// What models compute. Their weights are in no budget.
    Models,
    /// Values of runs: what nodes delivered, and copies for nodes that work.
    Values,
}

impl Use {
    /// Every use, in the order of [`MemoryPool::used_by`].
    pub const ALL: [Self; 5] = [Self::Guests, Self::Images, Self::Bodies, Self::Models, Self::Values];
}

/// The bytes are not there, now or until the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes do not fit into the memory budget of {capacity} bytes, of which {used} are in use")]
pub struct OutOfBudget {
    /// Bytes asked for, with those that the asker holds already.
    pub wanted: u64,
    /// Bytes that others held when the wait ended.
    pub used: u64,
    /// Bytes that there are in all. When `wanted` is larger, no wait would have helped.
    pub capacity: u64,
}

impl OutOfBudget {
    /// Whether no wait would help: not even an empty pool is large enough.
    #[must_use]
    pub const fn never_fits(&self) -> bool {
        self.wanted > self.capacity
    }
}

/// Keeps what it could make again, and lets go of it when a pool is short: a cache.
pub trait Reclaim: std::fmt::Debug + Send + Sync {
    /// Lets go of about `bytes`, or of everything. Called while somebody waits; no lock of the pool is held.
    fn reclaim(&self, bytes: u64);
}

/// A budget in bytes that many threads and tasks share. Cheap to clone; clones are the same pool.
#[derive(Debug, Clone)]
pub struct MemoryPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: u64,
    state: Mutex<State>,
    /// Wakes threads and tasks that wait; each looks for itself whether it is its turn.
    freed: Condvar,
    freed_async: Notify,
    reclaimers: Mutex<Vec<Weak<dyn Reclaim>>>,
}

#[derive(Debug, Default)]
struct State {
    used: [u64; Use::ALL.len()],
    /// Tickets of those who wait. Only the first may take bytes, so that small requests do not starve a large one.
    waiting: VecDeque<u64>,
    next_ticket: u64,
    /// Holders that wait for more; they stand in no queue.
    growing: usize,
}

impl State {
    fn total(&self) -> u64 {
        self.used.iter().sum()
    }
}

static PROCESS: OnceLock<MemoryPool> = OnceLock::new();

/// What [`MemoryPool::process`] holds when nobody said otherwise.
const DEFAULT_CAPACITY: u64 = 4 << 30;

impl MemoryPool {
    /// A pool of its own, of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let shared = Shared {
            capacity,
            state: Mutex::default(),
            freed: Condvar::new(),
            freed_async: Notify::new(),
            reclaimers: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The process's one pool; 4 GiB unless [`Self::configure_process`] was called before.
    pub fn process() -> &'static Self {
        PROCESS.get_or_init(|| Self::new(DEFAULT_CAPACITY))
    }

    /// Sets the size of the process's pool. Call it first: once the pool is in use its size stays, and the answer is `false`.
    pub fn configure_process(capacity: u64) -> bool {
        PROCESS.set(Self::new(capacity)).is_ok()
    }

    /// Bytes in all.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.capacity
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().total()
    }

    /// Bytes that are taken, by use, in the order of [`Use::ALL`].
    #[must_use]
    pub fn used_by(&self) -> [u64; Use::ALL.len()] {
        self.state().used
    }

    /// A reservation of nothing, to grow.
    pub fn nothing(&self, purpose: Use) -> Reservation {
        Reservation::new(self.clone(), purpose, 0)
    }

    /// Takes bytes if they are there and nobody waits for some.
    ///
    /// # Errors
    /// [`OutOfBudget`] at once otherwise.
    pub fn try_reserve(&self, purpose: Use, bytes: u64) -> Result<Reservation, OutOfBudget> {
        let take = || {
            let mut state = self.state();
            let taken = state.waiting.is_empty() && self.take(&mut state, purpose, bytes);
            if taken { Ok(Reservation::new(self.clone(), purpose, bytes)) } else { Err(self.refusal(&state, bytes)) }
        };
        take().or_else(|_| {
            self.reclaim(bytes);
            take()
        })
    }

    /// Takes bytes, waiting for them on this thread until `deadline`. Not for a thread that runs tasks.
    ///
    /// # Errors
    /// [`OutOfBudget`] at the deadline, or at once when the pool is smaller than `bytes`.
    pub fn reserve_blocking(&self, purpose: Use, bytes: u64, deadline: Instant) -> Result<Reservation, OutOfBudget> {
        let turn = Turn::queue(self, bytes)?;
        let mut state = self.state();
        let mut reclaimed = false;
        loop {
            if turn.is_first(&state) && self.take(&mut state, purpose, bytes) {
                drop(state);
                drop(turn);
                return Ok(Reservation::new(self.clone(), purpose, bytes));
            }
            if turn.is_first(&state) && !reclaimed {
                drop(state);
                self.reclaim(bytes);
                reclaimed = true;
                state = self.state();
                continue;
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(self.refusal(&state, bytes));
            }
            let woken = self.shared.freed.wait_timeout(state, deadline - now);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            reclaimed = false;
        }
    }

    /// As [`Self::reserve_blocking`], for one who holds bytes of this pool already: it goes before all who wait, since
    /// they wait for it to end. Two holders can still wait for each other; both deadlines end that.
    ///
    /// # Errors
    /// [`OutOfBudget`] at the deadline, or at once when the pool is smaller than `bytes`.
    pub fn reserve_as_holder(&self, purpose: Use, bytes: u64, deadline: Instant) -> Result<Reservation, OutOfBudget> {
        self.grow(purpose, bytes, Some(deadline))?;
        Ok(Reservation::new(self.clone(), purpose, bytes))
    }

    /// Somebody waits for bytes: no time to keep what is not needed.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        let state = self.state();
        !state.waiting.is_empty() || state.growing > 0
    }

    /// `cache` is asked to let go of bytes before anybody waits or is refused. Forgotten when it is dropped.
    pub fn add_reclaimer(&self, cache: Weak<dyn Reclaim>) {
        let mut reclaimers = self.shared.reclaimers.lock().unwrap_or_else(PoisonError::into_inner);
        reclaimers.retain(|known| known.strong_count() > 0);
        reclaimers.push(cache);
    }

    /// Asks the caches for bytes; the lock must not be held.
    fn reclaim(&self, bytes: u64) {
        let caches: Vec<_> = {
            let reclaimers = self.shared.reclaimers.lock().unwrap_or_else(PoisonError::into_inner);
            reclaimers.iter().filter_map(Weak::upgrade).collect()
        };
        caches.iter().for_each(|cache| cache.reclaim(bytes));
    }

    /// Takes bytes, waiting for them as long as `patience`. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`OutOfBudget`] after `patience`, or at once when the pool is smaller than `bytes`.
    pub async fn reserve(&self, purpose: Use, bytes: u64, patience: Duration) -> Result<Reservation, OutOfBudget> {
        let deadline = tokio::time::Instant::now() + patience;
        let turn = Turn::queue(self, bytes)?;
        let mut reclaimed = false;
        loop {
            let mut freed = std::pin::pin!(self.shared.freed_async.notified());
            freed.as_mut().enable();
            let first = {
                let mut state = self.state();
                if turn.is_first(&state) && self.take(&mut state, purpose, bytes) {
                    break;
                }
                turn.is_first(&state)
            };
            if first && !reclaimed {
                self.reclaim(bytes);
                reclaimed = true;
                continue;
            }
            reclaimed = false;
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(self.refusal(&self.state(), bytes));
            }
        }
        drop(turn);
        Ok(Reservation::new(self.clone(), purpose, bytes))
    }

    /// Takes more for one who holds some already: it goes before all who wait, since they wait for it to end.
    pub(crate) fn grow(&self, purpose: Use, bytes: u64, deadline: Option<Instant>) -> Result<(), OutOfBudget> {
        let mut state = self.state();
        if self.take(&mut state, purpose, bytes) {
            return Ok(());
        }
        if bytes > self.shared.capacity {
            return Err(self.refusal(&state, bytes));
        }
        state.growing += 1;
        let grown = self.wait_to_grow(state, purpose, bytes, deadline);
        self.state().growing -= 1;
        grown
    }

    fn wait_to_grow<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        purpose: Use,
        bytes: u64,
        deadline: Option<Instant>,
    ) -> Result<(), OutOfBudget> {
        loop {
            drop(state);
            self.reclaim(bytes);
            state = self.state();
            if self.take(&mut state, purpose, bytes) {
                return Ok(());
            }
            let left = deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(self.refusal(&state, bytes));
            }
            let woken = self.shared.freed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            if self.take(&mut state, purpose, bytes) {
                return Ok(());
            }
        }
    }

    pub(crate) fn give_back(&self, purpose: Use, bytes: u64) {
        if bytes > 0 {
            self.state().used[purpose as usize] -= bytes;
            self.wake();
        }
    }

    fn fits(&self, state: &State, bytes: u64) -> bool {
        bytes <= self.shared.capacity.saturating_sub(state.total())
    }

    fn take(&self, state: &mut State, purpose: Use, bytes: u64) -> bool {
        let fits = self.fits(state, bytes);
        if fits {
            state.used[purpose as usize] += bytes;
        }
        fits
    }

    fn refusal(&self, state: &State, wanted: u64) -> OutOfBudget {
        OutOfBudget { wanted, used: state.total(), capacity: self.shared.capacity }
    }

    fn wake(&self) {
        self.shared.freed.notify_all();
        self.shared.freed_async.notify_waiters();
    }

    /// Nothing panics while it holds the lock, and the counts are right after each statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given up when dropped.
struct Turn<'a> {
    pool: &'a MemoryPool,
    ticket: u64,
}

impl<'a> Turn<'a> {
    fn queue(pool: &'a MemoryPool, bytes: u64) -> Result<Self, OutOfBudget> {
        let mut state = pool.state();
        if bytes > pool.shared.capacity {
            return Err(pool.refusal(&state, bytes));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        Ok(Self { pool, ticket })
    }

    fn is_first(&self, state: &State) -> bool {
        state.waiting.front() == Some(&self.ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pool.state().waiting.retain(|ticket| *ticket != self.ticket);
        self.pool.wake();
    }
}
