use sightflow_block::testing::{Answer, Call, check};
use sightflow_block::{BlockError, Image, Value, json};

use crate::PACKAGE;

fn resize(size: (u32, u32), config: Value) -> Result<Answer, BlockError> {
    let image = Image::from_fn(size, |_, _| [200, 100, 50]);
    Call::new(PACKAGE, "resize").config(config).image("image", &image).run()
}

#[test]
fn sizes() {
    let to = |mode: &str| json!({"mode": mode, "width": 640, "height": 640});
    let cases = [
        ((1024, 768), to("fit_within"), (640, 480)),
        ((1280, 720), to("fit"), (640, 360)),
        ((1024, 768), to("letterbox"), (640, 640)),
        ((1024, 768), to("fit_outside"), (640, 640)),
        ((1024, 768), to("Stretch"), (640, 640)),
        ((1024, 768), json!({"size": [640, 640], "keep_aspect": false}), (640, 640)),
        ((1024, 768), json!({"size": [320, 640], "keep_aspect": true}), (320, 240)),
        ((1024, 768), json!({"mode": "exact", "width": 512}), (512, 384)),
        ((1024, 768), json!({"width": 512}), (512, 384)),
        ((1024, 768), json!({"mode": "scale_factor", "scale_factor": 0.25}), (256, 192)),
        ((1024, 768), json!({"mode": "width_only", "width": 100, "height": 9}), (100, 75)),
        ((1024, 768), json!({"mode": "height_only", "height": 75}), (100, 75)),
        ((1024, 768), json!({"mode": "longest_edge", "edge_size": 512}), (512, 384)),
        ((1024, 768), json!({"mode": "shortest_edge", "edge_size": 384}), (512, 384)),
        ((100, 50), json!({"width": 200, "height": 200, "upscale_policy": "forbid"}), (100, 50)),
        ((100, 50), json!({"width": 20, "height": 20, "downscale_policy": "forbid"}), (100, 50)),
        ((1000, 3), json!({"width": 10, "height": 10}), (10, 1)),
        ((1000, 750), json!({"width": 630, "height": 630, "multiple_of": 32}), (640, 480)),
        ((1000, 750), json!({"width": 630, "height": 630, "multiple_of": 32, "add_padding": true}), (640, 640)),
        ((100, 100), json!({"mode": "scale_factor", "scale_factor": 0.1, "multiple_of": 32}), (32, 32)),
        ((200, 100), json!({"mode": "scale_factor", "max_size": 50}), (50, 25)),
        ((200, 100), json!({"mode": "scale_factor", "min_size": 200}), (400, 200)),
    ];
    for (from, config, expected) in cases {
        let answer = resize(from, config.clone()).unwrap();
        assert_eq!(answer.image("image").unwrap().size(), expected, "{config}");
        assert_eq!(*answer.value("new_size"), json!({"width": expected.0, "height": expected.1}), "{config}");
        assert_eq!(*answer.value("original_size"), json!({"width": from.0, "height": from.1}), "{config}");
    }
}

#[test]
fn letterbox() {
    for (from, position, [left, top, right, bottom]) in [
        ((1024, 768), "center", [0, 80, 0, 80]),
        ((1280, 720), "center", [0, 140, 0, 140]),
        ((1024, 768), "bottom_right", [0, 160, 0, 0]),
        ((767, 1024), "center", [80, 0, 81, 0]),
    ] {
        let config = json!({"width": 640, "height": 640, "add_padding": true, "padding_position": position, "padding_color": "blue"});
        let answer = resize(from, config).unwrap();
        let info = answer.value("scale_info");
        assert_eq!(
            info["padding"],
            json!({"left": left, "top": top, "right": right, "bottom": bottom}),
            "{from:?} {position}"
        );
        let image = answer.image("image").unwrap();
        assert_eq!(image.rgb(320, 320), [200, 100, 50]);
        if top > 0 {
            assert_eq!([image.rgb(320, top - 1), image.rgb(320, top)], [[0, 0, 255], [200, 100, 50]]);
        }
    }
}

#[test]
fn fit_outside_cuts_in_the_middle() {
    let cut = |position: &str| {
        let config = json!({"mode": "cover", "width": 640, "height": 640, "crop_position": position});
        resize((1024, 768), config).unwrap().value("transform")["matrix"][2].as_f64().unwrap()
    };
    assert_eq!([cut("center"), cut("left"), cut("right")], [-106.0, 0.0, -213.0]);
}

#[test]
fn the_same_size_is_the_same_image() {
    let answer = resize((640, 480), json!({"width": 640, "height": 640})).unwrap();
    assert_eq!(answer.image_slot("image"), Some(0));
    assert_eq!(*answer.value("detections"), Value::Null);
}

#[test]
fn detections_move_along() {
    let image = Image::from_fn((1024, 768), |_, _| [0; 3]);
    let call = |config: Value| {
        let detections = json!([
            {"id": "a", "bbox_abs": [512, 384, 1024, 768], "keypoints": [{"x": 0.5, "y": 0.5, "confidence": 1}]},
            {"id": "b", "bbox_abs": [0, 0, 100, 768]},
        ]);
        Call::new(PACKAGE, "resize")
            .config(config)
            .image("image", &image)
            .input("detections", detections)
            .run()
            .unwrap()
    };
    let answer = call(json!({"width": 640, "height": 640, "add_padding": true}));
    let moved = &answer.value("detections")[0];
    assert_eq!(moved["bbox_abs"], json!({"x1": 320.0, "y1": 320.0, "x2": 640.0, "y2": 560.0}));
    assert_eq!(moved["bbox"], json!({"x1": 0.5, "y1": 0.5, "x2": 1.0, "y2": 0.875}));
    assert_eq!(moved["keypoints"][0], json!({"x": 0.5, "y": 0.5, "confidence": 1}));
    // What lies in the part that is cut off is gone.
    let answer = call(json!({"mode": "fit_outside", "width": 640, "height": 640}));
    let ids: Vec<_> = answer.value("detections").as_array().unwrap().iter().map(|d| d["id"].clone()).collect();
    assert_eq!(ids, ["a"]);
}

#[test]
fn saves() {
    for (config, codes) in [
        (json!({}), vec!["E-CONFIG"]),
        (json!({"width": 640}), vec![]),
        (json!({"size": [640, 480]}), vec![]),
        (json!({"mode": "width_only", "height": 640}), vec!["E-CONFIG"]),
        (json!({"mode": "scale_factor"}), vec![]),
        (json!({"mode": "longest_edge"}), vec![]),
        (json!({"width": 640, "antialias": true}), vec![]),
        (json!({"mode": "scale_factor", "scale_factor": 0}), vec!["E-CONFIG"]),
        (json!({"width": 640, "size": [1]}), vec!["E-CONFIG"]),
        (json!({"width": 640, "sharpen": 1}), vec!["E-CONFIG-KEY"]),
    ] {
        let problems = check(PACKAGE, "resize", &config, &["image"]);
        assert_eq!(problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), codes, "{config}");
    }
    assert!(resize((10, 10), json!({})).unwrap_err().to_string().contains("fit_within needs width or height"));
}
