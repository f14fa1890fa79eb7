//! Model frames: images become inference jobs, results become outputs.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};
use sightflow_types::{JobId, Task};

use super::frame::Outputs;
use super::jobs::{JobOutcome, JobRequest};
use super::work::{Delivered, NodeFailure, Work};
use crate::cell::Cell;
use crate::images::{Picture, Purpose};
use crate::plan::PlanModel;
use crate::tasks::{self, classify, detect, embed};

/// The jobs that a frame asks for; its images are stored first.
pub(super) async fn requests(work: &Work) -> Result<Vec<JobRequest>, RunError> {
    let node = work.node();
    let model = model(work)?;
    let (images, single) = images(work)?;
    let params = tasks::job_params(model.task, &work.config);
    let mut jobs = Vec::with_capacity(images.len());
    for (index, picture) in images.into_iter().enumerate() {
        jobs.push(JobRequest {
            node_id: node.id.to_string(),
            item_path: if single { work.path.to_string() } else { format!("{}#{index}", work.path) },
            task: model.task,
            model_id: model.id.clone(),
            model_source: model.source,
            model_digest: model.digest,
            params: params.clone(),
            input: picture.store(work.ground.access(), Purpose::Job).await?,
        });
    }
    // A waiting run keeps no pixels that are stored.
    work.ground.table.rest();
    Ok(jobs)
}

/// What a frame delivers, once all its jobs have ended.
pub(super) async fn finish(work: &Work, jobs: Vec<JobId>, outcomes: Vec<JobOutcome>) -> Result<Delivered, NodeFailure> {
    let attempts = outcomes.iter().map(|outcome| outcome.attempts).max().unwrap_or(1).max(1);
    let queue_ms = outcomes.iter().filter_map(|outcome| outcome.queue_ms).max();
    match outputs(work, outcomes).await {
        Ok(outputs) => Ok(Delivered { outputs, jobs, queue_ms, attempts }),
        Err(failure) => Err(NodeFailure { repeat: false, attempts, jobs, ..failure }),
    }
}

async fn outputs(work: &Work, outcomes: Vec<JobOutcome>) -> Result<Outputs, NodeFailure> {
    let (model, node) = (model(work)?, &work.node().id);
    let single = work.input("image").is_some();
    let metadata = metadata(model, &outcomes);
    let mut results = Vec::with_capacity(outcomes.len());
    for (index, outcome) in outcomes.into_iter().enumerate() {
        results.push(outcome.result.map_err(|mut error| {
            error.item = (!single).then(|| format!("#{index}"));
            error
        })?);
    }
    let values = match model.task {
        Task::Detection => {
            let name = if work.path.is_empty() { node.to_string() } else { format!("{node}/{}", work.path) };
            let detected = detect::outputs(&work.config, &name, results, metadata)?;
            let drawn = annotated(work, &detected.list).await?;
            let list = Cell::plain(detected.list);
            let mut outputs = vec![
                (Arc::from("detections"), list.clone()),
                (Arc::from("predictions"), list),
                (Arc::from("annotated_image"), drawn),
            ];
            outputs.extend(cells(detected.others));
            return Ok(outputs);
        }
        Task::Classification => classify::outputs(&work.config, &results, single, metadata)?,
        Task::Embedding => embed::outputs(&results, metadata)?,
        Task::Segmentation => {
            let message = "segmentation is not available in this version";
            return Err(RunError::new(code::INTERNAL, message).into());
        }
    };
    Ok(cells(values).collect())
}

fn cells(values: Vec<(&'static str, Value)>) -> impl Iterator<Item = (Arc<str>, Cell)> {
    values.into_iter().map(|(port, value)| (Arc::from(port), Cell::plain(value)))
}

fn model(work: &Work) -> Result<&PlanModel, RunError> {
    let model = work.node().model.as_ref();
    model.ok_or_else(|| RunError::new(code::INTERNAL, "a model node was planned without its model"))
}

/// The frame's images, and whether they came through the port `image`.
fn images(work: &Work) -> Result<(Vec<Arc<Picture>>, bool), RunError> {
    let bad = |message: String| RunError::new(code::BAD_INPUT, message);
    if let Some(cell) = work.input("image") {
        let image = cell.as_image().ok_or_else(|| bad("the input `image` is not an image".to_owned()))?;
        return Ok((vec![Arc::clone(image)], true));
    }
    let Some(cell) = work.input("images") else {
        return Err(bad("neither `image` nor `images` arrived".to_owned()));
    };
    let items = cell.value().as_array().ok_or_else(|| bad("the input `images` is not a list".to_owned()))?;
    let found = items.iter().enumerate().map(|(index, item)| {
        let mut error = bad(format!("the entry {index} of `images` is not an image"));
        error.item = Some(format!("#{index}"));
        work.ground.table.of(item).ok_or(error)
    });
    Ok((found.collect::<Result<_, _>>()?, false))
}

/// The image with boxes, drawn by the block that also draws them elsewhere; null where it was not asked for.
async fn annotated(work: &Work, detections: &Value) -> Result<Cell, NodeFailure> {
    if work.config.get("draw_boxes") != Some(&Value::Bool(true)) {
        return Ok(Cell::plain(Value::Null));
    }
    let (Some(draws), Some(image)) = (&work.node().draws, work.input("image")) else {
        return Err(RunError::new(code::INTERNAL, "the block `draw_boxes` is not installed").into());
    };
    let taken =
        [("box_thickness", "line_width"), ("draw_labels", "show_labels"), ("draw_confidence", "show_confidence")];
    let config: Map<String, Value> =
        taken.iter().filter_map(|(from, to)| Some(((*to).to_owned(), work.config.get(*from)?.clone()))).collect();
    let mut canonical = draws.schema.canonical_keys(config);
    draws.schema.finish(&mut canonical, &[]);
    let config: Arc<str> = Arc::from(Value::Object(canonical.config).to_string());
    let inputs = [(Arc::from("image"), image.clone()), (Arc::from("detections"), Cell::plain(detections.clone()))];
    let outputs = work.call(&draws.block, config, &inputs).await?;
    let image = outputs.into_iter().find(|(port, _)| &**port == "image").map(|(_, cell)| cell);
    Ok(image.ok_or_else(|| RunError::new(code::BLOCK_FAILED, "`draw_boxes` delivered no image"))?)
}

fn metadata(model: &PlanModel, outcomes: &[JobOutcome]) -> Value {
    let first = outcomes.first().map(|outcome| &outcome.metadata);
    let known = |key: &str| first.and_then(|metadata| metadata.get(key)).cloned().unwrap_or(Value::Null);
    let digest = match known("model_digest") {
        Value::Null => json!(model.digest),
        digest => digest,
    };
    json!({
        "model_id": model.id,
        "model_digest": digest,
        "task": model.task,
        "device": known("device"),
        "cached": known("cached"),
        "inference_ms": outcomes.iter().filter_map(|outcome| outcome.compute_ms).max(),
        "attempts": outcomes.iter().map(|outcome| outcome.attempts).max(),
    })
}
