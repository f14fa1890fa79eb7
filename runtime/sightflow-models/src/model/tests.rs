//! Stopping, and the memory of a run.

use std::cell::Cell;

use serde_json::Value;
use sightflow_images::{PixelFormat, Pixels};
use sightflow_memory::{MemoryPool, Use};

use crate::graph::{Graph, Limits};
use crate::samples::Sample;
use crate::{Device, Model, Request, RunFailureClass};

const STEPS: usize = 20;

/// Twenty convolutions one after the other.
fn deep() -> Sample {
    let mut sample = Sample::new().conv("x", [3, 10], "c0", &[("pads", &[1; 4])]);
    for index in 1..STEPS {
        let (from, to) = (format!("c{}", index - 1), format!("c{index}"));
        sample = sample.conv(&from, [10, 10], &to, &[("pads", &[1; 4])]);
    }
    sample.classes(&format!("c{}", STEPS - 1))
}

fn load(sample: &Sample) -> Model {
    Model::load(&sample.bytes(), &sample.spec(), Device::Cpu).expect("runs")
}

fn picture() -> Pixels {
    Pixels::filled(8, 8, PixelFormat::Rgb8, &[1, 2, 3]).expect("a picture")
}

#[test]
fn a_cancelled_run_ends_between_two_steps() {
    let (model, image) = (load(&deep()), picture());
    let request = Request { image: &image, params: &Value::Null };
    let asked = Cell::new(0);
    let outcome = model.run_unless(&[request], &|_| {
        asked.set(asked.get() + 1);
        asked.get() > 5
    });
    let failure = outcome.results[0].as_ref().expect_err("cancelled");
    assert_eq!((failure.class, failure.code), (RunFailureClass::Cancelled, "cancelled"));
    assert_eq!(asked.get(), 6, "it goes no further once the answer is yes");

    asked.set(0);
    let outcome = model.run_unless(&[request], &|_| {
        asked.set(asked.get() + 1);
        false
    });
    assert!(outcome.results[0].is_ok());
    assert!(asked.get() > STEPS, "asked {} times", asked.get());
}

#[test]
fn a_cancelled_request_leaves_the_others_alone() {
    let (model, image) = (load(&deep()), picture());
    let requests = vec![Request { image: &image, params: &Value::Null }; 10];
    let outcome = model.run_unless(&requests, &|index| index % 2 == 0);
    for (index, result) in outcome.results.iter().enumerate() {
        match index % 2 {
            0 => assert_eq!(result.as_ref().expect_err("cancelled").class, RunFailureClass::Cancelled),
            _ => assert!(result.is_ok()),
        }
    }
    // Five are left of ten.
    assert_eq!(outcome.batch_size, 5);
    // Cancelled once a pass has begun: who shares it still gets a result.
    let asked = Cell::new(0);
    let outcome = model.run_unless(&requests[..2], &|index| {
        asked.set(asked.get() + 1);
        index == 0 && asked.get() > 4
    });
    assert!(outcome.results[1].is_ok());
}

#[test]
fn images_that_would_push_each_other_out_of_the_caches_go_one_by_one() {
    let (picture, params) = (picture(), Value::Null);
    let requests = [Request { image: &picture, params: &params }; 9];
    let together = |width: u32, count: usize| {
        let sample = deep();
        let mut spec = sample.spec();
        spec.inputs.image.size = [width, 8];
        Model::load(&sample.bytes(), &spec, Device::Cpu).expect("runs").run(&requests[..count])
    };
    let small = together(8, 9);
    assert_eq!(small.batch_size, 8);
    let alone = load(&deep()).run(&requests[..1]);
    assert!(small.results.iter().all(|result| *result == alone.results[0]));
    // Two images with ten channels of 8 × 3,000, three times.
    assert_eq!(together(3_000, 2).batch_size, 1);
}

#[test]
fn a_plan_counts_what_lives_at_once() {
    let graph = |sample: &Sample| Graph::build(sample.model()).expect("readable");
    let limits = Limits { bytes: u64::MAX, work: u64::MAX };
    let plan = |count| graph(&deep()).plan(&[count, 3, 8, 8], limits).expect("fits");
    let map = 10 * 8 * 8 * 4;
    // A feature map, the next one, and room for a copy of the first; not twenty of them.
    assert_eq!(plan(1).peak, 3 * map);
    assert_eq!(plan(4).peak, 12 * map);
    assert_eq!(plan(4).outputs, [[4, 10]]);
    // One that is needed until the end stays.
    let long = deep().node("Add", &["c0", "c19"], "sum", &[]).classes("sum");
    assert!(graph(&long).plan(&[1, 3, 8, 8], limits).expect("fits").peak >= 4 * map);
}

#[test]
fn a_run_takes_its_memory_from_the_budget() {
    let (model, image) = (load(&deep()), picture());
    let used = || MemoryPool::process().used_by()[Use::Models as usize];
    let most = Cell::new(0);
    let outcome = model.run_unless(&[Request { image: &image, params: &Value::Null }], &|_| {
        most.set(most.get().max(used()));
        false
    });
    assert!(outcome.results[0].is_ok());
    assert!(most.get() >= 3 * 10 * 8 * 8 * 4, "{}", most.get());
}
