//! The data behind one call: meters, handles, log. Made for each call, so everything in it is cheap to make.

use std::any::Any;
use std::sync::Arc;

use sightflow_images::Work;
use sightflow_memory::{MemoryPool, Reservation};
use tokio_util::sync::CancellationToken;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, UpdateDeadline};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::clock::Clock;
use super::effects::Effects;
use super::egress::Egress;
use super::log_buffer::LogBuffer;
use super::pace::Pace;
use super::stop::Stop;
use crate::error::LimitKind;
use crate::{CallLimits, Grants, GuestError, Level, Logs, Profile, engine};

/// What the host refused to a guest that went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Limit(LimitKind),
    /// Memory beyond so many bytes.
    Memory(usize),
}

/// State of one call.
pub(crate) struct CallState {
    pub(crate) table: ResourceTable,
    pub(crate) limits: CallLimits,
    pub(crate) log: LogBuffer,
    pub(crate) clock: Arc<Clock>,
    /// What image operations may use.
    pub(crate) work: Work,
    /// Pixels that the guest is reading: they are on the account until it calls again.
    pub(crate) lent: Option<Box<dyn Any + Send>>,
    random: u64,
    /// Linear memories, in the process's budget; at least as many bytes as the call came with.
    memory: Reservation,
    memory_used: usize,
    peak_memory: usize,
    live_handles: usize,
    handles: u64,
    bytes_copied: u64,
    refusal: Option<Refusal>,
    grants: Option<Grants>,
    /// Made when a package that reaches out does so first.
    effects: Option<Box<Effects>>,
}

impl CallState {
    /// A state whose clocks start now, on the thread that will run the guest. `memory` is what the guest begins with;
    /// what else the call needs is taken from the same pool, before those who hold nothing of it.
    pub(crate) fn new(
        limits: CallLimits,
        cancel: CancellationToken,
        memory: Reservation,
        pace: Pace,
        grants: Option<Grants>,
    ) -> Self {
        let clock = Arc::new(Clock::start(&limits, cancel, pace));
        let watched = Arc::clone(&clock);
        let work = Work::new(MemoryPool::clone(memory.pool()))
            .until(clock.deadline())
            .most_steps(limits.host_steps)
            .most_bytes(limits.image_bytes)
            .watched(move || watched.check().is_ok())
            .as_holder();
        Self {
            table: ResourceTable::new(),
            log: LogBuffer::new(&limits),
            limits,
            clock,
            work,
            lent: None,
            random: 0,
            memory,
            memory_used: 0,
            peak_memory: 0,
            live_handles: 0,
            handles: 0,
            bytes_copied: 0,
            refusal: None,
            grants,
            effects: None,
        }
    }

    /// What the call has beside its meters, and the table of its handles.
    fn effects(&mut self) -> (&mut Effects, &mut ResourceTable) {
        let effects = self.effects.get_or_insert_with(|| {
            let egress = Egress::new(self.grants.take(), &self.limits, self.clock.deadline());
            Box::new(Effects::new(egress, &self.limits))
        });
        (effects, &mut self.table)
    }

    /// A message of the guest, after what it printed before.
    pub(super) fn say(&mut self, level: Level, message: &str) {
        if let Some(effects) = &self.effects {
            effects.print(&mut self.log);
        }
        self.log.push(level, message);
    }

    /// Called at every tick while guest code runs.
    pub(crate) fn on_tick(&self) -> wasmtime::Result<UpdateDeadline> {
        self.clock.check_guest().map_err(wasmtime::Error::new)?;
        Ok(UpdateDeadline::Continue(1))
    }

    /// Why a guest failed that was refused something, if that was the last thing that it heard from the host.
    pub(crate) fn refused(&self) -> Option<GuestError> {
        Some(match self.refusal? {
            Refusal::Limit(kind) => GuestError::Limit { kind, limit: self.limit_of(kind) },
            Refusal::Memory(most) => GuestError::Memory(most),
        })
    }

    /// The guest was given something: it got over what it was refused before.
    pub(crate) fn granted(&mut self) {
        self.refusal = None;
    }

    /// The guest is told that an allowance is used up.
    pub(crate) fn refuse(&mut self, kind: LimitKind) {
        self.refusal = Some(Refusal::Limit(kind));
    }

    /// Size of an allowance.
    pub(crate) fn limit_of(&self, kind: LimitKind) -> u64 {
        let size = match kind {
            LimitKind::TableElements => self.limits.table_elements,
            LimitKind::Handles => self.limits.handles,
            LimitKind::OutputBytes => self.limits.output_bytes,
            LimitKind::HostCallBytes => self.limits.host_call_bytes,
            LimitKind::ArgumentBytes => self.limits.argument_bytes,
            LimitKind::ImageBytes => return self.limits.image_bytes,
            LimitKind::HostSteps => return self.limits.host_steps,
        };
        size as u64
    }

    fn charge(&mut self, kind: LimitKind, used: u64, more: u64) -> Result<u64, LimitKind> {
        match used.checked_add(more).filter(|sum| *sum <= self.limit_of(kind)) {
            Some(sum) => Ok(sum),
            None => {
                self.refuse(kind);
                Err(kind)
            }
        }
    }

    /// One more live handle.
    pub(crate) fn charge_handle(&mut self) -> Result<(), LimitKind> {
        self.live_handles =
            usize::try_from(self.charge(LimitKind::Handles, self.live_handles as u64, 1)?).unwrap_or(usize::MAX);
        self.handles += 1;
        Ok(())
    }

    /// One live handle less.
    pub(crate) fn release_handle(&mut self) {
        self.live_handles = self.live_handles.saturating_sub(1);
    }

    /// A handle that was charged and then not made.
    pub(crate) fn unmade_handle(&mut self) {
        self.release_handle();
        self.handles -= 1;
    }

    /// Pixel bytes about to be copied between host and guest.
    pub(crate) fn charge_copy(&mut self, bytes: u64) -> Result<(), LimitKind> {
        self.bytes_copied = self.charge(LimitKind::HostCallBytes, self.bytes_copied, bytes)?;
        Ok(())
    }

    /// The next number of the guest's random source: SplitMix64 seeded with zero, so that a call is a function of its inputs.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Ends the call: what it used and what it logged.
    pub(crate) fn finish(mut self) -> (Profile, Logs) {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut profile = Profile {
            cpu_us: micros(self.clock.guest_used()),
            host_cpu_us: micros(self.clock.host_used()),
            wall_us: micros(self.clock.elapsed()),
            queue_us: 0,
            host_steps: self.work.spent(),
            peak_memory: self.peak_memory,
            peak_image_bytes: self.work.peak_bytes(),
            bytes_copied: self.bytes_copied,
            handles: self.handles,
            ..Profile::default()
        };
        if let Some(effects) = &self.effects {
            effects.settle(&mut self.log, &mut profile);
        }
        (profile, self.log.finish())
    }

    /// Takes memory beyond what the call holds, waiting for it until the call's time is over.
    fn reserve_memory(&mut self, sum: usize) -> Result<(), Stop> {
        let more = (sum as u64).saturating_sub(self.memory.bytes());
        if more == 0 {
            return Ok(());
        }
        self.clock.give_way();
        // In slices, so that a call can be taken back while it waits.
        while let Err(full) = self.memory.grow_blocking(more, std::time::Instant::now() + Work::SLICE) {
            if full.wanted > full.capacity || std::time::Instant::now() >= self.clock.deadline() {
                return Err(Stop::NoMemory(full));
            }
            self.clock.check()?;
        }
        Ok(())
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (effects, table) = self.effects();
        effects.wasi(table)
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (effects, table) = self.effects();
        effects.http(table)
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory_used.saturating_add(desired.saturating_sub(current));
        // What the guest does not allow itself is no fault; it is told so, as WebAssembly says.
        let own = maximum.filter(|maximum| desired > *maximum);
        if let Some(most) = own.or((sum > self.limits.memory_bytes).then_some(self.limits.memory_bytes)) {
            self.refusal = Some(Refusal::Memory(most));
            return Ok(false);
        }
        self.reserve_memory(sum).map_err(wasmtime::Error::new)?;
        self.memory_used = sum;
        self.peak_memory = self.peak_memory.max(sum);
        self.granted();
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refusal = Some(Refusal::Memory(self.limits.memory_bytes));
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limits.table_elements {
            return Err(wasmtime::Error::new(Stop::Limit(LimitKind::TableElements)));
        }
        Ok(true)
    }

    // The pool holds a component to these when it is loaded; without a pool they are counted here.
    fn instances(&self) -> usize {
        engine::CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        engine::TABLES as usize
    }

    fn memories(&self) -> usize {
        engine::MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use sightflow_memory::{MemoryPool, Use};
    use tokio_util::sync::CancellationToken;
    use wasmtime::ResourceLimiter;

    use sightflow_types::TenantId;

    use super::{CallState, Pace, Stop};
    use crate::error::LimitKind;
    use crate::{CallLimits, GuestError};
    use sightflow_fair::FairSlots;

    fn state(limits: CallLimits, pool: &MemoryPool) -> CallState {
        let ticket = pool.try_reserve(Use::Guests, 10).expect("room");
        let pace = Pace::new(FairSlots::new(1, 1, 1), TenantId::BUILT_IN);
        CallState::new(limits, CancellationToken::new(), ticket, pace, None)
    }

    fn stop<T>(answer: wasmtime::Result<T>) -> Option<Stop> {
        answer.err().map(|error| error.downcast::<Stop>().expect("a reason to stop"))
    }

    #[test]
    fn memory_is_summed_over_all_memories_and_tables_are_bounded() {
        let pool = MemoryPool::new(1000);
        let limits = CallLimits { memory_bytes: 100, table_elements: 10, ..CallLimits::default() };
        let mut state = state(limits, &pool);
        // Current and desired size of one memory, its own maximum, and what a following trap is called.
        let steps = [
            (0, 60, None, None),
            (0, 30, None, None),
            (60, 70, None, None),
            (30, 31, None, Some(GuestError::Memory(100))),
            (30, 50, Some(40), Some(GuestError::Memory(40))),
            (0, 0, None, None),
        ];
        for (current, desired, maximum, refused) in steps {
            let granted = state.memory_growing(current, desired, maximum).expect("no trap");
            assert_eq!((granted, state.refused()), (refused.is_none(), refused), "{current} to {desired}");
        }
        assert_eq!(pool.used(), 100);
        assert_eq!(stop(state.table_growing(0, 10, None)), None);
        assert_eq!(stop(state.table_growing(0, 11, None)), Some(Stop::Limit(LimitKind::TableElements)));
        assert_eq!(state.finish().0.peak_memory, 100);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_guest_that_finds_no_memory_is_stopped() {
        let pool = MemoryPool::new(1000);
        let wall = std::time::Duration::from_millis(1);
        let mut state = state(CallLimits { wall, ..CallLimits::default() }, &pool);
        let others = pool.try_reserve(Use::Models, 900).expect("room");
        assert!(matches!(stop(state.memory_growing(0, 200, None)), Some(Stop::NoMemory(_))));
        assert!(matches!(stop(state.memory_growing(0, 2000, None)), Some(Stop::NoMemory(_))));
        drop(others);
    }
}
