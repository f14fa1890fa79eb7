//! Decoded pixels, kept as long as a bound in bytes allows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};
use std::time::Duration;

use sightflow_memory::Reclaim;
use sightflow_types::Digest;

use crate::decode::DecodeOptions;
use crate::work::Work;
use crate::{ImageError, Pixels};

/// What a decoded picture is found by: the same blob may be wanted with or without its orientation and alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(crate) digest: Digest,
    pub(crate) options: DecodeOptions,
}

/// Decoded images, bounded in bytes; the least recently used leave first.
///
/// Images that ask for the same pixels at the same time decode once. Pixels that somebody still holds stay alive
/// after they left the cache; they count only while they are in it. An image larger than the bound is decoded and
/// handed out, and not kept. When somebody waits for bytes of the process's budget, it lets go of what it holds.
#[derive(Debug)]
pub struct PixelCache {
    max_bytes: usize,
    state: Mutex<State>,
    me: Weak<Self>,
    announced: Once,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<CacheKey, Entry>,
    /// Use stamp → key, oldest first.
    order: BTreeMap<u64, CacheKey>,
    clock: u64,
    stats: CacheStats,
}

#[derive(Debug)]
enum Entry {
    Ready { pixels: Arc<Pixels>, stamp: u64 },
    Decoding(Arc<Pending>),
}

/// One decode in progress, and those who wait for it.
#[derive(Debug, Default)]
struct Pending {
    outcome: Mutex<Option<Result<Arc<Pixels>, ImageError>>>,
    done: Condvar,
}

/// What a [`PixelCache`] holds and has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Bytes of pixels held now.
    pub bytes: usize,
    /// Images held now.
    pub images: usize,
    /// Requests answered without decoding.
    pub hits: u64,
    /// Decodes.
    pub misses: u64,
    /// Images that left to make room.
    pub evictions: u64,
}

/// How long one who waits for another's decode does not look at the clock.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_millis(10);

static GLOBAL: OnceLock<Arc<PixelCache>> = OnceLock::new();

impl PixelCache {
    /// Bound of [`PixelCache::global`] where nothing else was configured: 512 MiB.
    pub const DEFAULT_MAX_BYTES: usize = 512 << 20;

    /// An empty cache that holds at most `max_bytes` bytes of pixels.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { max_bytes, state: Mutex::default(), me: Weak::clone(me), announced: Once::new() })
    }

    /// The cache that images use unless they are given another.
    pub fn global() -> &'static Arc<Self> {
        GLOBAL.get_or_init(|| Self::new(Self::DEFAULT_MAX_BYTES))
    }

    /// Sets the bound of [`PixelCache::global`]; call it before the first image is made. Returns whether it was in time.
    pub fn configure_global(max_bytes: usize) -> bool {
        GLOBAL.set(Self::new(max_bytes)).is_ok()
    }

    /// Most bytes held.
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// What it holds and has done.
    pub fn stats(&self) -> CacheStats {
        self.lock().stats
    }

    /// Lets go of everything that it holds.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.entries.retain(|_, entry| matches!(entry, Entry::Decoding(_)));
        state.order.clear();
        (state.stats.bytes, state.stats.images) = (0, 0);
    }

    /// The pixels of `key`, from the cache or from `decode`, which runs at most once at a time for each key.
    pub(crate) fn get_or_decode(
        &self,
        work: &Work,
        key: CacheKey,
        decode: impl Fn() -> Result<Pixels, ImageError>,
    ) -> Result<Arc<Pixels>, ImageError> {
        loop {
            let pending = {
                let mut state = self.lock();
                if let Some(pixels) = state.touch(&key) {
                    return Ok(pixels);
                }
                if let Some(Entry::Decoding(pending)) = state.entries.get(&key) {
                    let pending = Arc::clone(pending);
                    state.stats.hits += 1;
                    drop(state);
                    match pending.wait(work)? {
                        // The other one's time was over, or its allowance: ours may not be.
                        Err(error) if error.is_of_the_caller() => continue,
                        outcome => return outcome,
                    }
                }
                let pending = Arc::new(Pending::default());
                state.entries.insert(key, Entry::Decoding(Arc::clone(&pending)));
                state.stats.misses += 1;
                pending
            };
            // Decoders cannot panic (see `open::guarded`), so that those who wait always get an answer.
            let outcome = decode().map(Arc::new);
            let kept = outcome.as_ref().ok().filter(|pixels| self.may_keep(pixels));
            let evicted = self.lock().settle(key, kept, self.max_bytes);
            drop(evicted);
            pending.publish(outcome.clone());
            return outcome;
        }
    }

    /// Not while others wait for bytes; they are told of this cache when it first keeps some of theirs.
    fn may_keep(&self, pixels: &Pixels) -> bool {
        let Some(pool) = pixels.pool() else { return true };
        self.announced.call_once(|| pool.add_reclaimer(Weak::clone(&self.me) as Weak<dyn Reclaim>));
        !pool.is_contended()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaim for PixelCache {
    fn reclaim(&self, bytes: u64) {
        // Dropped after the lock is given up: pixels give their bytes back to the pool.
        let evicted = self.lock().evict(bytes);
        drop(evicted);
    }
}

impl State {
    /// Lets go of `bytes` that nobody else holds, the least recently used first. Where there are fewer, everything goes:
    /// what others still hold is then free when they end.
    fn evict(&mut self, bytes: u64) -> Vec<Arc<Pixels>> {
        let mut evicted = Vec::new();
        let mut freed = 0;
        for all in [false, true] {
            let keys: Vec<CacheKey> = self.order.values().copied().collect();
            for key in keys {
                if freed >= bytes {
                    return evicted;
                }
                let Some(Entry::Ready { pixels, .. }) = self.entries.get(&key) else { continue };
                let alone = Arc::strong_count(pixels) == 1;
                if alone || all {
                    freed += if alone { pixels.data().len() as u64 } else { 0 };
                    evicted.extend(self.remove(&key));
                }
            }
        }
        evicted
    }

    fn remove(&mut self, key: &CacheKey) -> Option<Arc<Pixels>> {
        let Some(Entry::Ready { pixels, stamp }) = self.entries.remove(key) else { return None };
        self.order.remove(&stamp);
        self.stats.bytes -= pixels.data().len();
        self.stats.images -= 1;
        self.stats.evictions += 1;
        Some(pixels)
    }

    /// The pixels, now the most recently used.
    fn touch(&mut self, key: &CacheKey) -> Option<Arc<Pixels>> {
        let Some(Entry::Ready { pixels, stamp }) = self.entries.get_mut(key) else {
            return None;
        };
        self.order.remove(stamp);
        self.clock += 1;
        *stamp = self.clock;
        self.order.insert(self.clock, *key);
        self.stats.hits += 1;
        Some(Arc::clone(pixels))
    }

    /// Ends a decode: keeps its pixels if they fit, and makes room for them. What had to leave is for the caller to drop.
    fn settle(&mut self, key: CacheKey, pixels: Option<&Arc<Pixels>>, max_bytes: usize) -> Vec<Arc<Pixels>> {
        self.entries.remove(&key);
        let mut evicted = Vec::new();
        let Some(pixels) = pixels.filter(|pixels| pixels.data().len() <= max_bytes) else {
            return evicted;
        };
        while self.stats.bytes + pixels.data().len() > max_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            evicted.extend(self.remove(&oldest));
        }
        self.clock += 1;
        self.order.insert(self.clock, key);
        self.stats.bytes += pixels.data().len();
        self.stats.images += 1;
        self.entries.insert(key, Entry::Ready { pixels: Arc::clone(pixels), stamp: self.clock });
        evicted
    }
}

impl Pending {
    /// What the decode ended with.
    ///
    /// # Errors
    /// When the time of `work` is over first.
    fn wait(&self, work: &Work) -> Result<Result<Arc<Pixels>, ImageError>, ImageError> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*outcome {
                return Ok(outcome.clone());
            }
            work.check_time()?;
            let woken = self.done.wait_timeout(outcome, LOOK_AT_THE_CLOCK);
            outcome = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn publish(&self, outcome: Result<Arc<Pixels>, ImageError>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.done.notify_all();
    }
}
