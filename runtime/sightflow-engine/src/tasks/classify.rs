//! `classification`: top k, thresholds, decisions.

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};

use super::classes::{class_mapping, rename};
use super::{Flaw, Settings, Values, taken};

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

/// What a node delivers for the results of its images, in order. `single`: it was given one image, not a list.
pub(crate) fn outputs(
    config: &Map<String, Value>,
    results: &[Value],
    single: bool,
    metadata: Value,
) -> Result<Values, RunError> {
    let predictions: Vec<Value> =
        results.iter().map(|result| classification(config, result)).collect::<Result<_, _>>()?;
    let first = predictions.first();
    let of_first = |key: &str| first.and_then(|prediction| prediction.get(key)).cloned().unwrap_or_default();
    let entries = first.and_then(|prediction| prediction.get("top_k")).and_then(Value::as_array);
    let probabilities = entries.map(|entries| {
        let pairs = entries.iter().filter_map(|entry| {
            Some((entry.get("class_name")?.as_str()?.to_owned(), entry.get("confidence")?.clone()))
        });
        Value::Object(pairs.collect())
    });
    let uncertain = config.get("uncertainty_threshold").and_then(Value::as_f64).unwrap_or(0.7);
    let is_uncertain = first.map(|prediction| {
        prediction.get("confidence").and_then(Value::as_f64).is_none_or(|confidence| confidence < uncertain)
    });
    let decisions: Vec<Value> =
        predictions.iter().map(|prediction| prediction.get("decision").cloned().unwrap_or_default()).collect();
    let decision = if single { decisions.first().cloned().unwrap_or_default() } else { Value::Array(decisions) };
    let labels: Vec<Value> =
        predictions.iter().map(|prediction| prediction.get("class_name").cloned().unwrap_or_default()).collect();
    Ok(vec![
        ("top_prediction", first.cloned().unwrap_or_default()),
        ("label", of_first("class_name")),
        ("confidence", of_first("confidence")),
        ("labels", Value::Array(labels)),
        ("probabilities", probabilities.unwrap_or_default()),
        ("is_uncertain", json!(is_uncertain)),
        ("decision", decision),
        ("metadata", metadata),
        ("predictions", Value::Array(predictions)),
    ])
}

/// One image's classification: `{class_id, class_name, confidence, top_k, decision?, reason?}`.
fn classification(config: &Map<String, Value>, result: &Value) -> Result<Value, RunError> {
    let Some(all) = result.get("predictions").and_then(Value::as_array) else {
        return Err(RunError::new(code::JOB_FAILED, "the job's result holds no predictions"));
    };
    let multi = config.get("mode").and_then(Value::as_str) == Some("multi_label");
    let threshold = config.get("threshold").and_then(Value::as_f64).unwrap_or(if multi { 0.5 } else { 0.0 });
    let confidence = |entry: &Value| entry.get("confidence").and_then(Value::as_f64).unwrap_or(0.0);
    let target = binary(config, result, all)?;
    let mapping = class_mapping(config)?;
    // The best always stays, except in multi-label mode, where nothing may apply.
    let kept =
        all.iter().enumerate().filter(|(index, entry)| (*index == 0 && !multi) || confidence(entry) >= threshold);
    let mut top_k: Vec<Value> = kept.map(|(_, entry)| entry.clone()).collect();
    top_k.iter_mut().for_each(|entry| rename(entry, &mapping));
    let best =
        top_k.first().cloned().unwrap_or_else(|| json!({"class_id": null, "class_name": null, "confidence": null}));
    let mut object = best.as_object().cloned().unwrap_or_default();
    let (decision, reason) = decide(config, &object, target);
    object.insert("top_k".to_owned(), Value::Array(top_k));
    if !decision.is_null() {
        object.insert("decision".to_owned(), decision);
    }
    if let Some(reason) = reason {
        object.insert("reason".to_owned(), Value::String(reason));
    }
    Ok(Value::Object(object))
}

/// For `binary_decision`: the probability of the target among all classes.
fn binary(config: &Map<String, Value>, result: &Value, all: &[Value]) -> Result<Option<f64>, RunError> {
    if !decides_about_one(config) {
        return Ok(None);
    }
    let target = config.get("target_class").and_then(Value::as_str);
    let target = target.ok_or_else(|| RunError::new(code::BAD_CONFIG, "`binary_decision` needs a `target_class`"))?;
    let listed = || {
        all.iter()
            .find(|entry| entry.get("class_name").and_then(Value::as_str) == Some(target))?
            .get("confidence")?
            .as_f64()
    };
    let reported = result.pointer("/target/confidence").and_then(Value::as_f64).or_else(listed);
    reported
        .map(Some)
        .ok_or_else(|| RunError::new(code::JOB_FAILED, format!("the job's result lacks the probability of `{target}`")))
}

fn decide(config: &Map<String, Value>, best: &Map<String, Value>, target: Option<f64>) -> (Value, Option<String>) {
    let number = |key: &str, default: f64| config.get(key).and_then(Value::as_f64).unwrap_or(default);
    let name = best.get("class_name").cloned().unwrap_or_default();
    let confidence = best.get("confidence").and_then(Value::as_f64);
    match config.get("decision_mode").and_then(Value::as_str) {
        Some("with_confidence") => match (name.as_str(), confidence) {
            (Some(name), Some(confidence)) => (json!(format!("{name} ({confidence:.2})")), None),
            _ => (Value::Null, None),
        },
        Some("binary_decision") => (json!(target.map(|target| target >= number("decision_threshold", 0.5))), None),
        Some("uncertain_aware") => {
            let (confidence, reject, uncertain) =
                (confidence.unwrap_or(0.0), number("reject_threshold", 0.3), number("uncertainty_threshold", 0.7));
            if confidence < reject {
                (json!("rejected"), Some(format!("{confidence} < {reject}")))
            } else if confidence < uncertain {
                (json!("uncertain"), Some(format!("{confidence} < {uncertain}")))
            } else {
                (name, None)
            }
        }
        _ => (Value::Null, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::classification;

    #[test]
    fn thresholds_and_decisions() {
        let result = json!({"predictions": [
            {"class_id": 0, "class_name": "a", "confidence": 0.6652},
            {"class_id": 1, "class_name": "b", "confidence": 0.2447},
            {"class_id": 2, "class_name": "c", "confidence": 0.09},
        ], "target": {"class_id": 2, "class_name": "z", "confidence": 0.55}});
        let cases: [(Value, &str, Value); 7] = [
            (json!({"decision_mode": "uncertain_aware"}), "/decision", json!("uncertain")),
            (json!({"decision_mode": "uncertain_aware"}), "/reason", json!("0.6652 < 0.7")),
            (json!({"decision_mode": "with_confidence"}), "/decision", json!("a (0.67)")),
            (json!({"decision_mode": "binary_decision", "target_class": "z"}), "/decision", json!(true)),
            (json!({"threshold": 0.9}), "/top_k/0/class_name", json!("a")),
            (json!({"threshold": 0.9, "mode": "multi_label"}), "/class_name", Value::Null),
            (json!({"class_mapping": "a:x"}), "/original_class_name", json!("a")),
        ];
        for (config, pointer, expected) in cases {
            let config = config.as_object().cloned().unwrap_or_default();
            let found = classification(&config, &result).expect("a valid result");
            assert_eq!(found.pointer(pointer), Some(&expected), "{config:?}");
        }
    }
}
