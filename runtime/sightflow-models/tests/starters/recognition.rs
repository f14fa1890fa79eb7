//! What the classifier and its features say about photographs.

use serde_json::{Value, json};

use crate::{classifier, cosine, embedder, photograph, run};

fn classify(name: &str, params: &Value) -> Value {
    run(classifier(), &photograph(name), params).expect("a result")
}

fn check(name: &str, expected: &[(&str, f64)]) {
    let result = classify(name, &json!({"top_k": expected.len()}));
    let found = result["predictions"].as_array().expect("a list");
    println!("{name}: {result}");
    assert_eq!(found.len(), expected.len());
    for (found, (class, confidence)) in found.iter().zip(expected) {
        assert_eq!(found["class_name"], *class);
        let difference = found["confidence"].as_f64().expect("a number") - confidence;
        assert!(difference.abs() <= 0.01, "{found}");
    }
    assert_eq!(result["top_class"], expected[0].0);
    assert_eq!(result["top_confidence"], found[0]["confidence"]);
}

#[test]
fn classes_of_photographs() {
    check("chelsea", &[("tiger cat", 0.386), ("Egyptian cat", 0.356), ("tabby", 0.169)]);
    check("coffee", &[("espresso", 0.951)]);
}

#[test]
fn settings_of_classification() {
    let plain = classify("chelsea", &json!({"top_k": 1}));
    let flat = classify("chelsea", &json!({"top_k": 1, "temperature": 10}));
    assert!(flat["top_confidence"].as_f64() < plain["top_confidence"].as_f64());
    let independent = classify("chelsea", &json!({"top_k": 3, "mode": "multi_label"}));
    let sum: f64 =
        independent["predictions"].as_array().expect("a list").iter().filter_map(|p| p["confidence"].as_f64()).sum();
    assert!(sum > 1.0, "{independent}");
    let target = classify("chelsea", &json!({"top_k": 1, "target_class": "tabby"}));
    let tabby = target["target"]["confidence"].as_f64().expect("a number");
    assert!((tabby - 0.169).abs() <= 0.01, "{tabby}");
    for tta in ["hflip", "five_crop", "hflip_five_crop"] {
        let result = classify("coffee", &json!({"tta": tta}));
        assert_eq!(result["top_class"], "espresso", "{tta}");
        assert_ne!(result["top_confidence"], classify("coffee", &json!({}))["top_confidence"], "{tta}");
        assert_eq!(classify("coffee", &json!({"tta": tta, "tta_merge": "vote"}))["top_confidence"], 1.0, "{tta}");
    }
}

#[test]
fn vectors_of_photographs() {
    let vector = |name: &str| run(embedder(), &photograph(name), &json!({})).expect("a result");
    let chelsea = vector("chelsea");
    assert_eq!((&chelsea["embedding_dim"], &chelsea["normalized"]), (&json!(1280), &json!(true)));
    let numbers = chelsea["embedding"].as_array().expect("a vector");
    let length: f64 = numbers.iter().filter_map(Value::as_f64).map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-6, "{length}");
    assert!((cosine(&chelsea, &vector("chelsea")) - 1.0).abs() < 1e-9);
    assert!(cosine(&chelsea, &vector("coffee")) < 0.5, "{}", cosine(&chelsea, &vector("coffee")));
    let raw = run(embedder(), &photograph("chelsea"), &json!({"normalize": false})).expect("a result");
    assert_eq!(raw["normalized"], false);
    assert!((cosine(&chelsea, &raw) - 1.0).abs() < 1e-6);
    let failure = run(embedder(), &photograph("chelsea"), &json!({"pooling": "mean"})).expect_err("not declared");
    assert_eq!(failure.code, "bad_params");
}
