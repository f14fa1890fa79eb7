//! `classification`.

use serde_json::{Map, Value};

use super::{Flaw, Settings, taken};

pub(super) fn job_params(config: &Map<String, Value>) -> Map<String, Value> {
    let mut params = taken(config, &["input_size", "top_k", "mode", "temperature", "tta", "tta_merge"]);
    // The decision is about all classes, also those beyond `top_k`.
    if decides_about_one(config) {
        params.extend(taken(config, &["target_class"]));
    }
    params
}

/// Decisions whose class the model lacks, or whose thresholds contradict each other.
pub(super) fn check(settings: &Settings<'_>, labels: &[String]) -> Vec<Flaw> {
    let Settings { config, later } = settings;
    let mut flaws = Vec::new();
    if decides_about_one(config) {
        match config.get("target_class").and_then(Value::as_str) {
            None if !later.contains(&"target_class") => {
                let message = "`binary_decision` needs a `target_class`".to_owned();
                flaws.push(Flaw { key: "target_class", message });
            }
            Some(name) if !labels.iter().any(|label| label == name) => {
                flaws.push(Flaw { key: "target_class", message: format!("the model has no class `{name}`") });
            }
            _ => {}
        }
    }
    let number = |key: &str| config.get(key).and_then(Value::as_f64);
    let thresholds = number("reject_threshold").zip(number("uncertainty_threshold"));
    if thresholds.is_some_and(|(reject, uncertain)| reject > uncertain) {
        let message = "`reject_threshold` is greater than `uncertainty_threshold`".to_owned();
        flaws.push(Flaw { key: "reject_threshold", message });
    }
    flaws
}

fn decides_about_one(config: &Map<String, Value>) -> bool {
    config.get("decision_mode").and_then(Value::as_str) == Some("binary_decision")
}
