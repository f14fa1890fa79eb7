//! `detection`.

use serde_json::{Map, Value};

use super::taken;

pub(super) fn job_params(config: &Map<String, Value>) -> Map<String, Value> {
    taken(
        config,
        &["input_size", "confidence", "iou_threshold", "agnostic_nms", "max_detections", "classes", "class_ids", "tta"],
    )
}
