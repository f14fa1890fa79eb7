//! What the tasks of models mean to a workflow: their blocks (each manifest lies beside its code), the settings that ride in a
//! job, what a save checks, and the outputs that are made of results. Pure: planning and running both ask here.

mod classes;
pub(crate) mod classify;
pub(crate) mod detect;
pub(crate) mod embed;

use serde_json::{Map, Value};
use sightflow_types::Task;

/// The block of each task, by the JSON text of its manifest.
pub(crate) const BLOCKS: [(Task, &str); 3] = [
    (Task::Detection, include_str!("detect.json")),
    (Task::Classification, include_str!("classify.json")),
    (Task::Embedding, include_str!("embed.json")),
];

/// Values by output port.
pub(crate) type Values = Vec<(&'static str, Value)>;

/// A canonical configuration, as far as its values are known.
pub(crate) struct Settings<'c> {
    /// What is known.
    pub(crate) config: &'c Map<String, Value>,
    /// Keys that get their values when the node runs.
    pub(crate) later: &'c [&'c str],
}

/// What is wrong with a key.
pub(crate) struct Flaw {
    /// The key.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// The settings that ride in a job, out of a canonical configuration.
pub(crate) fn job_params(task: Task, config: &Map<String, Value>) -> Value {
    Value::Object(match task {
        Task::Detection => detect::job_params(config),
        Task::Classification => classify::job_params(config),
        Task::Embedding => embed::job_params(config),
        Task::Segmentation => Map::new(),
    })
}

/// What the configuration asks of a model with these classes and cannot have, beyond what rides in a job.
pub(crate) fn check(task: Task, settings: &Settings<'_>, labels: &[String]) -> Vec<Flaw> {
    match task {
        Task::Classification => classify::check(settings, labels),
        Task::Detection | Task::Embedding | Task::Segmentation => Vec::new(),
    }
}

/// Those of the keys that are given.
fn taken(config: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), config.get(*key)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_rides_in_a_job() {
        let config = json!({
            "model_id": "m", "confidence": 0.5, "class_mapping": {"a": "b"}, "draw_boxes": true, "top_k": 3, "threshold": 0.2,
            "decision_mode": "binary_decision", "target_class": "cat", "normalize": true, "pooling": "cls",
        });
        let config = config.as_object().expect("an object");
        for (task, expected) in [
            (Task::Detection, json!({"confidence": 0.5})),
            (Task::Classification, json!({"top_k": 3, "target_class": "cat"})),
            (Task::Embedding, json!({"normalize": true, "pooling": "cls"})),
            (Task::Segmentation, json!({})),
        ] {
            assert_eq!(job_params(task, config), expected, "{task}");
        }
    }

    #[test]
    fn decisions_need_their_classes_and_thresholds() {
        let labels = ["cat".to_owned(), "dog".to_owned()];
        let cases: [(Value, &[&str], Vec<&str>); 7] = [
            (json!({"decision_mode": "binary_decision", "target_class": "dog"}), &[], vec![]),
            (json!({"decision_mode": "binary_decision", "target_class": "cow"}), &[], vec!["target_class"]),
            (json!({"decision_mode": "binary_decision"}), &[], vec!["target_class"]),
            (json!({"decision_mode": "binary_decision"}), &["target_class"], vec![]),
            (json!({"target_class": "cow"}), &[], vec![]),
            (json!({"reject_threshold": 0.8, "uncertainty_threshold": 0.7}), &[], vec!["reject_threshold"]),
            (json!({"reject_threshold": 0.7, "uncertainty_threshold": 0.7}), &[], vec![]),
        ];
        for (config, later, expected) in cases {
            let settings = Settings { config: config.as_object().expect("an object"), later };
            let found: Vec<_> = check(Task::Classification, &settings, &labels).iter().map(|flaw| flaw.key).collect();
            assert_eq!(found, expected, "{config}");
        }
    }
}
