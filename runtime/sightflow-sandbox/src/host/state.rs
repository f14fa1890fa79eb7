//! The data behind one call: meters, handles, log. Made for each call, so everything in it is cheap to make.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::error::LimitKind;
use crate::{Level, Limits, LogLine, Logs, Profile, engine};

/// Why the host stops a guest. Travels through wasmtime as the trap's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("out of processor time")]
    Cpu,
    #[error("out of time")]
    Wall,
    #[error("cancelled")]
    Cancelled,
    #[error("out of memory")]
    Memory,
    #[error("out of {0}")]
    Limit(LimitKind),
    #[error("the guest called exit with status {0}")]
    Exit(u8),
    #[error("`{0}` is not granted to blocks")]
    Denied(String),
}

/// Processor time that this thread has used since it began.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// State of one call.
pub(crate) struct CallState {
    pub(crate) table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) log: LogBuffer,
    pub(crate) random: u64,
    cancel: CancellationToken,
    started: Instant,
    cpu_started: Duration,
    host_cpu: Duration,
    memory: usize,
    peak_memory: usize,
    live_handles: usize,
    handles: u64,
    bytes_copied: u64,
    pixels_created: u64,
    pixels_processed: u64,
    exceeded: Option<LimitKind>,
}

impl CallState {
    /// A state whose clocks start now, on the thread that will run the guest.
    pub(crate) fn new(limits: Limits, cancel: CancellationToken) -> Self {
        Self {
            table: ResourceTable::new(),
            log: LogBuffer::new(limits.log_lines, limits.log_bytes),
            limits,
            random: 0,
            cancel,
            started: Instant::now(),
            cpu_started: thread_cpu(),
            host_cpu: Duration::ZERO,
            memory: 0,
            peak_memory: 0,
            live_handles: 0,
            handles: 0,
            bytes_copied: 0,
            pixels_created: 0,
            pixels_processed: 0,
            exceeded: None,
        }
    }

    /// Processor time of guest code so far.
    fn guest_cpu(&self) -> Duration {
        thread_cpu().saturating_sub(self.cpu_started).saturating_sub(self.host_cpu)
    }

    /// Called at every tick while guest code runs.
    pub(crate) fn on_tick(&self) -> wasmtime::Result<UpdateDeadline> {
        self.check_wall()?;
        if self.guest_cpu() > self.limits.cpu {
            return Err(wasmtime::Error::new(Stop::Cpu));
        }
        Ok(UpdateDeadline::Continue(1))
    }

    /// Stops a call that was taken back or has no time left. Host operations ask before they begin.
    pub(crate) fn check_wall(&self) -> wasmtime::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(wasmtime::Error::new(Stop::Cancelled));
        }
        if self.started.elapsed() > self.limits.wall {
            return Err(wasmtime::Error::new(Stop::Wall));
        }
        Ok(())
    }

    /// Runs host work without charging its processor time to the guest.
    pub(crate) fn uncharged<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = thread_cpu();
        let answer = work(self);
        self.host_cpu += thread_cpu().saturating_sub(before);
        answer
    }

    /// The allowance that was refused to the guest, if one was. A guest that fails afterwards failed because of it.
    pub(crate) fn exceeded(&self) -> Option<LimitKind> {
        self.exceeded
    }

    /// Size of an allowance.
    pub(crate) fn limit_of(&self, kind: LimitKind) -> u64 {
        let size = match kind {
            LimitKind::TableElements => self.limits.table_elements,
            LimitKind::Handles => self.limits.handles,
            LimitKind::OutputBytes => self.limits.output_bytes,
            LimitKind::HostCallBytes => self.limits.host_call_bytes,
            LimitKind::PixelsCreated => return self.limits.pixels_created,
            LimitKind::PixelsProcessed => return self.limits.pixels_processed,
        };
        size as u64
    }

    fn charge(&mut self, kind: LimitKind, used: u64, more: u64) -> Result<u64, LimitKind> {
        match used.checked_add(more).filter(|sum| *sum <= self.limit_of(kind)) {
            Some(sum) => Ok(sum),
            None => {
                self.exceeded.get_or_insert(kind);
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

    /// Pixel bytes about to be copied between host and guest.
    pub(crate) fn charge_copy(&mut self, bytes: u64) -> Result<(), LimitKind> {
        self.bytes_copied = self.charge(LimitKind::HostCallBytes, self.bytes_copied, bytes)?;
        Ok(())
    }

    /// Pixels about to be made.
    pub(crate) fn charge_created(&mut self, pixels: u64) -> Result<(), LimitKind> {
        self.pixels_created = self.charge(LimitKind::PixelsCreated, self.pixels_created, pixels)?;
        Ok(())
    }

    /// Pixels about to be read or painted by the host.
    pub(crate) fn charge_processed(&mut self, pixels: u64) -> Result<(), LimitKind> {
        self.pixels_processed = self.charge(LimitKind::PixelsProcessed, self.pixels_processed, pixels)?;
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
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let profile = Profile {
            cpu_us: micros(self.guest_cpu()),
            host_cpu_us: micros(self.host_cpu),
            wall_us: micros(self.started.elapsed()),
            queue_us: 0,
            peak_memory: self.peak_memory,
            bytes_copied: self.bytes_copied,
            handles: self.handles,
        };
        self.log.flush();
        (profile, self.log.logs)
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory.saturating_add(desired.saturating_sub(current));
        if sum > self.limits.memory_bytes {
            return Err(wasmtime::Error::new(Stop::Memory));
        }
        self.memory = sum;
        self.peak_memory = self.peak_memory.max(sum);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Stop::Memory))
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

/// Log lines with a bound on their number and their bytes.
pub(crate) struct LogBuffer {
    logs: Logs,
    lines_left: usize,
    bytes_left: usize,
    /// Unfinished lines of standard output and standard error.
    partial: [Vec<u8>; 2],
}

/// Which standard stream of the guest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Out = 0,
    Err = 1,
}

impl Stream {
    fn level(self) -> Level {
        match self {
            Self::Out => Level::Info,
            Self::Err => Level::Warn,
        }
    }
}

impl LogBuffer {
    fn new(lines: usize, bytes: usize) -> Self {
        Self { logs: Logs::default(), lines_left: lines, bytes_left: bytes, partial: [Vec::new(), Vec::new()] }
    }

    /// Keeps a message, or the part of it that is still allowed.
    pub(crate) fn push(&mut self, level: Level, mut message: String) {
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.logs.dropped += 1;
            return;
        }
        if message.len() > self.bytes_left {
            message.truncate(message.floor_char_boundary(self.bytes_left));
            self.bytes_left = 0;
        } else {
            self.bytes_left -= message.len();
        }
        self.lines_left -= 1;
        self.logs.lines.push(LogLine { level, message });
    }

    /// Bytes that the guest printed.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut self.partial[stream as usize];
            // What can no longer be kept is not gathered either.
            let room = self.bytes_left.saturating_sub(partial.len());
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    partial.extend_from_slice(&end[..end.len().min(room)]);
                    let line = String::from_utf8_lossy(&std::mem::take(partial)).into_owned();
                    self.push(stream.level(), line);
                }
                None => partial.extend_from_slice(&piece[..piece.len().min(room)]),
            }
        }
    }

    /// Ends unfinished lines.
    fn flush(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.push(stream.level(), String::from_utf8_lossy(&partial).into_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use wasmtime::ResourceLimiter;

    use super::{CallState, LogBuffer, Stop, Stream};
    use crate::error::LimitKind;
    use crate::{Level, Limits};

    fn stop<T>(answer: wasmtime::Result<T>) -> Option<Stop> {
        answer.err().map(|error| error.downcast::<Stop>().expect("a reason to stop"))
    }

    #[test]
    fn memory_is_summed_over_all_memories_and_tables_are_bounded() {
        let limits = Limits { memory_bytes: 100, table_elements: 10, ..Limits::default() };
        let mut state = CallState::new(limits, CancellationToken::new());
        let steps =
            [(0, 60, None), (0, 30, None), (60, 70, None), (30, 31, Some(Stop::Memory)), (0, 1, Some(Stop::Memory))];
        for (current, desired, expected) in steps {
            assert_eq!(stop(state.memory_growing(current, desired, None)), expected, "{current} to {desired}");
        }
        assert_eq!(stop(state.table_growing(0, 10, None)), None);
        assert_eq!(stop(state.table_growing(0, 11, None)), Some(Stop::Limit(LimitKind::TableElements)));
        assert_eq!(state.finish().0.peak_memory, 100);
    }

    #[test]
    fn prints_become_lines_within_the_allowance() {
        let lines = |pieces: &[&str], bytes: usize| {
            let mut log = LogBuffer::new(10, bytes);
            pieces.iter().for_each(|piece| log.print(Stream::Err, piece.as_bytes()));
            log.flush();
            log.logs
                .lines
                .into_iter()
                .inspect(|line| assert_eq!(line.level, Level::Warn))
                .map(|line| line.message)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&["a", "b\nc\n", "d"], 100), ["ab", "c", "d"]);
        assert_eq!(lines(&["abcdef", "ghi\n", "next\n"], 4), ["abcd"]);
        assert_eq!(lines(&["\n"], 4), [""]);
        assert_eq!(lines(&["äöü"], 3), ["ä"], "never half a character");
    }
}
