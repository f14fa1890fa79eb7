//! Definitions that are nearly right: each is refused with problems or has a plan, and nothing panics.

use serde_json::Value;

use crate::mutate::{Mutator, rounds};
use crate::script::compiled;

#[test]
fn a_definition_that_is_nearly_right_is_refused_or_planned() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/workflows");
    let files = std::fs::read_dir(folder).expect("the examples").map(|entry| entry.expect("an entry").path());
    let seeds: Vec<Vec<u8>> = files.map(|path| std::fs::read(path).expect("an example")).collect();
    assert!(seeds.len() >= 9);
    let mut mutator = Mutator::new(4);
    let (mut read, mut planned) = (0, 0);
    for _ in 0..rounds(4_000) {
        let bytes = mutator.mutate(&seeds);
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
        read += 1;
        let definition = value.get("definition").unwrap_or(&value);
        let compiled = compiled(definition);
        assert_eq!(compiled.plan.is_none(), !compiled.errors.is_empty(), "{definition}");
        planned += usize::from(compiled.plan.is_some());
    }
    assert!(read > 0, "some of them are JSON");
    println!("{read} of {} were JSON, {planned} have a plan", rounds(4_000));
}
