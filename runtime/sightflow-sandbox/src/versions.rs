//! Two versions of the block interface at once: that of `wit/v0_1` and, in tests, the next one.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{CallConditions, GuestPayload, LoadError, Sandbox, SandboxConfig};

/// A package whose block asks the log of 0.2 which levels are kept, and says so to the logs of both versions.
fn component(asks: &str) -> Vec<u8> {
    let manifest = r#"[{"name":"x","title":"X","description":"Two logs.","category":"logic","inputs":[],"outputs":[],"config":{"type":"object","additionalProperties":false}}]"#;
    let word = |value: usize| value.to_le_bytes()[..4].iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let run = r#"(if (call $enabled (i32.const 0)) (then (call $old (i32.const 0) (i32.const 64) (i32.const 3))))
        (if (call $enabled (i32.const 1)) (then (call $old (i32.const 1) (i32.const 64) (i32.const 3))))
        (call $new (i32.const 2) (i32.const 72) (i32.const 3)) (i32.const 1024)"#;
    let text = format!(
        r#"(module
          (import "sightflow:block/log@0.1.0" "log" (func $old (param i32 i32 i32)))
          (import "sightflow:block/log@0.2.0" "log" (func $new (param i32 i32 i32)))
          (import "sightflow:block/log@0.2.0" "{asks}" (func $enabled (param i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 64) "old") (data (i32.const 72) "new")
          (data (i32.const 512) "{}{}") (data (i32.const 528) "{}")
          (data (i32.const 1024) "\00\00\00\00{}{}") (data (i32.const 1200) "{{}}")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
          (func (export "sightflow:block/blocks@0.1.0#catalog") (result i32) (i32.const 512))
          (func (export "sightflow:block/blocks@0.1.0#run")
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {run}))"#,
        word(528),
        word(manifest.len()),
        manifest.replace('"', "\\\""),
        word(1200),
        word(2),
    );
    let mut module = wat::parse_str(text).expect("WAT");
    let mut resolve = Resolve::default();
    resolve.push_path("../../wit/v0_1").expect("the first version");
    let next = std::fs::read_to_string("tests/wit/v0_2/block.wit").expect("the next version");
    let package = resolve.push_str("block.wit", &next.replace("enabled:", &format!("{asks}:"))).expect("WIT");
    let world = resolve.select_world(&[package], Some("next-package")).expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embedded");
    ComponentEncoder::default().module(&module).expect("a module").encode().expect("a component")
}

#[test]
fn two_versions_stand_side_by_side() {
    let sandbox = Sandbox::new(&SandboxConfig::default()).expect("a sandbox starts");
    let version = semver::Version::new(1, 0, 0);
    let package = sandbox.load("acme/next", &version, &component("enabled")).expect("it loads");
    let payload = GuestPayload { document: "{}".to_owned(), images: Vec::new() };
    let outcome = sandbox.call_blocking(&package, "x", "{}", payload, &CallConditions::default()).expect("an answer");
    let said: Vec<_> = outcome.logs.lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(said, ["old", "new"]);

    // What differs is said of the version that the component was built for.
    let Err(LoadError::Refused(findings)) = sandbox.load("acme/next", &version, &component("silenced")) else {
        panic!("it loads")
    };
    let words = &findings[0].message;
    assert!(
        words.contains("`sightflow:block/log@0.2.0` (this host has 0.2.0)") && words.contains("silenced"),
        "{words}"
    );
}
