//! What is joined, what is not, and that it makes no difference.

use super::Graph;
use crate::ops::Op;
use crate::params::Activation;
use crate::samples::Sample;
use crate::{Device, Model};

/// How the features `f` become `a`; `via` is put between two of the steps.
type Spelling = fn(Sample, &str) -> Sample;

const SPELLINGS: &[(&str, Spelling, Activation)] = &[
    (
        "x * clip(x + 3) / 6",
        |sample, clipped| {
            let sample = sample.node("Mul", &["f", clipped], "product", &[]);
            sample.node("Div", &["product", "six"], "a", &[])
        },
        Activation::HardSwish,
    ),
    (
        "(clip(x + 3) * x) * (1/6)",
        |sample, clipped| {
            let sample = sample.node("Mul", &[clipped, "f"], "product", &[]);
            sample.node("Mul", &["sixth", "product"], "a", &[])
        },
        Activation::HardSwish,
    ),
    (
        "x * (clip(x + 3) / 6)",
        |sample, clipped| {
            let sample = sample.node("Div", &[clipped, "six"], "gate", &[]);
            sample.node("Mul", &["f", "gate"], "a", &[])
        },
        Activation::HardSwish,
    ),
    (
        "clip(x + 3) / 6",
        |sample, clipped| sample.node("Div", &[clipped, "six"], "a", &[]),
        Activation::HardSigmoid(1.0 / 6.0, 0.5),
    ),
];

fn features() -> Sample {
    let sample = Sample::new().conv("x", [3, 10], "f", &[("pads", &[1; 4])]);
    let numbers = [("three", 3.0), ("zero", 0.0), ("six", 6.0), ("sixth", 1.0 / 6.0), ("two", 2.0)];
    numbers.into_iter().fold(sample, |sample, (name, number)| sample.floats(name, &[], vec![number]))
}

fn clipped(sample: Sample, shift: &str) -> Sample {
    sample.node("Add", &["f", shift], "sum", &[]).node("Clip", &["sum", "zero", "six"], "clipped", &[])
}

fn activations(sample: &Sample) -> (usize, Option<Activation>) {
    let graph = Graph::build(sample.model()).expect("readable");
    let of = |op: &Op| match op {
        Op::Convolution(conv) => conv.activation,
        _ => None,
    };
    (graph.steps.len(), graph.steps.iter().find_map(|step| of(&step.op)))
}

fn output(sample: &Sample) -> Vec<f32> {
    let model = Model::load(&sample.bytes(), &sample.spec(), Device::Cpu).expect("runs");
    let input: Vec<f32> = (0..2 * 3 * 64).map(|index| (index * 37 % 101) as f32 / 2.0 - 25.0).collect();
    model.run_raw(&input).expect("runs").remove(0).2
}

#[test]
fn spelled_out_activations_become_part_of_their_convolution() {
    for (name, spelling, expected) in SPELLINGS {
        let joined = spelling(clipped(features(), "three"), "clipped").classes("a");
        assert_eq!(activations(&joined), (3, Some(*expected)), "{name}");
        // Something in between, and nothing is recognised.
        let apart = clipped(features(), "three").node("Identity", &["clipped"], "via", &[]);
        let apart = spelling(apart, "via").classes("a");
        assert_eq!(activations(&apart).1, None, "{name}");
        for (one, other) in output(&joined).iter().zip(output(&apart)) {
            assert!((one - other).abs() <= 1e-5 * other.abs().max(1.0), "{name}: {one} instead of {other}");
        }
        // Another number is another function.
        let other = spelling(clipped(features(), "two"), "clipped").classes("a");
        assert_eq!(activations(&other).1, None, "{name}");
    }
    let silu = features().node("Sigmoid", &["f"], "gate", &[]).node("Mul", &["gate", "f"], "a", &[]).classes("a");
    assert_eq!(activations(&silu), (3, Some(Activation::Silu)));
    let sigmoid = features().node("Sigmoid", &["f"], "a", &[]).classes("a");
    assert_eq!(activations(&sigmoid), (3, Some(Activation::Sigmoid)));
}

#[test]
fn what_others_use_stays() {
    let (_, spelling, expected) = SPELLINGS[0];
    let both = spelling(clipped(features(), "three"), "clipped").node("Add", &["a", "sum"], "b", &[]).classes("b");
    // The convolution's own result is needed too: the activation is a step of its own.
    assert_eq!(activations(&both).1, None);
    let graph = Graph::build(both.model()).expect("readable");
    assert!(graph.steps.iter().any(|step| step.op == Op::Activation(expected)));
}
