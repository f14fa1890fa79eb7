//! What the host does in a guest's name is bounded like the guest itself.

use std::time::{Duration, Instant};

use sightflow_memory::{MemoryPool, Use};
use sightflow_sandbox::{CallLimits, GuestError};
use sightflow_types::error::code;

use crate::guests::Bench;

#[test]
fn any_draw_list_ends_in_time() {
    let bench = Bench::new();
    let wall = Duration::from_millis(100);
    let lists = ["rectangles", "ellipses", "arcs", "polygon", "polyline", "text", "texts", "letters", "numbers"];
    for list in lists {
        let limits = CallLimits { wall, ..CallLimits::default() };
        let started = Instant::now();
        let outcome = bench.call("draw", list, limits);
        // 200 ms in a release build; what is asserted here is that it ends at all.
        let took = started.elapsed();
        println!("{list}: {took:?}");
        assert!(took < Duration::from_secs(10), "{list}: {took:?}");
        match (list, outcome.map_err(|failure| failure.error)) {
            ("text" | "numbers", Err(GuestError::Failed(report))) => {
                assert!(report.message.contains("Invalid"), "{report}");
            }
            (_, Ok(_) | Err(GuestError::Wall(_))) => {}
            (_, Err(error)) => panic!("{list}: {error}"),
        }
    }
}

#[test]
fn host_processor_time_is_bounded_beside_the_guest_s() {
    let bench = Bench::new();
    let host_cpu = Duration::from_millis(30);
    let limits = CallLimits { host_cpu, wall: Duration::from_secs(60), ..CallLimits::default() };
    let failure = bench.call("draw", "polygon", limits).expect_err("a polygon takes longer");
    assert_eq!((&failure.error, failure.error.code()), (&GuestError::HostCpu(host_cpu), code::BLOCK_CPU));
    assert!((30_000..3_000_000).contains(&failure.profile.host_cpu_us), "{:?}", failure.profile);
    assert!(failure.profile.host_steps > 0);
}

#[test]
fn a_long_error_is_cut_and_never_becomes_a_tree() {
    let bench = Bench::new();
    let cases = [("error_text", "100", false), ("error_text", "5000000", true), ("error_json", "5000000", true)];
    for (block, length, cut) in cases {
        let error = bench.error(block, length, CallLimits::default());
        let text = error.to_string();
        assert_eq!(text.ends_with("more bytes)"), cut, "{block} {length}: {} bytes", text.len());
        assert!(text.len() < 9000, "{block} {length}: {} bytes", text.len());
        assert_eq!(error.code(), code::BLOCK_FAILED);
    }
    let limits = CallLimits { argument_bytes: 1 << 20, ..CallLimits::default() };
    assert_eq!(bench.error("error_text", "5000000", limits).code(), code::BLOCK_LIMIT);
}

#[test]
fn a_log_cannot_move_a_cursor_and_keeps_nothing_large() {
    let logs = Bench::new().ok("log_text", "red \u{1b}[31m\n\u{202e}nul\0").logs;
    assert_eq!(logs.lines[0].message, "red \\u{1b}[31m\\n\\u{202e}nul\\u{0}");
    let kept: usize = logs.lines.iter().map(|line| line.message.capacity()).sum();
    assert!(kept <= 2 * CallLimits::default().log_bytes, "{kept} bytes");
}

#[test]
fn memory_that_is_refused_is_no_death() {
    let bench = Bench::new();
    assert_eq!(bench.ok("grow_refused", "").document.text(), r#"{"refused":true,"granted":true}"#);
}

#[test]
fn a_refusal_explains_only_what_follows_it() {
    let bench = Bench::new();
    let error = |block| bench.error(block, "", CallLimits { image_bytes: 10_000, ..CallLimits::default() });
    assert_eq!(error("refused_then_fails").code(), code::BLOCK_LIMIT);
    let own = error("refused_then_granted");
    assert_eq!((own.code(), own.to_string().as_str()), (code::BLOCK_FAILED, "no luck: true"));
}

#[test]
fn calls_share_one_budget_in_bytes() {
    let pool = MemoryPool::new(24 << 20);
    let bench = Bench::with_memory(&pool);
    let short = CallLimits { wall: Duration::from_millis(300), ..CallLimits::default() };
    // A guest's own memory, and images that the host makes for it.
    let others = pool.try_reserve(Use::Models, 20 << 20).expect("room");
    for (block, argument) in [("grow", ""), ("hold", "1000")] {
        let error = bench.error(block, argument, short.clone());
        assert!(matches!(error, GuestError::NoMemory(_)), "{block}: {error}");
        assert_eq!(error.code(), code::BLOCK_LIMIT);
        assert_eq!(pool.used(), 20 << 20, "{block} gave everything back");
    }
    drop(others);
    let outcome = bench.ok("hold", "100");
    assert!(outcome.profile.peak_image_bytes >= 3_000_000);
    drop(outcome);
    assert_eq!(pool.used(), 0);
    let full = pool.try_reserve(Use::Models, 24 << 20).expect("room");
    assert!(matches!(bench.error("echo", "", short), GuestError::NoMemory(_)), "not even a beginning");
    drop(full);
}

#[tokio::test]
async fn a_call_that_waits_for_memory_can_be_taken_back() {
    let pool = MemoryPool::new(24 << 20);
    let bench = Bench::with_memory(&pool);
    let full = pool.try_reserve(Use::Models, 24 << 20).expect("room");
    let context = sightflow_sandbox::CallConditions::default();
    let payload = sightflow_sandbox::GuestPayload { document: "{}".to_owned(), images: Vec::new() };
    let call = bench.sandbox.call(&bench.package, "echo", "", payload, &context);
    let cancel = async {
        while !pool.is_contended() {
            tokio::task::yield_now().await;
        }
        context.cancel.cancel();
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert_eq!(answer.expect_err("taken back").error, GuestError::Cancelled);
    drop(full);
}
