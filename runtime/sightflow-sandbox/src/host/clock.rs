//! When a call has to stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::stop::Stop;
use crate::CallLimits;

/// Processor time that this thread has used since it began.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// No operation is under way.
const IDLE: u64 = u64::MAX;

/// The call's clocks. They belong to the thread that runs the guest; image operations look at them, too.
pub(crate) struct Clock {
    cancel: CancellationToken,
    started: Instant,
    wall: Duration,
    cpu: Duration,
    host_cpu: Duration,
    cpu_started: Duration,
    /// Processor time of finished host operations, ns.
    host_used: AtomicU64,
    /// The thread's processor time when the operation under way began, ns.
    operation: AtomicU64,
    /// Turns with other calls. Only the call's own thread comes here, now as the guest and now as the host.
    pace: Mutex<Pace>,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}

impl Clock {
    /// Clocks that start now, on the thread that will run the guest.
    pub(crate) fn start(limits: &CallLimits, cancel: CancellationToken, pace: Pace) -> Self {
        Self {
            cancel,
            started: Instant::now(),
            wall: limits.wall,
            cpu: limits.cpu,
            host_cpu: limits.host_cpu,
            cpu_started: thread_cpu(),
            host_used: AtomicU64::new(0),
            operation: AtomicU64::new(IDLE),
            pace: Mutex::new(pace),
        }
    }

    /// When the wall clock of the call ends.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.wall
    }

    /// Resolves when the call is taken back.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Processor time of host operations, the one under way included.
    pub(crate) fn host_used(&self) -> Duration {
        let finished = Duration::from_nanos(self.host_used.load(Ordering::Relaxed));
        match self.operation.load(Ordering::Relaxed) {
            IDLE => finished,
            began => finished + thread_cpu().saturating_sub(Duration::from_nanos(began)),
        }
    }

    /// Processor time of the guest's own code.
    pub(crate) fn guest_used(&self) -> Duration {
        thread_cpu().saturating_sub(self.cpu_started).saturating_sub(self.host_used())
    }

    /// Runs a host operation; its processor time is not the guest's.
    pub(crate) fn begin_operation(&self) {
        self.operation.store(nanos(thread_cpu()), Ordering::Relaxed);
    }

    /// Ends what [`Clock::begin_operation`] began.
    pub(crate) fn end_operation(&self) {
        let used = nanos(self.host_used());
        self.operation.store(IDLE, Ordering::Relaxed);
        self.host_used.store(used, Ordering::Relaxed);
    }

    /// Stops a call that was taken back, has no time left, or whose host operations used theirs up. One that only waits
    /// lets others compute.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.pace().look(self.used());
        self.within_limits()
    }

    /// Lets others compute: before waiting for something.
    pub(crate) fn give_way(&self) {
        self.pace().give_way();
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processor time of guest and host.
    fn used(&self) -> Duration {
        thread_cpu().saturating_sub(self.cpu_started)
    }

    fn within_limits(&self) -> Result<(), Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if self.started.elapsed() > self.wall {
            return Err(Stop::Wall);
        }
        if self.host_used() > self.host_cpu {
            return Err(Stop::HostCpu);
        }
        Ok(())
    }

    /// As [`Clock::check`], for guest code, which has processor time of its own and waits here for its turn.
    pub(crate) fn check_guest(&self) -> Result<(), Stop> {
        self.within_limits()?;
        if self.guest_used() > self.cpu {
            return Err(Stop::Cpu);
        }
        self.pace().tick(self.used(), || self.within_limits())
    }
}
