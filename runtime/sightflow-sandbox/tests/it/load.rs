//! What is not a package is refused before anything is compiled, and the findings say what to change.

use sightflow_sandbox::{LoadError, MAX_PACKAGE_BYTES, Sandbox, finding, screen};

use crate::crafted::{Crafted, with_sections};
use crate::guests::{Bench, component, config, version, wat};

fn refusal(bytes: &[u8]) -> Vec<(String, String)> {
    match Sandbox::new(&config()).expect("a sandbox").load("test/broken", &version(), bytes) {
        Err(LoadError::Refused(problems)) => {
            problems.into_iter().map(|problem| (problem.code, problem.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn packages_that_are_refused() {
    use finding::code::{IMPORT, MANIFEST, SHAPE, SIZE, WIT};
    let import = |interface: &str| wat(&format!(r#"(component (import "{interface}" (instance)))"#));
    let identity = |text: &str| with_sections(&format!(r#"(component (@custom "sightflow:package" "{text}"))"#));
    let truncated = component()[..component().len() / 2].to_vec();
    let cases = [
        (Vec::new(), SHAPE, "is empty"),
        (b"not wasm".to_vec(), SHAPE, "not a WebAssembly component"),
        (truncated, SHAPE, "not a WebAssembly component"),
        (wat("(module)"), SHAPE, "wasm32-wasip2"),
        (b" (component)".to_vec(), SHAPE, "text format"),
        (b"\x7fELF\x02\x01\x01".to_vec(), SHAPE, "machine code"),
        (wat("(component (core module (func (result i32))))"), SHAPE, "not a valid WebAssembly component"),
        (wat("(component (core module (memory i64 1)))"), SHAPE, "memory64"),
        (wat("(component (core func (canon task.cancel)))"), SHAPE, "`sync`"),
        (wat("(component)"), WIT, "does not export `sightflow:block/blocks@0.1`"),
        (import("sightflow:block/secrets@0.1.0"), IMPORT, "imports `sightflow:block/secrets@0.1.0`"),
        (
            import("sightflow:block/images@9.0.0"),
            WIT,
            "imports `sightflow:block/images@9.0.0`; this host has version 0.1",
        ),
        (import("sightflow:block/images@0.10.0"), WIT, "imports `sightflow:block/images@0.10.0`"),
        (import("wasi:cli/environment@0.3.0"), IMPORT, "imports `wasi:cli/environment@0.3.0`"),
        (import("wasi:clicks/now@0.2.0"), IMPORT, "imports `wasi:clicks/now@0.2.0`"),
        (wat(r#"(component (import "open" (func)))"#), IMPORT, "imports `open`"),
        (identity("{}"), MANIFEST, "`sightflow:package`"),
        (Crafted { catalog: "unreachable", ..Crafted::default() }.build(), MANIFEST, "`catalog` failed"),
        (vec![0; MAX_PACKAGE_BYTES + 1], SIZE, "at most 33554432"),
    ];
    for (bytes, code, expected) in cases {
        let findings = refusal(&bytes);
        assert!(
            findings.iter().any(|(found, text)| found == code && text.contains(expected)),
            "expected {code} {expected:?}: {findings:?}"
        );
    }
}

#[test]
fn everything_that_is_wrong_with_the_interfaces_is_said_at_once() {
    let bytes =
        wat(r#"(component (import "wasi:http/types@0.2.6" (instance)) (import "open" (func)) (import "env" (func)))"#);
    let findings = screen(&bytes).expect_err("refused");
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["E-IMPORT", "E-IMPORT", "E-WIT"], "{findings:?}");
}

#[test]
fn a_component_that_needs_more_than_a_call_has_is_refused() {
    let more = "(memory 1) (memory 1) (memory 1) (memory 1)";
    let findings = refusal(&Crafted { module: more, ..Crafted::default() }.build());
    assert!(findings[0].0 == "E-SIZE" && findings[0].1.contains("memories"), "{findings:?}");
}

#[test]
fn what_needs_a_grant_is_named() {
    let bytes = with_sections(r#"(component (import "wasi:http/outgoing-handler@0.2.6" (instance)))"#);
    let screened = screen(&bytes).expect("it is a package");
    assert_eq!(screened.requested, ["wasi:http/outgoing-handler@0.2.6"]);
    assert_eq!(screened.identity, None);
}

#[test]
fn a_difference_of_interfaces_is_said_in_words() {
    // What a component imports under a name that this host has, in other forms.
    let images =
        |items: &str| wat(&format!(r#"(component (import "sightflow:block/images@0.1.7" (instance {items})))"#));
    let cases = [
        (
            r#"(export "tint" (func (param "strength" f32) (result bool)))"#,
            "`sightflow:block/images@0.1.7` (this host has 0.1.0): the component imports `tint: func(strength: f32) -> bool`, which this host does not have",
        ),
        (
            r#"(type (record (field "width" u32) (field "height" u64))) (export "size" (type (eq 0)))"#,
            "`size` is `record { width: u32, height: u64 }` in the component and `record { width: u32, height: u32 }` in this host",
        ),
        (
            r#"(export "text-size" (func (param "size" u32)))"#,
            "`text-size` is `func(size: u32)` in the component and `func(content: string, height: f32) -> result<size, image-error>` in this host",
        ),
    ];
    for (items, expected) in cases {
        let findings = screen(&images(items)).expect_err("refused");
        assert!(
            findings.iter().any(|finding| finding.code == "E-WIT" && finding.message.contains(expected)),
            "expected {expected}: {findings:#?}"
        );
    }
    let blocks = wat(r#"(component (import "run" (func $f)) (instance $i (export "run" (func $f)))
            (export "sightflow:block/blocks@0.1.0" (instance $i)))"#);
    let findings = screen(&blocks).expect_err("refused");
    let said = |text: &str| findings.iter().any(|finding| finding.message.contains(text));
    assert!(said("does not export `catalog: func() -> string`, which this host calls"), "{findings:#?}");
    assert!(said("`run` is `func()` in the component and `func(block: string, config: string"), "{findings:#?}");
}

#[test]
fn compiled_code_is_never_accepted() {
    let (_directory, path) = crate::guests::temporary();
    let sandbox =
        Sandbox::new(&sightflow_sandbox::SandboxConfig { cache: Some(path.clone()), ..config() }).expect("a sandbox");
    sandbox.load("test/hostile", &version(), component()).expect("loads");
    let entry = std::fs::read_dir(&path)
        .expect("a directory")
        .flatten()
        .find(|entry| entry.file_name() != "key")
        .expect("an entry");
    let stored = std::fs::read(entry.path()).expect("compiled code");
    for bytes in [&stored[..], &stored[32..]] {
        let findings = refusal(bytes);
        assert_eq!(findings[0].0, "E-SHAPE", "{findings:?}");
    }
}

#[test]
fn a_package_knows_what_it_is() {
    let Bench { package, .. } = Bench::new();
    assert_eq!((package.name(), package.version()), ("test/hostile", &version()));
    assert_eq!(package.manifests().len(), 45);
    assert_eq!(package.manifest("echo").map(|manifest| manifest.category.as_str()), Some("logic"));
    let digest = Bench::new().package.digest();
    assert_eq!(package.digest(), digest);
}
