//! Components that are nearly right: each is refused with a finding or loads, and nothing panics.

use sightflow_sandbox::{LoadError, Sandbox, identity, screen};

use crate::fixtures::component;
use crate::guests::{config, version};
use crate::mutate::{Mutator, rounds};

#[test]
fn a_component_that_is_nearly_right_is_refused_or_loads() {
    // Python's is too large to be compiled again and again.
    let seeds = vec![component("v0_1", "rust"), component("v0_1", "javascript")];
    let mut mutator = Mutator::new(1);
    let sandbox = Sandbox::new(&config()).expect("a sandbox starts");
    let (mut screened, mut loaded) = (0, 0);
    for round in 0..rounds(150) {
        let bytes = mutator.mutate(&seeds);
        let _ = identity(&bytes);
        if screen(&bytes).is_err() {
            continue;
        }
        screened += 1;
        // Compiling takes its time: of those that look right every eighth.
        if round % 8 == 0 {
            match sandbox.load("test/mutated", &version(), &bytes) {
                Ok(_) => loaded += 1,
                Err(LoadError::Refused(findings)) => assert!(!findings.is_empty()),
                Err(other) => panic!("round {round}: {other}"),
            }
        }
    }
    println!("{screened} of {} looked right, {loaded} loaded", rounds(150));
}
