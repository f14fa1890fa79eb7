//! A well-behaved tenant beside a hostile one, and what may not be left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sightflow_memory::MemoryPool;
use sightflow_sandbox::{CallConditions, GuestPayload, Package, Sandbox};
use sightflow_types::TenantId;

use crate::guests::{component, version};

/// Another tenant that calls a good block all the time.
pub(super) struct Neighbour {
    sandbox: Sandbox,
    package: Package,
    with: CallConditions,
}

/// How long its calls took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    p99: Duration,
    max: Duration,
}

impl Neighbour {
    pub(super) fn new(sandbox: &Sandbox) -> Self {
        let package = sandbox.load("test/good", &version(), component()).expect("it loads");
        let with = CallConditions { tenant: TenantId::new(), ..CallConditions::default() };
        Self { sandbox: sandbox.clone(), package, with }
    }

    fn call(&self) -> Duration {
        std::thread::sleep(Duration::from_millis(2));
        let started = Instant::now();
        let payload = GuestPayload { document: "{}".to_owned(), images: Vec::new() };
        self.sandbox.call_blocking(&self.package, "echo", "", payload, &self.with).expect("a good block");
        started.elapsed()
    }

    /// Without anybody else.
    pub(super) fn alone(&self, calls: usize) -> Latency {
        Latency::of((0..calls).map(|_| self.call()).collect())
    }

    /// While somebody else does something.
    pub(super) fn beside<T>(&self, work: impl FnOnce() -> T) -> (T, Latency) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let calls = scope.spawn(|| {
                let mut took = vec![self.call()];
                while !over.load(Ordering::Relaxed) {
                    took.push(self.call());
                }
                Latency::of(took)
            });
            let value = work();
            over.store(true, Ordering::Relaxed);
            (value, calls.join().expect("the neighbour's calls"))
        })
    }
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort();
        let last = took.len() - 1;
        Self { p99: took[last * 99 / 100], max: took[last] }
    }

    /// Twice what it takes alone, and some room for a machine on which others build.
    pub(super) fn bearable(&self, alone: &Self, beside: &str) {
        let most = alone.p99 * 2 + Duration::from_millis(50);
        assert!(self.p99 <= most, "beside {beside}: p99 {:?}, max {:?}, at most {most:?}", self.p99, self.max);
    }
}

/// What a process holds.
#[derive(Debug)]
pub(super) struct Leftovers {
    budget: u64,
    threads: u64,
    descriptors: usize,
    resident_mib: u64,
}

impl Leftovers {
    pub(super) fn now(pool: &MemoryPool) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
            line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number")
        };
        Self {
            budget: pool.used(),
            threads: number("Threads:"),
            descriptors: std::fs::read_dir("/proc/self/fd").expect("Linux").count(),
            resident_mib: number("VmRSS:") >> 10,
        }
    }

    /// Exactly the same, but for memory that the allocator keeps for the next.
    pub(super) fn same_as(&self, before: &Self) {
        println!("left behind: {self:?}, before {before:?}");
        assert_eq!(
            (self.budget, self.threads, self.descriptors),
            (before.budget, before.threads, before.descriptors),
            "{self:?}, before {before:?}"
        );
        assert!(self.resident_mib < before.resident_mib + 100, "{self:?}, before {before:?}");
    }
}
