//! What the tasks of models mean: the settings that ride in a job, and the outputs that are made of its result. Pure; used
//! when a workflow is planned and when it runs.

pub(crate) mod classes;
pub(crate) mod classify;
pub(crate) mod detect;
pub(crate) mod embed;

use serde_json::{Map, Value};
use sightflow_types::Task;

/// Values by output port.
pub(crate) type Values = Vec<(&'static str, Value)>;

/// The settings that ride in a job, out of a canonical configuration.
pub(crate) fn job_params(task: Task, config: &Map<String, Value>) -> Value {
    let keys: &[&str] = match task {
        Task::Detection => &detect::PARAMS,
        Task::Classification => &classify::PARAMS,
        Task::Embedding => &embed::PARAMS,
        Task::Segmentation => &[],
    };
    let mut params: Map<String, Value> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), config.get(*key)?.clone()))).collect();
    if config.get("decision_mode").and_then(Value::as_str) == Some("binary_decision")
        && let Some(target) = config.get("target_class")
    {
        params.insert("target_class".to_owned(), target.clone());
    }
    Value::Object(params)
}
