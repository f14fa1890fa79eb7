//! What a guest can try within a call.

use std::time::{Duration, Instant};

use sightflow_sandbox::{CallConditions, CallLimits, GuestPayload};

use super::neighbour::{Leftovers, Neighbour};
use super::{Crafted, call, load, sandbox};
use crate::guests::{component, picture, version};

/// An answer at 8192 that this code prepared: the words of a document, beginning with the case of the result.
const STRING_OUT: &str = "(drop (memory.grow (i32.const 3210)))
    (i32.store (i32.const 8196) (i32.const 65536)) (i32.store (i32.const 8200) (i32.const 210000000)) (i32.const 8192)";

fn guests() -> Vec<(&'static str, Crafted, &'static str)> {
    let plain = Crafted::default();
    let memory = "E-BLOCK-MEMORY";
    vec![
        ("spin in run", Crafted { run: "(loop (br 0)) unreachable", ..plain }, "E-BLOCK-CPU"),
        ("spin in realloc", Crafted { realloc: "(loop (br 0)) unreachable", ..plain }, "E-BLOCK-CPU"),
        ("spin after the answer", Crafted { post: "(loop (br 0))", ..plain }, "E-BLOCK-CPU"),
        (
            "fill memory again and again",
            Crafted {
                memory: "2000",
                run: "(loop (memory.fill (i32.const 65536) (i32.const 1) (i32.const 130000000)) (br 0)) unreachable",
                ..plain
            },
            "E-BLOCK-CPU",
        ),
        (
            "fill a table again and again",
            Crafted {
                module: "(table $t 60000 funcref)",
                run: "(loop (table.fill $t (i32.const 0) (ref.null func) (i32.const 60000)) (br 0)) unreachable",
                ..plain
            },
            "E-BLOCK-CPU",
        ),
        (
            "grow one memory",
            Crafted {
                run: "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
                ..plain
            },
            memory,
        ),
        (
            "grow three memories",
            Crafted {
                module: "(memory $a 1) (memory $b 1)",
                run: "(loop (drop (memory.grow $a (i32.const 16)))
                    (br_if 0 (i32.ne (memory.grow $b (i32.const 16)) (i32.const -1)))) unreachable",
                ..plain
            },
            memory,
        ),
        (
            "grow a table",
            Crafted {
                module: "(table $t 1 funcref)",
                run: "(loop (drop (table.grow $t (ref.null func) (i32.const 10000))) (br 0)) unreachable",
                ..plain
            },
            "E-BLOCK-LIMIT",
        ),
        (
            "recurse",
            Crafted { module: "(func $f (call $f))", run: "(call $f) unreachable", ..plain },
            "E-BLOCK-TRAP",
        ),
        ("trap", Crafted { run: "unreachable", ..plain }, "E-BLOCK-TRAP"),
        ("trap in realloc", Crafted { realloc: "unreachable", ..plain }, "E-BLOCK-TRAP"),
        ("trap after the answer", Crafted { post: "unreachable", ..plain }, "E-BLOCK-TRAP"),
        ("allocate outside of the memory", Crafted { realloc: "i32.const -16", ..plain }, "E-BLOCK-TRAP"),
        ("allocate at an odd place", Crafted { realloc: "i32.const 60001", ..plain }, "E-BLOCK-TRAP"),
        ("answer outside of the memory", Crafted { run: "i32.const -4", ..plain }, "E-BLOCK-TRAP"),
        ("answer at an odd place", Crafted { run: "i32.const 1025", ..plain }, "E-BLOCK-TRAP"),
        (
            "answer with a case that does not exist",
            Crafted { run: "(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)", ..plain },
            "E-BLOCK-TRAP",
        ),
        (
            "answer with images that it does not have",
            Crafted {
                run: "(i32.store (i32.const 1036) (i32.const 8192)) (i32.store (i32.const 1040) (i32.const 3))
                    (i32.const 1024)",
                ..plain
            },
            "E-BLOCK-TRAP",
        ),
        (
            "answer with a list that is longer than the memory",
            Crafted { run: "(i32.store (i32.const 1040) (i32.const -1)) (i32.const 1024)", ..plain },
            "E-BLOCK-TRAP",
        ),
        (
            "answer with half a character",
            Crafted { run: "(i32.store8 (i32.const 1200) (i32.const 0xc3)) (i32.const 1024)", ..plain },
            "E-BLOCK-TRAP",
        ),
        ("answer with 210 MB", Crafted { run: STRING_OUT, ..plain }, "E-BLOCK-LIMIT"),
        (
            "answer with JSON that is nested a million times",
            Crafted {
                run: "(drop (memory.grow (i32.const 20))) (memory.fill (i32.const 65536) (i32.const 0x5b) (i32.const 1000000))
                    (i32.store (i32.const 8196) (i32.const 65536)) (i32.store (i32.const 8200) (i32.const 1000000)) (i32.const 8192)",
                ..plain
            },
            "E-BLOCK-FAILED",
        ),
        (
            "fail with a text of 60 MB",
            Crafted {
                run: "(drop (memory.grow (i32.const 1000))) (memory.fill (i32.const 65536) (i32.const 0x5b) (i32.const 60000000))
                    (i32.store8 (i32.const 8192) (i32.const 1)) (i32.store (i32.const 8196) (i32.const 2))
                    (i32.store (i32.const 8200) (i32.const 65536)) (i32.store (i32.const 8204) (i32.const 60000000)) (i32.const 8192)",
                ..plain
            },
            "E-BLOCK-FAILED",
        ),
    ]
}

#[test]
fn each_guest_ends_as_it_should_and_harms_nobody() {
    let (sandbox, pool) = sandbox();
    let neighbour = Neighbour::new(&sandbox);
    let alone = neighbour.alone(200);
    let packages: Vec<_> =
        guests().into_iter().map(|(name, guest, code)| (name, load(&sandbox, &guest), code)).collect();
    let limits = CallLimits { cpu: Duration::from_millis(250), wall: Duration::from_secs(10), ..CallLimits::default() };
    let with = CallConditions { limits, ..CallConditions::default() };
    let (before, mut wrong) = (Leftovers::now(&pool), Vec::new());
    for (name, package, code) in &packages {
        let started = Instant::now();
        let (answer, beside) = neighbour.beside(|| call(&sandbox, package, &with));
        println!("{name}: {:?}, neighbour {beside:?}, alone {alone:?}", started.elapsed());
        let error = answer.map(drop).map_err(|failure| failure.error);
        if !error.as_ref().is_err_and(|error| error.code() == *code && error.to_string().len() < 10_000) {
            wrong.push(format!("{name}: {error:?}, expected {code}"));
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
        beside.bearable(&alone, name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Leftovers::now(&pool).same_as(&before);
}

#[test]
fn a_storm_of_traps_leaves_nothing_behind() {
    let (sandbox, pool) = sandbox();
    let package = load(&sandbox, &Crafted { run: "unreachable", ..Crafted::default() });
    let with = CallConditions::default();
    let storm = |calls| {
        for _ in 0..calls {
            assert!(call(&sandbox, &package, &with).is_err());
        }
    };
    storm(100);
    let before = Leftovers::now(&pool);
    storm(3_000);
    Leftovers::now(&pool).same_as(&before);
}

/// Guests in Rust, with the host's interfaces at hand.
#[test]
fn guests_that_abuse_the_host_end_as_they_should() {
    let (sandbox, pool) = sandbox();
    let neighbour = Neighbour::new(&sandbox);
    let alone = neighbour.alone(200);
    let package = sandbox.load("test/hostile", &version(), component()).expect("it loads");
    let short = Duration::from_millis(600);
    let limits = CallLimits { cpu: short, host_cpu: short, wall: Duration::from_secs(10), ..CallLimits::default() };
    let with = CallConditions { limits, ..CallConditions::default() };
    let control = "\u{1b}[2J\r\n\0\u{202e}".repeat(10_000);
    let cases = [
        ("handles", "", "E-BLOCK-LIMIT"),
        ("spin_in_host", "", "E-BLOCK-CPU"),
        ("draw", "rectangles", ""),
        ("draw", "ellipses", ""),
        ("draw", "arcs", ""),
        ("draw", "polygon", ""),
        ("draw", "texts", ""),
        ("text_size", "20000000", "E-BLOCK-CPU"),
        ("error_text", "30000000", "E-BLOCK-FAILED"),
        ("error_json", "20000000", "E-BLOCK-FAILED"),
        ("log", "100000", ""),
        ("log_text", control.as_str(), ""),
        ("sleep", "", ""),
        ("network", "", ""),
        ("files", "", ""),
    ];
    let before = Leftovers::now(&pool);
    let mut wrong = Vec::new();
    for (block, config, code) in cases {
        let started = Instant::now();
        let payload = || GuestPayload { document: "{}".to_owned(), images: vec![picture()] };
        let (answer, beside) = neighbour.beside(|| sandbox.call_blocking(&package, block, config, payload(), &with));
        let (logs, profile, error) = match answer {
            Ok(outcome) => (outcome.logs, outcome.profile, None),
            Err(failure) => (failure.logs, failure.profile, Some(failure.error)),
        };
        let name = format!("{block} {}", config.get(..20).unwrap_or(config).escape_debug());
        println!("{name}: {:?}, {error:?}, {profile:?}, neighbour {beside:?}", started.elapsed());
        // A draw list may be done in time, or not.
        if !code.is_empty() && error.as_ref().map(|error| error.code()) != Some(code) {
            wrong.push(format!("{name}: {error:?}, expected {code}"));
        }
        // Taking a long list apart is work of the host between two ticks.
        let most = Duration::from_secs(2);
        if Duration::from_micros(profile.cpu_us) > most || Duration::from_micros(profile.host_cpu_us) > most {
            wrong.push(format!("{name} used more than it may: {profile:?}"));
        }
        let text: usize = logs.lines.iter().map(|line| line.message.len()).sum();
        if logs.lines.len() > 256
            || text > 64 << 10
            || logs.lines.iter().any(|l| l.message.chars().any(char::is_control))
        {
            wrong.push(format!("{name}: {} lines, {text} bytes", logs.lines.len()));
        }
        beside.bearable(&alone, &name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Leftovers::now(&pool).same_as(&before);
}

/// Calls that their owner drops stop, and give back what they had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_leave_nothing_behind() {
    let (sandbox, pool) = sandbox();
    let package = load(&sandbox, &Crafted { run: "(loop (br 0)) unreachable", ..Crafted::default() });
    let with = CallConditions::default();
    for _ in 0..40 {
        let payload = GuestPayload { document: "{}".to_owned(), images: Vec::new() };
        let call = sandbox.call(&package, "x", "{}", payload, &with);
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err(), "it spins");
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while pool.used() > 0 {
        assert!(Instant::now() < deadline, "{} bytes are still held", pool.used());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let good = Neighbour::new(&sandbox).alone(10);
    println!("afterwards: {good:?}");
}
