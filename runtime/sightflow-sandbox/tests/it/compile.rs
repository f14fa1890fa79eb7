//! Compilation in a child process: it works, each of its limits holds, and a crash harms nobody.

use std::time::{Duration, Instant};

use sightflow_sandbox::{
    CallConditions, ChildCompiler, CompileLimits, Compiler, GuestPayload, LoadError, Package, Sandbox, SandboxConfig,
};
use sightflow_types::TenantId;

use crate::crafted::Crafted;
use crate::guests::{component, config, version};

fn sandbox(program: &str, change: impl FnOnce(&mut CompileLimits)) -> Sandbox {
    let mut limits = CompileLimits::default();
    change(&mut limits);
    let compiler = Compiler::Child(ChildCompiler { program: program.into(), args: Vec::new(), limits });
    // No cache: everything is compiled.
    Sandbox::new(&SandboxConfig { compiler, cache: None, ..config() }).expect("a sandbox")
}

const CHILD: &str = env!("CARGO_BIN_EXE_compile-component");

fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<Package, LoadError> {
    sandbox.load_for(TenantId::BUILT_IN, "test/uploaded", &version(), bytes)
}

/// One function that takes the compiler seconds and stays within the bounds of the screen.
pub(crate) fn bomb() -> Vec<u8> {
    let ifs = "(if (local.get 0) (then (local.set 0 (i32.sub (local.get 0) (i32.const 7)))))".repeat(36_000);
    let module = format!("(func $bomb (param i32) (result i32) {ifs} (local.get 0))").leak();
    Crafted { module, ..Crafted::default() }.build()
}

#[test]
fn a_child_compiles_what_then_runs_here() {
    let sandbox = sandbox(CHILD, |_| ());
    let package = load(&sandbox, component()).expect("it loads");
    let payload = GuestPayload { document: r#"{"a":1}"#.to_owned(), images: Vec::new() };
    let outcome = sandbox.call_blocking(&package, "echo", "", payload, &CallConditions::default()).expect("an answer");
    assert_eq!(outcome.document.text(), r#"{"a":1}"#);
}

#[test]
fn each_limit_of_a_compilation_holds() {
    let bomb = bomb();
    let second = Duration::from_secs(1);
    let cases = [
        (sandbox(CHILD, |limits| limits.cpu = second), "more than 1 s of processor time"),
        (sandbox(CHILD, |limits| limits.wall = second / 5), "took longer than 0 s"),
        (sandbox(CHILD, |limits| limits.memory_bytes = 90 << 20), "more than 90 MiB of memory"),
        (sandbox(CHILD, |limits| limits.code_bytes = 100_000), "more than 0 MiB of machine code"),
    ];
    for (sandbox, expected) in cases {
        // The size of the code is known when it is done, so that case takes a smaller one.
        let small = expected.contains("machine code");
        let started = Instant::now();
        match load(&sandbox, if small { component() } else { &bomb }) {
            Err(LoadError::Refused(problems)) => {
                assert_eq!(problems[0].code, "E-COMPILE");
                assert!(problems[0].message.contains(expected), "expected {expected}: {problems:?}");
            }
            other => panic!("expected {expected}: {other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{expected}: {:?}", started.elapsed());
        let again = Instant::now();
        if !small {
            let refused = load(&sandbox, &bomb).expect_err("refused again").to_string();
            assert!(refused.contains("not tried again for"), "{refused}");
            assert!(again.elapsed() < Duration::from_millis(900), "remembered: {:?}", again.elapsed());
        }
    }
}

#[test]
fn a_compiler_that_fails_is_not_the_package_s_fault() {
    for program in ["/bin/false", "/nonexistent/compiler"] {
        let failed = load(&sandbox(program, |_| ()), component());
        assert!(matches!(failed, Err(LoadError::Host(_))), "{failed:?}");
    }
    // What answers with something else than machine code.
    let failed = load(&sandbox("/bin/true", |_| ()), component());
    assert!(failed.is_err(), "{failed:?}");
}

#[test]
fn a_tenant_s_queue_for_the_compiler_is_bounded() {
    let sandbox = sandbox(CHILD, |limits| limits.wall = Duration::from_millis(1_500));
    let bytes: Vec<_> = (0..12)
        .map(|index| {
            let ifs = "(if (local.get 0) (then (local.set 0 (i32.const 7))))".repeat(30_000 + index);
            let module = format!("(func $bomb (param i32) (result i32) {ifs} (local.get 0))").leak();
            Crafted { module, ..Crafted::default() }.build()
        })
        .collect();
    let busy = std::thread::scope(|scope| {
        let loads: Vec<_> = bytes.iter().map(|bytes| scope.spawn(|| load(&sandbox, bytes))).collect();
        loads.into_iter().map(|load| load.join().expect("no panic")).collect::<Vec<_>>()
    });
    let busy = busy.iter().filter(|answer| matches!(answer, Err(LoadError::Busy))).count();
    // Two are compiled, eight wait; on a busy machine one may be done before the last is asked for.
    assert!((1..=2).contains(&busy), "{busy} of twelve were told to come later");
}
