//! Definitions that nobody would write, run by the engine and by the model.
//!
//! `SIGHTFLOW_CASES=5000` runs more of them, `SIGHTFLOW_SEED=17` others; what fails is told with its seed, made as small as
//! it gets.

mod make;
mod shaken;
mod shrink;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model::{Model, compare};
use crate::script::{Stage, compiled};

/// A definition with the input of a run.
#[derive(Debug, Clone)]
struct Case {
    definition: Value,
    input: Value,
}

/// How long the usual cases may take.
const PATIENCE: Duration = Duration::from_secs(15);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What is wrong with a run of an accepted definition.
async fn difference(case: &Case) -> Option<String> {
    let Ok(model) = catch_unwind(AssertUnwindSafe(|| Model::run(&case.definition, &case.input))) else {
        return Some("the model panics".to_owned());
    };
    let stage = Stage::new();
    let run = stage.run(case.definition.clone(), case.input.clone(), json!({}));
    match tokio::time::timeout(Duration::from_secs(20), run).await {
        Ok(outcome) => compare(&model, &outcome).err(),
        Err(_) => Some("it does not end".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_does_what_the_model_says() {
    let (cases, first) = (setting("SIGHTFLOW_CASES"), setting("SIGHTFLOW_SEED").unwrap_or(1));
    let began = Instant::now();
    let (mut ran, mut nested, mut refused) = (0_u64, 0_u64, 0_u64);
    for seed in first..first + cases.unwrap_or(1_500) {
        if cases.is_none() && began.elapsed() > PATIENCE {
            break;
        }
        let case = make::case(seed, false);
        let Some(plan) = compiled(&case.definition).plan else {
            refused += 1;
            continue;
        };
        ran += 1;
        nested += u64::from(plan.scopes.iter().any(|scope| scope.depth > 1));
        if let Some(first) = difference(&case).await {
            let (small, last) = shrink::shrink(case, first.clone()).await;
            panic!("seed {seed}: {first}\nmade small: {last}\n{:#}\ninput {}", small.definition, small.input);
        }
    }
    eprintln!("{ran} ran, {nested} of them with nested loops; {refused} were refused, in {:?}", began.elapsed());
    assert!(ran > 2 * refused && nested * 5 > ran, "{ran} ran, {nested} nested, {refused} refused");
}
