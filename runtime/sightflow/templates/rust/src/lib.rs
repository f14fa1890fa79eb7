//! The blocks of the package `acme/retail`.

use sightflow_block::{
    BlockError, Config, DetectionInput, Example, Image, Inputs, Outputs, block, boxes, example, export_package, json,
};

/// Where to look.
#[derive(Inputs)]
pub struct LargestInputs {
    /// The image that the detections belong to.
    image: Image,
    /// What was found in it.
    detections: Vec<DetectionInput>,
}

/// What counts.
#[derive(Config)]
pub struct LargestConfig {
    /// Ignore detections below this confidence.
    #[config(default = 0.5, min = 0, max = 1)]
    min_confidence: f64,
}

/// The largest detection.
#[derive(Outputs)]
pub struct LargestOutputs {
    /// The part of the image that it covers; null if there is none.
    crop: Option<Image>,
    /// Its class; null if there is none.
    class_name: Option<String>,
}

/// Cuts out the largest detection.
#[block(category = "transform", examples = examples)]
pub fn largest(inputs: &LargestInputs, config: &LargestConfig) -> Result<LargestOutputs, BlockError> {
    let size = inputs.image.size();
    let largest = boxes(&inputs.detections, "detections", size)?
        .into_iter()
        .filter(|found| found.detection.confidence >= config.min_confidence)
        .max_by(|a, b| a.detection.area.total_cmp(&b.detection.area));
    let Some(largest) = largest else {
        return Ok(LargestOutputs { crop: None, class_name: None });
    };
    let crop = largest.pixels.cover(size).map(|area| inputs.image.crop(area)).transpose()?;
    Ok(LargestOutputs { crop, class_name: Some(largest.detection.class_name) })
}

/// Calls that anybody can try; each gets a grey picture of 640×480.
fn examples() -> Vec<Example> {
    let detections = json!([
        {"bbox": [0.0, 0.0, 0.1, 0.1], "class_name": "can", "confidence": 0.9},
        {"bbox": [0.5, 0.5, 0.9, 0.9], "class_name": "bottle", "confidence": 0.8},
        {"bbox": [0.0, 0.0, 1.0, 1.0], "class_name": "shelf", "confidence": 0.2},
    ]);
    vec![
        example(json!({"detections": detections}), json!({}), json!({"class_name": "bottle"})),
        example(json!({"detections": []}), json!({}), json!({"crop": null, "class_name": null})),
    ]
}

export_package!("acme/retail"; largest);

#[cfg(test)]
mod tests {
    use sightflow_block::{Image, json, testing};

    use super::PACKAGE;

    #[test]
    fn the_examples_hold() {
        testing::run_examples(PACKAGE);
    }

    #[test]
    fn the_crop_is_the_box() {
        let image = Image::from_fn((100, 50), |x, _| [x as u8, 0, 0]);
        let answer = testing::Call::new(PACKAGE, "largest")
            .image("image", &image)
            .input("detections", json!([{"bbox": [0.2, 0.0, 0.5, 1.0], "confidence": 0.9}]))
            .run()
            .unwrap();
        let crop = answer.image("crop").unwrap();
        assert_eq!((crop.size(), crop.rgb(0, 0)), ((30, 50), [20, 0, 0]));
    }
}
