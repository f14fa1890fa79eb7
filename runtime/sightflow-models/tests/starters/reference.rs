//! The graphs' outputs against those of ONNX Runtime, kept in `fixtures`.

use serde_json::Value;
use sightflow_models::{Device, Hints, Model, SimdLevel, inspect};

use crate::{device, file, repository};

/// Numbers between −1 and 1 that the fixtures were made with.
fn noise(length: usize) -> Vec<f32> {
    let number = |index: u64| (index.wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / (1u64 << 32) as f64 * 2.0 - 1.0;
    (0..length as u64).map(|index| number(index) as f32).collect()
}

fn check(model: &Model, name: &str) {
    let path = repository(&format!("runtime/sightflow-models/tests/fixtures/{name}.json"));
    let fixture: Value = serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("JSON");
    let [width, height] = model.spec().input_size();
    let length = (width * height * 3) as usize;
    // The second image is another one, so that a mix-up of the batch would show.
    let mut input = noise(length);
    input.extend((0..length).map(|index| (index % 7) as f32 / 7.0));
    for count in [1, 2] {
        let outputs = model.run_raw(&input[..count * length]).expect("runs");
        let expected = fixture["outputs"].as_array().expect("outputs");
        assert_eq!(outputs.len(), expected.len());
        for ((output, shape, values), expected) in outputs.iter().zip(expected) {
            assert_eq!(*output, expected["name"]);
            assert_eq!(shape[0], count);
            let step = expected["step"].as_u64().expect("a number") as usize;
            let first = values[..values.len() / count].iter().step_by(step);
            let expected = expected["values"].as_array().expect("numbers");
            assert_eq!(first.len(), expected.len(), "{output}");
            for (found, expected) in first.zip(expected) {
                let expected = expected.as_f64().expect("a number");
                // A GPU's tensor cores multiply with TF32, whose fraction has 10 bits.
                let bound = if device() == Device::Cpu { 1e-4 } else { 1e-3 * expected.abs().max(1.0) };
                assert!(
                    (f64::from(*found) - expected).abs() <= bound,
                    "{name} {output}: {found} instead of {expected}"
                );
            }
        }
    }
}

/// Each level that this CPU has, against the same fixtures: levels differ from each other by twice the bound at most.
fn check_every_level(name: &str) {
    let bytes = file(&format!("{name}.onnx"));
    let spec = inspect(&bytes, &Hints::default()).expect("the file says what it is").spec;
    if device() != Device::Cpu {
        return check(&Model::load(&bytes, &spec, device()).expect("the model runs"), name);
    }
    for level in SimdLevel::available() {
        let model = Model::load_at(&bytes, &spec, Device::Cpu, level).expect("the model runs");
        assert_eq!(model.level(), level);
        check(&model, name);
    }
}

#[test]
fn detector_agrees_with_onnx_runtime() {
    check_every_level("nanodet-g-416");
}

#[test]
fn classifier_agrees_with_onnx_runtime() {
    check_every_level("efficientnet-lite0");
}
