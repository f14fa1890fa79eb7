//! What a sandbox is built with and what one call may use.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::quarantine::QuarantinePolicy;

/// Where linear memories and instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Reserved up front and reused: fastest. Needs much *address space*, not memory.
    Pooled,
    /// Mapped for each call, with explicit bounds checks: needs no reservation.
    OnDemand,
}

/// How a [`Sandbox`](crate::Sandbox) is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxConfig {
    /// Calls that may run at the same time, 1..=1024. A further call waits for a free slot; it does not fail.
    pub slots: u32,
    /// The same for calls of packages that reach out, which mostly wait for others, 1..=1024.
    pub waiting_slots: u32,
    /// Largest size of one linear memory in bytes; an upper bound of every [`CallLimits::memory_bytes`].
    pub max_memory_bytes: usize,
    /// What is tried first. [`Allocation::Pooled`] falls back to [`Allocation::OnDemand`] where the host refuses the
    /// reservation (`ulimit -v`, a small container).
    pub allocation: Allocation,
    /// Directory of compiled packages, created when absent; `None` compiles anew in every process.
    pub cache: Option<PathBuf>,
    /// Bytes that the compiled packages of that directory may take; beyond, those go that were used longest ago.
    pub cache_bytes: u64,
    /// Calls of one tenant that may run at the same time; `None` is three quarters of the slots, at least one.
    pub tenant_slots: Option<u32>,
    /// Where packages of tenants are compiled.
    pub compiler: Compiler,
    /// When packages of tenants that keep breaking down are left alone.
    pub quarantine: QuarantinePolicy,
}

impl SandboxConfig {
    /// Calls of one tenant that may run at the same time.
    pub(crate) fn share(&self) -> u32 {
        self.tenant_slots.unwrap_or_else(|| share(self.slots)).max(1)
    }
}

/// Of so many slots those that one tenant may have: three quarters.
pub(crate) fn share(slots: u32) -> u32 {
    (slots * 3).div_ceil(4)
}

impl Default for SandboxConfig {
    /// Four slots a core (8 to 64), 256 MiB, pooled, no cache, compiled here.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(16));
        Self {
            slots: cores.saturating_mul(4).clamp(8, 64),
            waiting_slots: 32,
            max_memory_bytes: 256 << 20,
            allocation: Allocation::Pooled,
            cache: None,
            cache_bytes: 4 << 30,
            tenant_slots: None,
            compiler: Compiler::Here,
            quarantine: QuarantinePolicy::default(),
        }
    }
}

/// Where components of tenants are compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process, on the calling thread: for tools whose user is the author.
    #[default]
    Here,
    /// In a process of its own for each, which has limits and ends.
    Child(ChildCompiler),
}

/// A program that calls [`compile_component`](crate::compile_component) and does nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCompiler {
    /// The program; mostly this very executable.
    pub program: PathBuf,
    /// Its arguments, for example the verb that leads to [`compile_component`](crate::compile_component).
    pub args: Vec<OsString>,
    /// What one compilation may use.
    pub limits: CompileLimits,
}

/// What one compilation may use. The largest known packages (Python's interpreter) take 25 s and 310 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Address space of the process, its own program included.
    pub memory_bytes: u64,
    /// Processor time; whole seconds.
    pub cpu: Duration,
    /// Wall clock, waiting for a turn excluded.
    pub wall: Duration,
    /// Bytes of machine code.
    pub code_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpu: Duration::from_secs(90),
            wall: Duration::from_secs(300),
            code_bytes: 256 << 20,
        }
    }
}

/// What one call may use. Every field is enforced; none can be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLimits {
    /// Processor time of the guest's own code. Time that host image operations take is not charged here.
    pub cpu: Duration,
    /// Processor time of host image operations, asked before each one and every few milliseconds inside of it.
    pub host_cpu: Duration,
    /// Wall clock from the start of the call, waiting for a slot excluded, waiting for turns and for memory included.
    pub wall: Duration,
    /// Sum of all linear memories of the call's instance, in bytes.
    pub memory_bytes: usize,
    /// Elements of any one table.
    pub table_elements: usize,
    /// Images and canvases alive at once.
    pub handles: usize,
    /// Bytes of the answer's document.
    pub output_bytes: usize,
    /// Pixel bytes moved by `read`, `write` and `from-pixels` in total.
    pub host_call_bytes: usize,
    /// Bytes that the guest passes in one call to the host, or as its answer.
    pub argument_bytes: usize,
    /// Bytes of pixels that live at the same time on the call's account: images and canvases that it made, what it
    /// decoded, and what operations need on the way. Views need none.
    pub image_bytes: u64,
    /// Steps that host image operations may take in total; a step is the work for about one pixel.
    pub host_steps: u64,
    /// Log messages kept; later ones are counted and dropped.
    pub log_lines: usize,
    /// Bytes of log text kept, standard output and error included; what is beyond is cut.
    pub log_bytes: usize,
    /// HTTP requests that the call may send, where it was granted any.
    pub http_requests: u32,
    /// Bytes of all their bodies.
    pub http_sent_bytes: u64,
    /// Bytes of all the answers' bodies.
    pub http_received_bytes: u64,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(2),
            host_cpu: Duration::from_secs(5),
            wall: Duration::from_secs(20),
            memory_bytes: 256 << 20,
            table_elements: 65_536,
            handles: 10_000,
            output_bytes: 16 << 20,
            host_call_bytes: 512 << 20,
            argument_bytes: 64 << 20,
            image_bytes: 1 << 30,
            host_steps: 10_000_000_000,
            log_lines: 256,
            log_bytes: 64 << 10,
            http_requests: 32,
            http_sent_bytes: 32 << 20,
            http_received_bytes: 32 << 20,
        }
    }
}
