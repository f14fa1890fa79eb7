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
    Model::load(&bytes, &info.spec, device()).expect("the model runs")
}

/// What the models run on: `SIGHTFLOW_TEST_DEVICE` (`cpu`, `cuda`, `cuda:1`), or the CPU.
fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        let choice = std::env::var("SIGHTFLOW_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        let caches = std::env::temp_dir().join("sightflow-test-gpu");
        let probe = Device::probe(choice.parse().expect("a device"), &caches).expect("usable");
        println!("{}", probe.found);
        probe.device
    })
}

/// Whether two results say the same: exactly on the CPU, where every image goes the same way in any batch; on a GPU, where
/// kernels are chosen by size, as far as their rounding allows.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            let bound = if device() == Device::Cpu { 0.0 } else { 2e-3 * a.abs().max(1.0) };
            (a - b).abs() <= bound
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
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
