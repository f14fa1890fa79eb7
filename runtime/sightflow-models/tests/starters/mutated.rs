//! Files that are nearly models: each is refused with a reason or described, and nothing panics or takes memory for what it only
//! claims.

use sightflow_models::{Hints, inspect};

use crate::file;
use crate::mutate::{Mutator, rounds};

/// The part of a file that describes the graph; behind it there are weights.
const HEAD: usize = 96 << 10;

#[test]
fn a_file_that_is_nearly_a_model_is_refused_or_described() {
    let whole = file("nanodet-g-416.onnx");
    let (head, weights) = whole.split_at(HEAD);
    let seeds = vec![head.to_vec()];
    let mut mutator = Mutator::new(3);
    let mut described = 0;
    for _ in 0..rounds(100) {
        let mut bytes = mutator.mutate(&seeds);
        bytes.extend_from_slice(weights);
        described += usize::from(inspect(&bytes, &Hints::default()).is_ok());
    }
    println!("{described} of {} are described", rounds(100));
}
