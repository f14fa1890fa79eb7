//! Model blocks: images become inference jobs, results become outputs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};
use sightflow_types::{JobId, Task as ModelTask};

use super::task::{Delivered, NodeFailure, Task};
use super::{JobOutcome, JobRequest, classify, detect, embed};
use crate::images::Purpose;
use crate::tasks::job_params;

pub(super) async fn run(task: &Task) -> Result<Delivered, NodeFailure> {
    let node = &task.plan.nodes[task.index];
    let Some(model) = &node.model else {
        return Err(RunError::new(code::INTERNAL, "a model node was planned without its model").into());
    };
    let (images, single) = images(task)?;
    let params = job_params(model.task, &task.config);
    let mut jobs = Vec::with_capacity(images.len());
    for (index, handle) in images.into_iter().enumerate() {
        jobs.push(JobRequest {
            node_id: node.id.to_string(),
            item_path: if single { String::new() } else { format!("#{index}") },
            task: model.task,
            model_id: model.id.clone(),
            model_source: model.source,
            model_digest: model.digest,
            params: params.clone(),
            input: task.table.store(handle, task.parts.images.as_ref(), Purpose::Job).await?,
        });
    }
    // A waiting run keeps no pixels that are stored.
    task.table.rest();
    let outcomes = if jobs.is_empty() { Vec::new() } else { task.parts.jobs.run(jobs).await? };
    let job_ids: Vec<JobId> = outcomes.iter().filter_map(|outcome| outcome.job_id).collect();
    let attempts = outcomes.iter().map(|outcome| outcome.attempts).max().unwrap_or(1).max(1);
    let queue_ms = outcomes.iter().filter_map(|outcome| outcome.queue_ms).max();
    let fail = |error: RunError| NodeFailure { error, repeat: false, attempts, job_ids: job_ids.clone() };
    let mut results = Vec::with_capacity(outcomes.len());
    for (index, outcome) in outcomes.iter().enumerate() {
        match &outcome.result {
            Ok(result) => results.push(result.clone()),
            Err(error) => {
                let mut error = error.clone();
                error.item = (!single).then(|| format!("#{index}"));
                return Err(fail(error));
            }
        }
    }
    let metadata = metadata(task, &outcomes);
    let outputs = match model.task {
        ModelTask::Detection => detect::outputs(task, results, metadata).await.map_err(|failure| failure.error),
        ModelTask::Classification => classify::outputs(task, &results, single, metadata),
        ModelTask::Embedding => embed::outputs(&results, metadata),
        ModelTask::Segmentation => Err(RunError::new(code::INTERNAL, "segmentation is not available in this version")),
    };
    let outputs = outputs.map_err(fail)?;
    Ok(Delivered { outputs, job_ids, queue_ms, attempts })
}

/// The node's images, and whether they came through the port `image`.
fn images(task: &Task) -> Result<(Vec<usize>, bool), RunError> {
    let bad = |message: String| RunError::new(code::BAD_INPUT, message);
    if let Some(cell) = task.input("image") {
        let image =
            task.table.handle(&cell.value).ok_or_else(|| bad("the input `image` is not an image".to_owned()))?;
        return Ok((vec![image], true));
    }
    let Some(cell) = task.input("images") else {
        return Err(bad("neither `image` nor `images` arrived".to_owned()));
    };
    let items = cell.value.as_array().ok_or_else(|| bad("the input `images` is not a list".to_owned()))?;
    let found = items.iter().enumerate().map(|(index, item)| {
        let mut error = bad(format!("the entry {index} of `images` is not an image"));
        error.item = Some(format!("#{index}"));
        task.table.handle(item).ok_or(error)
    });
    Ok((found.collect::<Result<_, _>>()?, false))
}

fn metadata(task: &Task, outcomes: &[JobOutcome]) -> Value {
    let node = &task.plan.nodes[task.index];
    let first = outcomes.first().map(|outcome| &outcome.metadata);
    let known = |key: &str| first.and_then(|metadata| metadata.get(key)).cloned().unwrap_or(Value::Null);
    let model = node.model.as_ref();
    let digest = match known("model_digest") {
        Value::Null => json!(model.and_then(|model| model.digest)),
        digest => digest,
    };
    json!({
        "model_id": model.map(|model| model.id.as_str()),
        "model_digest": digest,
        "task": model.map(|model| model.task),
        "device": known("device"),
        "cached": known("cached"),
        "inference_ms": outcomes.iter().filter_map(|outcome| outcome.compute_ms).max(),
        "attempts": outcomes.iter().map(|outcome| outcome.attempts).max(),
    })
}

/// `class_mapping`: an object, or `old:new, a:b`. Names or class ids to names.
pub(super) fn class_mapping(config: &Map<String, Value>) -> Result<BTreeMap<String, String>, RunError> {
    match config.get("class_mapping") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(pairs)) => {
            Ok(pairs.iter().filter_map(|(from, to)| Some((from.clone(), to.as_str()?.to_owned()))).collect())
        }
        Some(Value::String(text)) => {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
                let (from, to) = pair.split_once(':').ok_or_else(|| {
                    RunError::new(code::BAD_CONFIG, format!("`class_mapping`: `{}` is not `old:new`", pair.trim()))
                })?;
                Ok((from.trim().to_owned(), to.trim().to_owned()))
            });
            pairs.collect()
        }
        Some(other) => Err(RunError::new(code::BAD_CONFIG, format!("`class_mapping` is {other}"))),
    }
}

/// Renames an item's class; its former name stays in `original_class_name`.
pub(super) fn rename(item: &mut Value, mapping: &BTreeMap<String, String>) {
    let Some(object) = item.as_object_mut().filter(|_| !mapping.is_empty()) else {
        return;
    };
    let name = object.get("class_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = object.get("class_id").map(Value::to_string).unwrap_or_default();
    if let Some(new) = mapping.get(&name).or_else(|| mapping.get(&id)) {
        object.insert("original_class_name".to_owned(), Value::String(name));
        object.insert("class_name".to_owned(), Value::String(new.clone()));
    }
}
