//! Batches, what files say about themselves, and files that cannot run.

use serde_json::{Value, json};
use sightflow_models::{Device, Hints, Model, ModelError, Request, inspect, supported_operators};
use sightflow_types::Task;
use sightflow_types::model::{ChannelOrder, Decoder, ResizeMode};

use crate::{classifier, detector, embedder, file, photograph, same};

#[test]
fn a_batch_gives_what_its_images_give_alone() {
    let photographs = ["chelsea", "coffee", "astronaut", "chelsea", "coffee"].map(photograph);
    let params = json!({});
    for model in [detector(), classifier(), embedder()] {
        let requests: Vec<_> = photographs.iter().map(|image| Request { image, params: &params }).collect();
        let together = model.run(&requests);
        assert!(together.timings.inference_ms > 0.0);
        for (request, result) in requests.iter().zip(&together.results) {
            let alone = model.run(std::slice::from_ref(request)).results.remove(0);
            let (Ok(result), Ok(alone)) = (result, &alone) else { panic!("{result:?} and {alone:?}") };
            assert!(same(result, alone), "{result} instead of {alone}");
        }
    }
}

#[test]
fn a_failed_request_leaves_the_others_alone() {
    let image = photograph("chelsea");
    let (good, bad) = (json!({"confidence": 0.4}), json!({"confidence": 2}));
    let params: [&Value; 3] = [&good, &bad, &good];
    let outcome = detector().run(&params.map(|params| Request { image: &image, params }));
    assert_eq!(outcome.results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let [Ok(first), _, Ok(third)] = &outcome.results[..] else { panic!("{:?}", outcome.results) };
    assert!(same(first, third), "{first} and {third}");
    assert!(detector().run(&[]).results.is_empty());
}

#[test]
fn files_say_what_they_are() {
    let info = inspect(&file("nanodet-g-416.onnx"), &Hints::default()).expect("described");
    let spec = &info.spec;
    assert_eq!((spec.task, spec.input_size(), spec.labels.len()), (Task::Detection, [416, 416], 80));
    assert_eq!(spec.decoder, Decoder::Nanodet { strides: vec![8, 16, 32], reg_max: 10 });
    assert_eq!(
        (spec.preprocess.resize, spec.preprocess.pad, spec.inputs.image.channels),
        (ResizeMode::LetterboxCenter, 114, ChannelOrder::Bgr)
    );
    assert_eq!(spec.license.as_deref(), Some("Apache-2.0"));
    assert!(spec.inputs.image.dynamic_batch);

    let bytes = file("efficientnet-lite0.onnx");
    let spec = inspect(&bytes, &Hints::default()).expect("described").spec;
    assert_eq!(
        (spec.task, spec.labels.len(), spec.decoder),
        (Task::Classification, 1000, Decoder::Softmax { output: "logits".to_owned() })
    );
    assert_eq!(embedder().spec().embedding_dim(), Some(1280));
    assert_eq!(embedder().spec().labels, Vec::<String>::new());

    let vague = Hints { task: Some(Task::Embedding), ..Hints::default() };
    assert!(matches!(inspect(&bytes, &vague), Err(ModelError::Unspecified { .. })));
    let wrong = Hints { output: Some("nonsense".to_owned()), ..vague };
    assert!(matches!(inspect(&bytes, &wrong), Err(ModelError::Mismatch(_))));
}

#[test]
fn broken_files_are_refused() {
    let bytes = file("efficientnet-lite0.onnx");
    let spec = inspect(&bytes, &Hints::default()).expect("described").spec;
    assert!(matches!(inspect(b"", &Hints::default()), Err(ModelError::NotOnnx { .. })));
    for broken in [&b"not a model"[..], &bytes[..bytes.len() / 2]] {
        assert!(matches!(inspect(broken, &Hints::default()), Err(ModelError::Malformed(_))));
        assert!(matches!(Model::load(broken, &spec, Device::Cpu), Err(ModelError::Malformed(_))));
    }
    let mut other = spec;
    other.decoder = Decoder::Softmax { output: "nothing".to_owned() };
    assert!(matches!(Model::load(&bytes, &other, Device::Cpu), Err(ModelError::Mismatch(_))));
}

#[test]
fn every_unsupported_operator_is_named() {
    // The names are rewritten in place, so they keep their length.
    let mut bytes = file("nanodet-g-416.onnx");
    replace(&mut bytes, b"LeakyRelu", b"LeakyRhat");
    replace(&mut bytes, b"MaxPool", b"MixPool");
    let spec = inspect(&bytes, &Hints::default()).expect("described").spec;
    let Err(ModelError::Unsupported(reasons)) = Model::load(&bytes, &spec, Device::Cpu) else { panic!("accepted") };
    assert_eq!(reasons, ["the operator LeakyRhat is not supported", "the operator MixPool is not supported"]);
    assert!(supported_operators().any(|name| name == "LeakyRelu"));
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let places: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}
