use sightflow_block::testing::{Answer, Call, check};
use sightflow_block::{BlockError, Image, Value, json};

use crate::PACKAGE;

/// Red is the column, green the row, both modulo 256.
fn image(size: (u32, u32)) -> Image {
    Image::from_fn(size, |x, y| [x as u8, y as u8, 0])
}

fn crop(detections: Value, config: Value) -> Result<Answer, BlockError> {
    Call::new(PACKAGE, "crop").config(config).image("image", &image((1000, 800))).input("detections", detections).run()
}

fn reasons(answer: &Answer) -> Vec<(&str, &str)> {
    let skipped = answer.value("skipped").as_array().unwrap();
    skipped.iter().map(|s| (s["id"].as_str().unwrap(), s["reason"].as_str().unwrap())).collect()
}

#[test]
fn rectangles() {
    let b = json!({"bbox": [0.1, 0.25, 0.3, 0.5]});
    let cases = [
        (b.clone(), json!({}), [80, 180, 240, 240]),
        (b.clone(), json!({"padding_percent": 10}), [80, 180, 240, 240]),
        (b.clone(), json!({"padding": 10, "padding_mode": "pixel"}), [90, 190, 220, 220]),
        (b.clone(), json!({"padding_mode": "none"}), [100, 200, 200, 200]),
        (b.clone(), json!({"padding_mode": "none", "aspect_ratio": "16:9"}), [22, 200, 356, 200]),
        (
            b.clone(),
            json!({"padding_mode": "none", "aspect_ratio": "custom", "aspect_w": 1, "aspect_h": 2}),
            [100, 100, 200, 400],
        ),
        (
            json!({"bbox_abs": [100, 100, 200, 150]}),
            json!({"padding_mode": "none", "square": true}),
            [100, 75, 100, 100],
        ),
        (json!({"bbox_abs": [980, 10, 1020, 60]}), json!({"padding_mode": "none"}), [980, 10, 20, 50]),
        (json!({"bbox_abs": [980, 10, 1000, 60]}), json!({"padding": 20, "padding_mode": "pixel"}), [960, 0, 40, 80]),
        (
            json!({"bbox_abs": [980, 10, 1000, 60]}),
            json!({"padding": 20, "padding_mode": "pixel", "padding_fill": "constant"}),
            [960, -10, 60, 90],
        ),
    ];
    for (item, config, [x, y, width, height]) in cases {
        let answer = crop(json!([item]), config.clone()).unwrap();
        let rect = &answer.value("crop_metadata")[0]["rect"];
        assert_eq!(*rect, json!({"x": x, "y": y, "width": width, "height": height}), "{config}");
        assert_eq!(answer.image("crop").unwrap().size(), (width as u32, height as u32), "{config}");
    }
}

#[test]
fn pixels_outside_the_image() {
    // The box touches the top left corner; two more pixels on each side.
    let item = json!([{"bbox_abs": [0, 0, 10, 10]}]);
    for (fill, expected) in [
        ("constant", [[255, 0, 0], [0, 0, 0], [11, 11, 0]]),
        ("reflect", [[2, 2, 0], [0, 0, 0], [11, 11, 0]]),
        ("replicate", [[0, 0, 0], [0, 0, 0], [11, 11, 0]]),
    ] {
        let config = json!({"padding": 2, "padding_mode": "pixel", "padding_fill": fill, "padding_color": "red"});
        let answer = crop(item.clone(), config).unwrap();
        let crop = answer.image("crop").unwrap();
        assert_eq!(crop.size(), (14, 14));
        assert_eq!([crop.rgb(0, 0), crop.rgb(2, 2), crop.rgb(13, 13)], expected, "{fill}");
    }
}

#[test]
fn output_sizes() {
    let item = json!([{"bbox_abs": [100, 100, 300, 200]}]);
    let cases = [
        (json!({"output_size": 64}), (64, 64)),
        (json!({"output_size": "128"}), (128, 128)),
        (json!({"output_size": "custom", "custom_size": 100}), (100, 100)),
        (json!({"output_size": "64", "aspect_ratio": "16:9"}), (64, 36)),
        (json!({"resize_to": "512"}), (512, 512)),
    ];
    for (config, size) in cases {
        let mut config = config;
        config["padding_mode"] = json!("none");
        config["padding_color"] = json!("#ff0000");
        let answer = crop(item.clone(), config.clone()).unwrap();
        let crop = answer.image("crop").unwrap();
        assert_eq!(crop.size(), size, "{config}");
        let padded = size.0 == size.1;
        assert_eq!(crop.rgb(size.0 / 2, 0) == [255, 0, 0], padded, "{config}");
    }
}

#[test]
fn chooses_and_sorts() {
    let items = json!([
        {"id": "a", "bbox_abs": [100, 100, 200, 300], "class_name": "bottle", "confidence": 0.9},
        {"id": "b", "bbox_abs": [300, 50, 310, 60], "class_name": "can", "confidence": 0.95},
        {"id": "c", "bbox_abs": [50, 400, 250, 700], "class_name": "bottle", "confidence": 0.4},
        {"id": "d", "bbox_abs": [10, 10, 10, 700], "class_name": "bottle", "confidence": 0.5},
    ]);
    let ids = |config: Value| -> Vec<String> {
        let answer = crop(items.clone(), config).unwrap();
        assert_eq!(answer.images("crops").len(), answer.value("count").as_u64().unwrap() as usize);
        answer.value("detections").as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect()
    };
    for (config, expected) in [
        (json!({}), vec!["a", "b", "c"]),
        (json!({"filter_classes": ["bottle"], "min_confidence": 0.4}), vec!["a", "c"]),
        (json!({"sort_by": "confidence"}), vec!["b", "a", "c"]),
        (json!({"sort_by": "area"}), vec!["c", "a", "b"]),
        (json!({"sort_by": "left_to_right"}), vec!["c", "a", "b"]),
        (json!({"sort_by": "top_to_bottom"}), vec!["b", "a", "c"]),
        (json!({"min_size": 11}), vec!["a", "c"]),
        (json!({"max_crops": 1, "sort_by": "area"}), vec!["c"]),
    ] {
        assert_eq!(ids(config.clone()), expected, "{config}");
    }
    let answer = crop(items.clone(), json!({"max_crops": 1, "min_size": 11})).unwrap();
    assert_eq!(reasons(&answer), [("b", "too_small"), ("c", "max_crops"), ("d", "empty_box")]);
    assert_eq!(answer.value("crop_metadata")[0]["index"], 0);
}

#[test]
fn one_detection_and_none() {
    let call = || Call::new(PACKAGE, "crop").image("image", &image((100, 100)));
    let answer = call().input("detection", json!({"bbox": [0, 0, 1, 1], "shelf": 3})).run().unwrap();
    assert_eq!((answer.value("count"), &answer.value("detections")[0]["shelf"]), (&json!(1), &json!(3)));
    let answer = call().input("detections", json!([])).run().unwrap();
    assert_eq!(
        Value::Object(answer.outputs),
        json!({"crops": [], "crop": null, "detections": [], "crop_metadata": [], "skipped": [], "count": 0})
    );
    let error = crop(json!([{"bbox": [0, 0, 1, 1]}, {"bbox": [0, 0, 50, 1]}]), json!({})).unwrap_err();
    assert!(error.to_string().starts_with("detections[1]: "), "{error}");
}

#[test]
fn saves() {
    for (config, wired, codes) in [
        (json!({}), vec!["image", "detections"], vec![]),
        (json!({}), vec!["image", "detection"], vec![]),
        (json!({}), vec!["image"], vec!["E-PORT-REQUIRED"]),
        (json!({}), vec!["image", "detections", "detection"], vec!["E-PORT-CONFLICT"]),
        (json!({"aspect_ratio": "custom", "aspect_w": 2}), vec!["detection"], vec!["E-CONFIG"]),
        (json!({"padding": 4097}), vec!["detection"], vec!["E-CONFIG"]),
        (json!({"output_size": "100"}), vec!["detection"], vec!["E-CONFIG"]),
    ] {
        let problems = check(PACKAGE, "crop", &config, &wired);
        assert_eq!(problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), codes, "{config} {wired:?}");
    }
}
