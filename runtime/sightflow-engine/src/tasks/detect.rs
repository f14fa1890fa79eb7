//! `detection`.

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};

use super::classes::{class_mapping, rename};
use super::{Values, taken};

pub(super) fn job_params(config: &Map<String, Value>) -> Map<String, Value> {
    taken(
        config,
        &["input_size", "confidence", "iou_threshold", "agnostic_nms", "max_detections", "classes", "class_ids", "tta"],
    )
}

/// What was found.
pub(crate) struct Detected {
    /// The detections.
    pub(crate) list: Value,
    /// What else a node delivers.
    pub(crate) others: Values,
}

/// What a node delivers for the result of its image, without the picture with boxes. `name` begins the detections' ids.
pub(crate) fn outputs(
    config: &Map<String, Value>,
    name: &str,
    results: Vec<Value>,
    metadata: Value,
) -> Result<Detected, RunError> {
    let mut result = results.into_iter().next().unwrap_or_default();
    let Some(Value::Array(mut detections)) = result.get_mut("detections").map(Value::take) else {
        return Err(RunError::new(code::JOB_FAILED, "the job's result holds no detections"));
    };
    let mapping = class_mapping(config)?;
    let mut counts: Map<String, Value> = Map::new();
    for (index, item) in detections.iter_mut().enumerate() {
        rename(item, &mapping);
        let Some(object) = item.as_object_mut() else {
            continue;
        };
        object.insert("id".to_owned(), Value::String(format!("{name}/{index}")));
        let class = object.get("class_name").and_then(Value::as_str).unwrap_or("object").to_owned();
        let count = counts.get(&class).and_then(Value::as_u64).unwrap_or(0) + 1;
        counts.insert(class, json!(count));
    }
    let column =
        |key: &str| Value::Array(detections.iter().map(|item| item.get(key).cloned().unwrap_or_default()).collect());
    let others = vec![
        ("boxes", column("bbox")),
        ("labels", column("class_name")),
        ("scores", column("confidence")),
        ("first_detection", detections.first().cloned().unwrap_or_default()),
        ("count", json!(detections.len())),
        ("class_counts", Value::Object(counts)),
        ("metadata", metadata),
    ];
    Ok(Detected { list: Value::Array(detections), others })
}
