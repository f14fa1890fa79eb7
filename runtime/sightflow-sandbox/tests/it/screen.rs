//! The bounds of the screen: each is reported by its own words, and nothing is compiled.

use std::time::Instant;

use sightflow_sandbox::{MAX_PACKAGE_BYTES, screen};

use crate::crafted::with_sections;
use crate::guests::component;

fn unsigned(mut value: usize, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn section(id: u8, contents: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(id);
    unsigned(contents.len(), bytes);
    bytes.extend_from_slice(contents);
}

/// A component beside the test guest's own sections that holds one module with functions of `nop`s.
fn functions(count: usize, nops: usize) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 0, 0], &mut module);
    let mut declared = Vec::new();
    unsigned(count, &mut declared);
    declared.resize(declared.len() + count, 0);
    section(3, &declared, &mut module);
    let mut body = vec![0];
    body.resize(nops + 1, 0x01);
    body.push(0x0b);
    let mut code = Vec::new();
    unsigned(count, &mut code);
    for _ in 0..count {
        unsigned(body.len(), &mut code);
        code.extend_from_slice(&body);
    }
    section(10, &code, &mut module);
    let mut bytes = component().to_vec();
    section(1, &module, &mut bytes);
    bytes
}

#[test]
fn each_bound_is_reported() {
    let many = |count: usize, text: &str| with_sections(&format!("(component {})", text.repeat(count)));
    let nested =
        |depth: usize| with_sections(&format!("(component {} {})", "(component ".repeat(depth), ")".repeat(depth)));
    let types = with_sections(&format!("(component (core module {}))", "(type (func))".repeat(140_000)));
    let names: String = (0..600).map(|index| format!(r#"(import "a{index}" (func))"#)).collect();
    let cases = [
        (many(300, "(core module)"), "core modules"),
        (many(5_000, "(core instance)"), "instances"),
        (functions(70_000, 0), "functions"),
        (functions(1, 600_000), "bytes of code in one function"),
        (functions(60, 450_000), "bytes of code or more"),
        (nested(20), "components within each other"),
        (types, "types and aliases"),
        (with_sections(&format!("(component {names})")), "imports and exports"),
        (functions(40, 900_000), "33554432"),
    ];
    for (bytes, expected) in cases {
        let started = Instant::now();
        let findings = screen(&bytes).expect_err(expected);
        assert!(
            findings.iter().any(|finding| finding.code == "E-SIZE" && finding.message.contains(expected)),
            "{expected}: {findings:?}"
        );
        assert!(started.elapsed().as_secs() < 2, "{expected}: {:?}", started.elapsed());
    }
    assert!(functions(40, 900_000).len() > MAX_PACKAGE_BYTES);
    screen(&functions(100, 1_000)).expect("what stays within the bounds is no finding");
}

/// Whatever is changed in a binary, the screen answers, and nothing panics.
#[test]
fn damaged_binaries_are_refused_or_still_valid() {
    let original = component();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut refused = 0;
    for round in 0..60 {
        let mut bytes = original.to_vec();
        if round % 3 == 0 {
            bytes.truncate(next(original.len()));
        } else {
            // Most of them near the beginning, where the component says what it is.
            let most = if round % 3 == 1 { 2_000 } else { original.len() };
            for _ in 0..4 {
                let at = next(most);
                bytes[at] ^= 1 << next(8);
            }
        }
        refused += usize::from(screen(&bytes).is_err());
    }
    assert!(refused > 30, "{refused} of 60");
}
