//! Outputs of `detection`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};

use super::cell::Cell;
use super::model::{class_mapping, rename};
use super::task::{NodeFailure, Task};

pub(super) async fn outputs(
    task: &Task,
    results: Vec<Value>,
    metadata: Value,
) -> Result<Vec<(String, Cell)>, NodeFailure> {
    let node = &task.plan.nodes[task.index];
    let result = results.into_iter().next().unwrap_or_default();
    let Some(Value::Array(mut detections)) = result.get("detections").cloned() else {
        return Err(RunError::new(code::JOB_FAILED, "the job's result holds no detections").into());
    };
    let mapping = class_mapping(&task.config)?;
    let mut counts: Map<String, Value> = Map::new();
    for (index, item) in detections.iter_mut().enumerate() {
        rename(item, &mapping);
        let Some(object) = item.as_object_mut() else {
            continue;
        };
        object.insert("id".to_owned(), Value::String(format!("{}/{index}", node.id)));
        let name = object.get("class_name").and_then(Value::as_str).unwrap_or("object").to_owned();
        let count = counts.get(&name).and_then(Value::as_u64).unwrap_or(0) + 1;
        counts.insert(name, json!(count));
    }
    let column =
        |key: &str| Value::Array(detections.iter().map(|item| item.get(key).cloned().unwrap_or_default()).collect());
    let (boxes, labels, scores) = (column("bbox"), column("class_name"), column("confidence"));
    let first = detections.first().cloned().unwrap_or_default();
    let count = detections.len();
    let list = Cell::plain(Value::Array(detections));
    let annotated = annotated(task, &list).await?;
    let plain = [
        ("first_detection", first),
        ("count", json!(count)),
        ("class_counts", Value::Object(counts)),
        ("boxes", boxes),
        ("labels", labels),
        ("scores", scores),
        ("metadata", metadata),
    ];
    let mut outputs = vec![
        ("detections".to_owned(), list.clone()),
        ("predictions".to_owned(), list),
        ("annotated_image".to_owned(), annotated),
    ];
    outputs.extend(plain.into_iter().map(|(port, value)| (port.to_owned(), Cell::plain(value))));
    Ok(outputs)
}

/// The image with boxes, drawn by the block that also draws them elsewhere; null where it was not asked for.
async fn annotated(task: &Task, detections: &Cell) -> Result<Cell, NodeFailure> {
    let node = &task.plan.nodes[task.index];
    if task.config.get("draw_boxes") != Some(&Value::Bool(true)) {
        return Ok(Cell::plain(Value::Null));
    }
    let (Some(draws), Some(image)) = (&node.draws, task.input("image")) else {
        return Err(RunError::new(code::INTERNAL, "the block `draw_boxes` is not installed").into());
    };
    let taken =
        [("box_thickness", "line_width"), ("draw_labels", "show_labels"), ("draw_confidence", "show_confidence")];
    let config =
        taken.iter().filter_map(|(from, to)| Some(((*to).to_owned(), task.config.get(*from)?.clone()))).collect();
    let mut canonical = draws.schema.canonical_keys(config);
    draws.schema.finish(&mut canonical, &[]);
    let inputs = [(Arc::from("image"), image.clone()), (Arc::from("detections"), detections.clone())];
    let outputs = task.call(&draws.block, &Value::Object(canonical.config).to_string(), &inputs).await?;
    let image = outputs.into_iter().find(|(port, _)| port == "image").map(|(_, cell)| cell);
    Ok(image.ok_or_else(|| RunError::new(code::BLOCK_FAILED, "`draw_boxes` delivered no image"))?)
}
