//! Model nodes: the model exists, fits the task, is ready, and takes these settings.

use std::sync::Arc;

use serde_json::Value;
use sightflow_types::model::validate_params;
use sightflow_types::{ModelSource, Problem, ProblemCode};

use super::PlanModel;
use super::draft::Draft;
use crate::catalog::Runner;
use crate::models::ModelCatalog;
use crate::tasks::{self, Settings};

pub(super) fn check(draft: &mut Draft, registry: &ModelCatalog, problems: &mut Vec<Problem>) -> Option<PlanModel> {
    let Runner::Model(task) = draft.entry.as_ref()?.runner else { return None };
    let place = |key: &str| format!("/nodes/{}/config/{key}", draft.at);
    for key in ["model_id", "model_source"] {
        if let Some((pointer, _)) = draft.config.dynamic.iter().find(|(_, (name, _))| name == key) {
            problems.push(Problem::new(
                ProblemCode::Config,
                pointer,
                format!("`{key}` is fixed when the workflow is saved; it cannot be a template"),
            ));
            return None;
        }
    }
    let given = draft.config.canonical.get("model_id").and_then(Value::as_str)?.to_owned();
    let source: ModelSource = draft.config.canonical.get("model_source").and_then(Value::as_str)?.parse().ok()?;
    let canonical =
        synonym(&given).filter(|name| registry.find(&given, source).is_none() && registry.find(name, source).is_some());
    if let Some(name) = &canonical {
        problems.push(
            Problem::new(ProblemCode::Alias, place("model_id"), format!("`{given}` is written `{name}` now"))
                .suggest(Some(name.as_str())),
        );
        draft.config.canonical.insert("model_id".to_owned(), Value::String(name.clone()));
    }
    let id = canonical.unwrap_or(given);
    let unknown = |message: String, near: Option<String>| {
        Problem::new(ProblemCode::ModelUnknown, place("model_id"), message).suggest(near)
    };
    let Some(model) = registry.find(&id, source) else {
        let names = registry.names(task);
        let known = if names.is_empty() {
            "none is registered".to_owned()
        } else {
            format!("registered are {}", names.join(", "))
        };
        problems
            .push(unknown(format!("there is no {source} {task} model `{id}`; {known}"), registry.nearest(&id, task)));
        return None;
    };
    if model.spec.task != task {
        problems.push(unknown(
            format!("`{id}` is a {} model, not one for {task}", model.spec.task),
            registry.nearest(&id, task),
        ));
        return None;
    }
    if !model.available {
        problems.push(unknown(format!("the model `{id}` is disabled or broken"), None));
        return None;
    }
    let params = tasks::job_params(task, &draft.config.canonical);
    for problem in validate_params(&model.spec, &params) {
        let pointer = format!("/nodes/{}/config{}", draft.at, problem.pointer);
        problems.push(Problem::new(ProblemCode::Config, pointer, problem.message).suggest(problem.suggestion));
    }
    let later: Vec<&str> = draft.config.dynamic.iter().map(|(_, (key, _))| key.as_str()).collect();
    let settings = Settings { config: &draft.config.canonical, later: &later };
    for flaw in tasks::check(task, &settings, &model.spec.labels) {
        problems.push(Problem::new(ProblemCode::Config, place(flaw.key), flaw.message));
    }
    Some(PlanModel { id, source, task, digest: model.digest, labels: Arc::new(model.spec.labels.clone()) })
}

/// Another name of the same weights.
fn synonym(id: &str) -> Option<String> {
    let folded = id.to_lowercase();
    let exact = match folded.as_str() {
        "clip-vit-base" => "clip-vit-b-32",
        "clip-vit-large" => "clip-vit-l-14",
        "dinov2_vits14" => "dinov2-small",
        "dinov2_vitb14" => "dinov2-base",
        "dinov2_vitl14" => "dinov2-large",
        "dinov2_vitg14" => "dinov2-giant",
        "vit-base-patch16-224" => "vit-base",
        "sam-vit-b" => "sam-base",
        "sam-vit-l" => "sam-large",
        "sam-vit-h" => "sam-huge",
        _ => "",
    };
    if !exact.is_empty() {
        return Some(exact.to_owned());
    }
    let prefixes = [
        ("yolov11", "yolo11"),
        ("yolo8", "yolov8"),
        ("rt-detr-", "rtdetr-"),
        ("rtdetr_", "rtdetr-"),
        ("d-fine-", "dfine-"),
        ("dfine_", "dfine-"),
    ];
    prefixes.iter().find_map(|(from, to)| folded.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}
