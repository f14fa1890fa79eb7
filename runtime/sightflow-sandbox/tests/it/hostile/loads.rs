//! What a package can try while it is loaded.

use std::time::{Duration, Instant};

use sightflow_sandbox::LoadError;

use super::neighbour::{Leftovers, Neighbour};
use super::{Crafted, sandbox};
use crate::crafted::with_sections;
use crate::guests::{component, version};

/// A component beside the guest's own with many instances of one module.
fn instances(count: usize) -> Vec<u8> {
    let own = wasmparser::Parser::new(0).parse_all(component());
    let mut open = 0;
    let components = own.filter(|payload| match payload.as_ref().expect("a component") {
        wasmparser::Payload::Version { .. } => {
            open += 1;
            false
        }
        wasmparser::Payload::End(_) => {
            open -= 1;
            false
        }
        wasmparser::Payload::ComponentSection { .. } => open == 1,
        _ => false,
    });
    let index = components.count();
    let many = "(core instance (instantiate $m))".repeat(count);
    with_sections(&format!(
        "(component (component (core module $m (table 100 funcref)) {many}) (instance (instantiate {index})))"
    ))
}

#[test]
fn each_package_is_refused_with_the_right_words() {
    let plain = Crafted::default();
    let crafted = |crafted: Crafted| crafted.build();
    let spin = "(loop (br 0))";
    let cases = [
        (
            "spin in start",
            crafted(Crafted { module: "(func $s (loop (br 0))) (start $s)", ..plain }),
            "E-MANIFEST",
            "processor time",
        ),
        (
            "spin in catalog",
            crafted(Crafted { catalog: "(loop (br 0)) unreachable", ..plain }),
            "E-MANIFEST",
            "processor time",
        ),
        ("spin after catalog", crafted(Crafted { catalog_post: spin, ..plain }), "E-MANIFEST", "processor time"),
        ("trap in catalog", crafted(Crafted { catalog: "unreachable", ..plain }), "E-MANIFEST", "unreachable"),
        (
            "grow in start",
            crafted(Crafted {
                module: "(func $s (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable) (start $s)",
                ..plain
            }),
            "E-MANIFEST",
            "memory",
        ),
        (
            "a catalogue of 60 MB",
            crafted(Crafted {
                catalog: "(drop (memory.grow (i32.const 1000))) (i32.store (i32.const 512) (i32.const 65536))
                    (i32.store (i32.const 516) (i32.const 60000000)) (i32.const 512)",
                ..plain
            }),
            "E-MANIFEST",
            "bytes of output",
        ),
        (
            "a catalogue that is no JSON",
            crafted(Crafted {
                catalog: "(i32.store (i32.const 512) (i32.const 1200)) (i32.store (i32.const 516) (i32.const 2)) (i32.const 512)",
                ..plain
            }),
            "E-MANIFEST",
            "not a JSON array",
        ),
        ("more memory than a call has", crafted(Crafted { memory: "60000", ..plain }), "E-SIZE", "memory"),
        ("a table beyond the pool", crafted(Crafted { module: "(table 100000 funcref)", ..plain }), "E-SIZE", "table"),
        ("a hundred instances", instances(100), "E-SIZE", "instance"),
    ];
    let (sandbox, pool) = sandbox();
    let neighbour = Neighbour::new(&sandbox);
    let alone = neighbour.alone(100);
    let before = Leftovers::now(&pool);
    for (name, bytes, code, words) in cases {
        let started = Instant::now();
        let (answer, beside) = neighbour.beside(|| sandbox.load("test/crafted", &version(), &bytes));
        println!("{name}: {:?}, neighbour {beside:?}, alone {alone:?}", started.elapsed());
        match answer {
            Err(LoadError::Refused(problems)) => {
                assert_eq!(problems[0].code, code, "{name}: {problems:?}");
                assert!(problems[0].message.contains(words), "{name}: {problems:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(8), "{name}: {:?}", started.elapsed());
        beside.bearable(&alone, name);
    }
    Leftovers::now(&pool).same_as(&before);
}
