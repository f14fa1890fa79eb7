use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sightflow_block::testing::{Answer, Call, check};
use sightflow_block::{BlockError, Image, Value, json};

use crate::PACKAGE;

fn normalize(image: &Image, config: Value) -> Result<Answer, BlockError> {
    Call::new(PACKAGE, "normalize").config(config).image("image", image).run()
}

fn floats(tensor: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(tensor["base64"].as_str().unwrap()).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn grey_100() {
    let grey = Image::from_fn((2, 2), |_, _| [100; 3]);
    let answer = normalize(&grey, json!({"output_tensor": true})).unwrap();
    assert_eq!(answer.value("stats")["after"]["mean"], json!([-0.405429, -0.285014, -0.061525]));
    assert_eq!(
        answer.value("stats")["before"],
        json!({"min": [100.0, 100.0, 100.0], "max": [100.0, 100.0, 100.0], "mean": [100.0, 100.0, 100.0], "std": [0.0, 0.0, 0.0]})
    );
    assert_eq!(answer.image("preview").unwrap().rgb(1, 1), [102, 110, 124]);
    assert_eq!(answer.image_slot("image"), Some(0));
    let tensor = answer.value("tensor");
    assert_eq!(
        (&tensor["shape"], &tensor["dtype"], &tensor["layout"]),
        (&json!([3, 2, 2]), &json!("f32"), &json!("CHW"))
    );
    let values = floats(tensor);
    assert_eq!(values.len(), 12);
    assert!(
        (f64::from(values[0]) + 0.405429).abs() < 1e-6 && (f64::from(values[11]) + 0.061525).abs() < 1e-6,
        "{values:?}"
    );
}

#[test]
fn presets_and_orders() {
    let image = Image::from_fn((2, 1), |x, _| [255 * (x as u8), 51, 0]);
    let cases = [
        (json!({"preset": "0_1"}), vec![0.0, 1.0, 0.2, 0.2, 0.0, 0.0]),
        (json!({"preset": "-1_1", "output_format": "HWC"}), vec![-1.0, -0.6, -1.0, 1.0, -0.6, -1.0]),
        (json!({"preset": "none", "channel_order": "BGR"}), vec![0.0, 0.0, 51.0, 51.0, 0.0, 255.0]),
        (
            json!({"preset": "custom", "mean": [0, 0, 1], "std": [1, 0.5, 2], "std_r": 4}),
            vec![0.0, 0.25, 0.4, 0.4, -0.5, -0.5],
        ),
    ];
    for (config, expected) in cases {
        let mut all = config.clone();
        all["output_tensor"] = json!(true);
        let answer = normalize(&image, all).unwrap();
        let values = floats(answer.value("tensor"));
        assert!(
            values.len() == 6 && values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{config}: {values:?}"
        );
    }
}

#[test]
fn contrast() {
    // A dark ramp: 60 levels of 256.
    let ramp = Image::from_fn((240, 40), |x, _| [40 + (x / 4) as u8; 3]);
    for preset in ["clahe", "histogram"] {
        // One tile without a limit equalises as a whole does; several would raise the contrast within each only.
        let config = if preset == "clahe" {
            json!({"preset": preset, "clahe_grid_size": 1, "clahe_clip_limit": 40})
        } else {
            json!({"preset": preset})
        };
        let answer = normalize(&ramp, config).unwrap();
        let (before, after) =
            (answer.value("stats")["before"]["std"][0].clone(), answer.value("stats")["after"]["std"][0].clone());
        assert!(after.as_f64().unwrap() * 255.0 > 1.2 * before.as_f64().unwrap(), "{preset}: {before} → {after}");
        assert_eq!(answer.image("image").unwrap().rgb(200, 20), answer.image("preview").unwrap().rgb(200, 20));
        let flat = Image::from_fn((20, 20), |_, _| [90, 120, 30]);
        let answer = normalize(&flat, json!({"preset": preset})).unwrap();
        assert_eq!(answer.image("image").unwrap().rgb(3, 3), [90, 120, 30], "{preset} of a flat image");
    }
}

#[test]
fn clahe_works_by_tile_and_within_its_limit() {
    // Left half dark, right half bright; both with a fine pattern of 4 levels.
    let image = Image::from_fn((128, 64), |x, y| [if x < 64 { 30 } else { 200 } + 4 * ((x + y) % 4) as u8; 3]);
    let spread = |config: Value, x: u32| {
        let answer = normalize(&image, config).unwrap();
        let image = answer.image("image").unwrap();
        let column: Vec<u8> = (0..16).map(|y| image.rgb(x, y)[0]).collect();
        column.iter().max().unwrap() - column.iter().min().unwrap()
    };
    let clahe = |limit: f64| json!({"preset": "clahe", "clahe_clip_limit": limit, "clahe_grid_size": 2});
    let [weak, strong] = [clahe(2.0), clahe(40.0)].map(|config| [spread(config.clone(), 10), spread(config, 118)]);
    for side in 0..2 {
        assert!(strong[side] > weak[side] && weak[side] >= 12, "{weak:?} {strong:?}");
    }
}

#[test]
fn refuses() {
    let large = Image::from_fn((1000, 400), |_, _| [0; 3]);
    assert!(normalize(&large, json!({"output_tensor": true})).unwrap_err().to_string().contains("1200000 elements"));
    for (config, pointer) in [
        (json!({"preset": "custom", "mean": [0, 0, 0]}), "/config/preset"),
        (json!({"preset": "custom", "mean": [0, 0, 0], "std": [1, 1, 0]}), "/config/std"),
        (json!({"mean": [0, 0]}), "/config/mean"),
        (json!({"clahe_grid_size": 65}), "/config/clahe_grid_size"),
        (json!({"preset": "l2"}), "/config/preset"),
    ] {
        let problems = check(PACKAGE, "normalize", &config, &["image"]);
        assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    let complete = json!({"preset": "custom", "mean_r": 0, "mean_g": 0, "mean_b": 0, "std": [1, 1, 1]});
    assert_eq!(check(PACKAGE, "normalize", &complete, &["image"]), []);
}
