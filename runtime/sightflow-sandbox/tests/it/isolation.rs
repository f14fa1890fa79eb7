//! A guest finds no environment, no files, no network, no time and no chance: its answer is a function of its inputs.

use std::time::{Duration, Instant};

use sightflow_sandbox::{CallLimits, Level};

use crate::guests::Bench;

#[test]
fn what_a_guest_finds() {
    let bench = Bench::new();
    let cases = [
        ("environment", r#"{"variables":0,"arguments":0}"#),
        ("files", r#"{"found":0,"made":false}"#),
        ("network", r#"{"error":"PermissionDenied"}"#),
        ("clock", r#"{"wall":0,"elapsed":0}"#),
    ];
    for (block, expected) in cases {
        assert_eq!(bench.ok(block, "").document.text(), expected, "{block}");
    }
}

#[test]
fn randomness_is_the_same_in_every_call() {
    let bench = Bench::new();
    let first = bench.ok("random", "").document.text().to_owned();
    assert_eq!(bench.ok("random", "").document.text().to_owned(), first);
    assert_eq!(Bench::new().ok("random", "").document.text().to_owned(), first);
}

#[test]
fn sleeping_is_over_at_once() {
    let bench = Bench::new();
    let started = Instant::now();
    // An hour of sleep. The clock never moves, so a guest that waits for it to move uses up its processor time instead.
    let limits = CallLimits { cpu: Duration::from_millis(100), ..CallLimits::default() };
    let outcome = bench.call("sleep", "", limits);
    assert!(started.elapsed() < Duration::from_secs(30), "{outcome:?}");
}

#[test]
fn standard_streams_become_log_lines() {
    let logs = Bench::new().ok("print", "").logs;
    let lines: Vec<_> = logs.lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(
        lines,
        [(Level::Info, "to standard output"), (Level::Warn, "to standard error"), (Level::Info, "an unfinished line")]
    );
}

#[test]
fn nothing_survives_a_call() {
    let bench = Bench::new();
    let first = bench.ok("create", "3").profile;
    let second = bench.ok("create", "3").profile;
    assert_eq!((first.handles, first.peak_memory), (second.handles, second.peak_memory));
    assert_eq!(first.handles, 4, "the input and three pictures");
}
