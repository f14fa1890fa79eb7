//! The two starter models on real photographs.

mod batches;
mod detection;
#[path = "../../../mutate.rs"]
mod mutate;
mod mutated;
mod recognition;
mod reference;

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use sightflow_images::{PixelFormat, Pixels};
use sightflow_models::{Device, Hints, Model, Request, RunFailure, inspect};
use sightflow_types::Task;

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(repository(&format!("examples/models/{name}"))).expect("a starter model")
}

fn load(name: &str, hints: &Hints) -> Model {
    let bytes = file(name);
    let info = inspect(&bytes, hints).expect("the file says what it is");
    Model::load(&bytes, &info.spec, Device::Cpu).expect("the model runs")
}

fn detector() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| load("nanodet-g-416.onnx", &Hints::default()))
}

fn classifier() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| load("efficientnet-lite0.onnx", &Hints::default()))
}

fn embedder() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let hints = Hints { task: Some(Task::Embedding), output: Some("features".to_owned()), ..Hints::default() };
    MODEL.get_or_init(|| load("efficientnet-lite0.onnx", &hints))
}

fn photograph(name: &str) -> Pixels {
    let decoded = image::open(repository(&format!("examples/images/{name}.png"))).expect("a photograph").to_rgb8();
    let (width, height) = decoded.dimensions();
    Pixels::new(width, height, PixelFormat::Rgb8, decoded.into_raw()).expect("packed rows")
}

/// Runs one request.
fn run(model: &Model, image: &Pixels, params: &Value) -> Result<Value, RunFailure> {
    let mut outcome = model.run(&[Request { image, params }]);
    assert_eq!(outcome.results.len(), 1);
    outcome.results.remove(0)
}

/// Cosine of two vectors.
fn cosine(a: &Value, b: &Value) -> f64 {
    let numbers = |value: &Value| -> Vec<f64> {
        value["embedding"].as_array().expect("a vector").iter().map(|x| x.as_f64().expect("a number")).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}
