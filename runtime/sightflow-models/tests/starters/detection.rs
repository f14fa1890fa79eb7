//! What the detector finds on photographs.

use serde_json::{Value, json};
use sightflow_types::detection::BoundingBox;

use crate::{detector, photograph, run};

fn detections(name: &str, params: &Value) -> Vec<Value> {
    let result = run(detector(), &photograph(name), params).expect("a result");
    result["detections"].as_array().expect("a list").clone()
}

fn bbox(detection: &Value) -> BoundingBox {
    serde_json::from_value(detection["bbox_abs"].clone()).expect("a box")
}

/// The first detection: class, score within 0.03 and box within IoU 0.9.
fn check_first(name: &str, class: &str, score: f64, [x1, y1, x2, y2]: [f64; 4]) {
    let found = detections(name, &json!({"confidence": 0.4, "iou_threshold": 0.6}));
    let first = found.first().unwrap_or_else(|| panic!("nothing found on {name}"));
    println!("{name}: {first}");
    assert_eq!(first["class_name"], class, "{name}");
    let confidence = first["confidence"].as_f64().expect("a number");
    assert!((confidence - score).abs() <= 0.03, "{name}: {confidence}");
    let overlap = bbox(first).iou(&BoundingBox { x1, y1, x2, y2 });
    assert!(overlap >= 0.9, "{name}: {:?}", bbox(first));
}

#[test]
fn finds_what_is_on_the_photographs() {
    check_first("chelsea", "cat", 0.60, [1.0, 0.0, 437.0, 298.0]);
    check_first("astronaut", "person", 0.73, [14.0, 14.0, 364.0, 507.0]);
    let coffee = detections("coffee", &json!({"confidence": 0.4, "iou_threshold": 0.6}));
    assert_eq!(coffee[0]["class_name"], "dining table");
    let confidence = coffee[0]["confidence"].as_f64().expect("a number");
    assert!((confidence - 0.47).abs() <= 0.03, "{confidence}");
}

/// A cell's second class counts too, as in NanoDet's own post-processing: the weaker cup is the table's own box.
#[test]
fn a_cell_may_belong_to_two_classes() {
    let found = detections("coffee", &json!({"confidence": 0.25, "iou_threshold": 0.45}));
    let names: Vec<_> = found.iter().map(|found| found["class_name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["dining table", "cup", "cup"]);
    let table = bbox(&found[0]);
    assert!(table.iou(&bbox(&found[1])) < 0.45 && table.iou(&bbox(&found[2])) > 0.9, "{found:?}");
}

#[test]
fn the_form_of_a_result() {
    let result = run(detector(), &photograph("astronaut"), &json!({"confidence": 0.05})).expect("a result");
    assert_eq!(result["image_size"], json!({"width": 512, "height": 512}));
    let found = result["detections"].as_array().expect("a list");
    assert!(found.len() > 3, "{}", found.len());
    let mut last = 1.0;
    for (index, detection) in found.iter().enumerate() {
        assert_eq!(detection["id"], index.to_string());
        let confidence = detection["confidence"].as_f64().expect("a number");
        assert!((0.05..=last).contains(&confidence));
        last = confidence;
        let (pixels, normal): (BoundingBox, BoundingBox) =
            (bbox(detection), serde_json::from_value(detection["bbox"].clone()).expect("a box"));
        assert!(pixels.x1 >= 0.0 && pixels.x2 <= 512.0 && pixels.x1 < pixels.x2 && pixels.y1 < pixels.y2);
        assert!((normal.x1 * 512.0 - pixels.x1).abs() <= 0.01);
        let class = detection["class_id"].as_u64().expect("a number") as usize;
        assert_eq!(detection["class_name"], detector().spec().labels[class]);
    }
}

#[test]
fn settings_change_what_is_found() {
    let all = detections("astronaut", &json!({"confidence": 0.1}));
    // Below the default of `max_detections`, so that no list is cut.
    assert!((10..300).contains(&all.len()), "{}", all.len());
    let of_class = |class: &str| all.iter().filter(|found| found["class_name"] == class).count();
    let people = detections("astronaut", &json!({"confidence": 0.1, "classes": ["person"]}));
    assert_eq!(people.len(), of_class("person"));
    assert_eq!(detections("astronaut", &json!({"confidence": 0.1, "class_ids": [0]})), people);
    assert_eq!(
        detections("astronaut", &json!({"confidence": 0.1, "classes": ["cat"], "class_ids": [0]})),
        Vec::<Value>::new()
    );
    assert_eq!(detections("astronaut", &json!({"confidence": 0.1, "max_detections": 2})), all[..2]);
    let agnostic = detections("astronaut", &json!({"confidence": 0.1, "agnostic_nms": true}));
    assert!(agnostic.len() < all.len(), "{} of {}", agnostic.len(), all.len());
    let overlapping = detections("astronaut", &json!({"confidence": 0.1, "iou_threshold": 1.0}));
    assert!(overlapping.len() > all.len());
}

#[test]
fn a_mirrored_pass_is_fused() {
    let fused = detections("chelsea", &json!({"confidence": 0.4, "tta": "hflip"}));
    assert_eq!(fused[0]["class_name"], "cat");
    let single = detections("chelsea", &json!({"confidence": 0.4}));
    let overlap = bbox(&fused[0]).iou(&bbox(&single[0]));
    assert!(overlap > 0.8 && fused[0] != single[0], "{overlap}");
}

#[test]
fn bad_settings_fail_alone() {
    let failure = run(detector(), &photograph("chelsea"), &json!({"input_size": 640, "classes": ["kitten"]}))
        .expect_err("refused");
    assert_eq!((failure.code, failure.class.as_str()), ("bad_params", "poison"));
    assert!(failure.message.contains("416×416") && failure.message.contains("kitten"), "{}", failure.message);
}
