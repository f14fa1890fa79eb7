//! Every limit stops a guest that goes beyond it, with its own code, and harms no neighbour.

use std::time::{Duration, Instant};

use sightflow_sandbox::{Allocation, CallConditions, CallLimits, GuestError, GuestPayload, LimitKind, SandboxConfig};
use sightflow_types::error::code;

use crate::guests::{Bench, config, picture};

fn limits(change: impl FnOnce(&mut CallLimits)) -> CallLimits {
    let mut limits = CallLimits::default();
    change(&mut limits);
    limits
}

#[test]
fn each_limit_stops_the_guest_that_goes_beyond_it() {
    let bench = Bench::new();
    let beyond = |kind, limit| GuestError::Limit { kind, limit };
    let short = Duration::from_millis(50);
    let cases = [
        ("spin", "", limits(|l| l.cpu = short), GuestError::Cpu(short), code::BLOCK_CPU),
        ("spin_in_host", "", limits(|l| l.cpu = short), GuestError::Cpu(short), code::BLOCK_CPU),
        ("spin", "", limits(|l| l.wall = short), GuestError::Wall(short), code::TIMEOUT),
        ("grow", "", limits(|l| l.memory_bytes = 32 << 20), GuestError::Memory(32 << 20), code::BLOCK_MEMORY),
        ("handles", "", limits(|l| l.handles = 100), beyond(LimitKind::Handles, 100), code::BLOCK_LIMIT),
        ("output", "2000", limits(|l| l.output_bytes = 1000), beyond(LimitKind::OutputBytes, 1000), code::BLOCK_LIMIT),
        // One row of the picture is 12 bytes.
        (
            "copy",
            "101",
            limits(|l| l.host_call_bytes = 1200),
            beyond(LimitKind::HostCallBytes, 1200),
            code::BLOCK_LIMIT,
        ),
        (
            "arguments",
            "16",
            limits(|l| l.argument_bytes = 8 << 20),
            beyond(LimitKind::ArgumentBytes, 8 << 20),
            code::BLOCK_LIMIT,
        ),
        // Each picture has 30,000 bytes.
        ("hold", "11", limits(|l| l.image_bytes = 300_000), beyond(LimitKind::ImageBytes, 300_000), code::BLOCK_LIMIT),
        (
            "process",
            "1000",
            limits(|l| l.host_steps = 50_000_000),
            beyond(LimitKind::HostSteps, 50_000_000),
            code::BLOCK_LIMIT,
        ),
        (
            "text_size",
            "1000000",
            limits(|l| l.host_steps = 50_000_000),
            beyond(LimitKind::HostSteps, 50_000_000),
            code::BLOCK_LIMIT,
        ),
        ("text_size", "1000000", limits(|l| l.host_cpu = short), GuestError::HostCpu(short), code::BLOCK_CPU),
        ("text_size", "1000000", limits(|l| l.wall = short), GuestError::Wall(short), code::TIMEOUT),
    ];
    for (block, argument, limits, expected, code) in cases {
        let error = bench.error(block, argument, limits);
        assert_eq!((&error, error.code()), (&expected, code), "{block}");
    }
}

#[test]
fn what_stays_within_the_limits_succeeds() {
    let bench = Bench::new();
    let cases = [
        ("handles_dropped", "1000", limits(|l| l.handles = 100)),
        ("output", "900", limits(|l| l.output_bytes = 1000)),
        ("copy", "100", limits(|l| l.host_call_bytes = 1200)),
        ("hold", "10", limits(|l| l.image_bytes = 300_000)),
        // What was dropped is no longer counted.
        ("create", "1000", limits(|l| l.image_bytes = 300_000)),
        ("arguments", "7", limits(|l| l.argument_bytes = 8 << 20)),
        ("process", "20", limits(|l| l.host_steps = 50_000_000)),
        ("wrong_size", "", limits(|l| l.host_call_bytes = 12)),
    ];
    for (block, argument, limits) in cases {
        if let Err(failure) = bench.call(block, argument, limits) {
            panic!("{block} {argument}: {failure}");
        }
    }
}

#[test]
fn a_guest_that_breaks_down_is_a_trap_with_its_last_words() {
    let bench = Bench::new();
    let cases = [
        ("unreachable", "unreachable"),
        ("panic", "a guest's own words"),
        ("recurse", ""),
        ("exit", "exit with status"),
    ];
    for (block, words) in cases {
        let error = bench.error(block, "", CallLimits::default());
        assert_eq!(error.code(), code::BLOCK_TRAP, "{block}: {error}");
        assert!(error.to_string().contains(words), "{block}: {error}");
    }
    assert_eq!(bench.ok("echo", "").images.len(), 1, "the sandbox goes on");
}

#[test]
fn logs_are_capped_and_what_is_dropped_is_counted() {
    let bench = Bench::new();
    let kept =
        |limits| bench.call("log", "1000", limits).map(|outcome| outcome.logs).expect("logging never fails a call");
    let logs = kept(limits(|l| l.log_lines = 10));
    assert_eq!((logs.lines.len(), logs.dropped), (10, 990));
    assert_eq!(logs.lines[9].message, "line 9");
    let logs = kept(limits(|l| l.log_bytes = 20));
    assert_eq!(
        logs.lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(),
        ["line 0", "line 1", "line 2", "li"]
    );
    assert_eq!(logs.dropped, 996);
}

#[test]
fn a_busy_machine_does_not_use_up_a_guest_s_processor_time() {
    // Four guests spin on as many threads as there are slots: each may use 100 ms of its own, however long it takes.
    let bench = Bench::new();
    let own = limits(|l| {
        l.cpu = Duration::from_millis(100);
        l.wall = Duration::from_secs(60);
    });
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| bench.call("spin", "", own.clone()).expect_err("spins"))).collect();
        for thread in threads {
            let failure = thread.join().expect("no panic");
            assert_eq!(failure.error, GuestError::Cpu(Duration::from_millis(100)));
            assert!((100_000..400_000).contains(&failure.profile.cpu_us), "{:?}", failure.profile);
        }
    });
}

#[tokio::test]
async fn a_call_can_be_taken_back_while_it_runs_and_while_it_waits() {
    let bench = Bench::with(&SandboxConfig { slots: 1, ..config() });
    let payload = || GuestPayload { document: "{}".to_owned(), images: vec![picture()] };
    let forever = CallConditions {
        limits: limits(|l| {
            l.cpu = Duration::from_secs(600);
            l.wall = l.cpu;
        }),
        ..CallConditions::default()
    };
    let waiting = CallConditions::default();

    let running = bench.sandbox.call(&bench.package, "spin", "", payload(), &forever);
    let queued = bench.sandbox.call(&bench.package, "echo", "", payload(), &waiting);
    let cancel = async {
        // The only slot is taken by the first call: the second cannot begin, whatever the order of the wake-ups.
        waiting.cancel.cancel();
        forever.cancel.cancel();
    };
    let started = Instant::now();
    let (running, queued, ()) = tokio::join!(running, queued, cancel);
    assert_eq!(running.expect_err("taken back").error, GuestError::Cancelled);
    assert_eq!(queued.expect_err("taken back").error.code(), code::CANCELLED);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_dropped_future_frees_its_slot() {
    let bench = Bench::with(&SandboxConfig { slots: 1, ..config() });
    let payload = || GuestPayload { document: "{}".to_owned(), images: vec![picture()] };
    let forever = CallConditions {
        limits: limits(|l| {
            l.cpu = Duration::from_secs(600);
            l.wall = l.cpu;
        }),
        ..CallConditions::default()
    };
    let call = bench.sandbox.call(&bench.package, "spin", "", payload(), &forever);
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
    let outcome = bench.sandbox.call(&bench.package, "echo", "", payload(), &CallConditions::default()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_slots_wait_instead_of_failing() {
    let bench = Bench::with(&SandboxConfig { slots: 2, ..config() });
    assert_eq!(bench.sandbox.allocation(), Allocation::Pooled);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (sandbox, package) = (bench.sandbox.clone(), bench.package.clone());
        calls.spawn(async move {
            let payload = GuestPayload { document: "{}".to_owned(), images: vec![] };
            sandbox
                .call(&package, "echo", "", payload, &CallConditions::default())
                .await
                .map(|outcome| outcome.document.text().to_owned())
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|document| document == "{}")), "{answers:?}");
}

#[test]
fn a_pool_that_the_host_refuses_is_replaced_by_memory_for_each_call() {
    // 1024 slots of four memories with 4 GiB each are 16 TiB; a thousand such sandboxes do not fit into 128 TiB, so one
    // of the first dozen is refused its pool.
    let held: Vec<_> = (0..12).map(|_| Bench::with(&SandboxConfig { slots: 1024, ..config() })).collect();
    let last = held.last().expect("twelve");
    assert_eq!(last.sandbox.allocation(), Allocation::OnDemand);
    assert_eq!(last.ok("echo", "").images.len(), 1);
    assert_eq!(last.error("grow", "", limits(|l| l.memory_bytes = 32 << 20)), GuestError::Memory(32 << 20));
    assert_eq!(last.error("recurse", "", CallLimits::default()).code(), code::BLOCK_TRAP);
}
