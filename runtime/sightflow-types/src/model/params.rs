//! The settings that ride in an inference job, checked against a model before it runs.

use serde_json::{Map, Value};

use super::{Decoder, ModelSpec};
use crate::{Problem, Task};

/// Checks a job's settings against a model; empty when all is well.
///
/// Covers what depends on the model (unknown classes, another input size, pooling that it does not declare) and the
/// ranges and types of all settings, so that a job which reaches a worker cannot fail for its settings. Codes are
/// `E-CONFIG-KEY` for keys that the task does not have and `E-CONFIG-VALUE` for the rest; pointers are relative to
/// the settings (`/iou_threshold`).
pub fn validate_params(spec: &ModelSpec, params: &Value) -> Vec<Problem> {
    let empty = Map::new();
    let params = match params {
        Value::Object(params) => params,
        Value::Null => &empty,
        _ => {
            return vec![Problem::new("E-CONFIG-VALUE", "", "the settings of a job are an object")];
        }
    };
    let known = keys(spec.task);
    let mut problems = Vec::new();
    for (key, value) in params {
        let Some((_, rule)) = known.iter().find(|(name, _)| name == key) else {
            let message = format!("a {} job has no setting `{key}`", spec.task);
            problems.push(Problem::new("E-CONFIG-KEY", format!("/{key}"), message));
            continue;
        };
        if let Err(message) = rule.check(spec, value) {
            problems.push(Problem::new("E-CONFIG-VALUE", format!("/{key}"), format!("`{key}` {message}")));
        }
    }
    problems
}

/// What a setting may be.
enum Rule {
    Number(f64, f64),
    Integer(i64, i64),
    Bool,
    OneOf(&'static [&'static str]),
    InputSize,
    ClassNames,
    ClassIds,
    ClassName,
    Pooling,
    Mode,
}

fn keys(task: Task) -> &'static [(&'static str, Rule)] {
    match task {
        Task::Detection => &[
            ("input_size", Rule::InputSize),
            ("confidence", Rule::Number(0.0, 1.0)),
            ("iou_threshold", Rule::Number(0.0, 1.0)),
            ("agnostic_nms", Rule::Bool),
            ("max_detections", Rule::Integer(1, 3000)),
            ("classes", Rule::ClassNames),
            ("class_ids", Rule::ClassIds),
            ("tta", Rule::OneOf(&["none", "hflip"])),
        ],
        Task::Classification => &[
            ("input_size", Rule::InputSize),
            ("top_k", Rule::Integer(1, 100)),
            ("mode", Rule::Mode),
            ("temperature", Rule::Number(0.01, 10.0)),
            ("tta", Rule::OneOf(&["none", "hflip", "five_crop", "hflip_five_crop"])),
            ("tta_merge", Rule::OneOf(&["mean", "max", "vote"])),
            ("target_class", Rule::ClassName),
        ],
        Task::Embedding => &[
            ("input_size", Rule::InputSize),
            ("normalize", Rule::Bool),
            ("pooling", Rule::Pooling),
            ("gem_p", Rule::Number(1.0, 10.0)),
        ],
        Task::Segmentation => &[],
    }
}

impl Rule {
    /// The message continues after the key's name.
    fn check(&self, spec: &ModelSpec, value: &Value) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        match self {
            Self::Number(low, high) => match value.as_f64() {
                Some(number) if (*low..=*high).contains(&number) => Ok(()),
                _ => Err(format!("must be a number from {low} to {high}, not {value}")),
            },
            Self::Integer(low, high) => match whole(value) {
                Some(number) if (*low..=*high).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number from {low} to {high}, not {value}")),
            },
            Self::Bool if value.is_boolean() => Ok(()),
            Self::Bool => Err(format!("must be true or false, not {value}")),
            Self::OneOf(names) if value.as_str().is_some_and(|text| names.contains(&text)) => Ok(()),
            Self::OneOf(names) => Err(format!("must be one of {}, not {value}", names.join(", "))),
            Self::InputSize => input_size(spec, value),
            Self::ClassNames => each(value, |item| class_name(spec, item)),
            Self::ClassIds => each(value, |item| class_id(spec, item)),
            Self::ClassName => class_name(spec, value),
            Self::Pooling => pooling(spec, value),
            Self::Mode => match value.as_str() {
                Some("single_label") if matches!(spec.decoder, Decoder::Sigmoid { .. }) => {
                    Err("cannot be single_label: the model's classes are independent of each other".to_owned())
                }
                Some("single_label" | "multi_label") => Ok(()),
                _ => Err(format!("must be single_label or multi_label, not {value}")),
            },
        }
    }
}

/// An integer, or a float without a fraction.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64)
    })
}

fn each(value: &Value, check: impl Fn(&Value) -> Result<(), String>) -> Result<(), String> {
    value.as_array().ok_or_else(|| format!("must be a list, not {value}"))?.iter().try_for_each(check)
}

fn input_size(spec: &ModelSpec, value: &Value) -> Result<(), String> {
    let [width, height] = spec.input_size();
    match whole(value) {
        Some(side) if side == i64::from(width) && side == i64::from(height) => Ok(()),
        _ => Err(format!("cannot be {value}: the model takes {width}×{height} only")),
    }
}

fn class_name(spec: &ModelSpec, value: &Value) -> Result<(), String> {
    let name = value.as_str().ok_or_else(|| format!("must name a class, not {value}"))?;
    if spec.class_id(name).is_some() {
        return Ok(());
    }
    let near = spec.labels.iter().find(|label| label.eq_ignore_ascii_case(name));
    let hint = near.map(|label| format!("; did you mean `{label}`?")).unwrap_or_default();
    Err(format!("names `{name}`, which is no class of the model{hint}"))
}

fn class_id(spec: &ModelSpec, value: &Value) -> Result<(), String> {
    match whole(value) {
        Some(id) if usize::try_from(id).is_ok_and(|id| id < spec.labels.len()) => Ok(()),
        _ => Err(format!("holds {value}, but the model has the classes 0 to {}", spec.labels.len().saturating_sub(1))),
    }
}

fn pooling(spec: &ModelSpec, value: &Value) -> Result<(), String> {
    let Some(name @ ("cls" | "mean" | "max" | "gem")) = value.as_str() else {
        return Err(format!("must be cls, mean, max or gem, not {value}"));
    };
    match spec.embedding.as_ref().and_then(|embedding| embedding.pooling) {
        Some(_) => Ok(()),
        None => Err(format!("cannot be {name}: the model answers one vector, there are no patch tokens to pool")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{EmbeddingSpec, Pooling};

    fn spec(task: Task) -> ModelSpec {
        let labels = vec!["cat".to_owned(), "dog".to_owned()];
        ModelSpec::new(task, [416, 416], Decoder::Softmax { output: "logits".to_owned() }, labels)
    }

    fn check(task: Task, params: &Value, expected: &[&str]) {
        let problems = validate_params(&spec(task), params);
        let found: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
        assert_eq!(found, expected, "{params}");
    }

    #[test]
    fn settings_that_a_worker_can_apply() {
        check(Task::Detection, &Value::Null, &[]);
        check(
            Task::Detection,
            &json!({"confidence": 0, "iou_threshold": 1, "max_detections": 300.0, "input_size": 416}),
            &[],
        );
        check(
            Task::Detection,
            &json!({"classes": ["cat"], "class_ids": [1], "tta": "hflip", "agnostic_nms": true}),
            &[],
        );
        check(
            Task::Classification,
            &json!({"top_k": 5, "mode": "multi_label", "temperature": 2.5, "target_class": "dog"}),
            &[],
        );
        check(Task::Embedding, &json!({"normalize": false, "gem_p": 3}), &[]);
    }

    #[test]
    fn settings_that_it_cannot() {
        check(Task::Detection, &json!([]), &["E-CONFIG-VALUE "]);
        check(Task::Detection, &json!({"confidence": 1.1}), &["E-CONFIG-VALUE /confidence"]);
        check(Task::Detection, &json!({"confidence": "0.5"}), &["E-CONFIG-VALUE /confidence"]);
        check(Task::Detection, &json!({"max_detections": 0.5}), &["E-CONFIG-VALUE /max_detections"]);
        check(Task::Detection, &json!({"classes": ["Cat"]}), &["E-CONFIG-VALUE /classes"]);
        check(Task::Detection, &json!({"class_ids": [2]}), &["E-CONFIG-VALUE /class_ids"]);
        check(Task::Detection, &json!({"input_size": 640}), &["E-CONFIG-VALUE /input_size"]);
        check(Task::Detection, &json!({"top_k": 5}), &["E-CONFIG-KEY /top_k"]);
        check(
            Task::Classification,
            &json!({"temperature": 0, "tta": "vflip"}),
            &["E-CONFIG-VALUE /temperature", "E-CONFIG-VALUE /tta"],
        );
        check(Task::Embedding, &json!({"pooling": "mean"}), &["E-CONFIG-VALUE /pooling"]);
    }

    #[test]
    fn a_near_class_is_suggested() {
        let problems = validate_params(&spec(Task::Detection), &json!({"classes": ["Cat"]}));
        assert!(problems[0].message.ends_with("did you mean `cat`?"), "{}", problems[0].message);
    }

    #[test]
    fn pooling_where_it_is_declared() {
        let mut spec = spec(Task::Embedding);
        spec.embedding = Some(EmbeddingSpec { output: "tokens".to_owned(), pooling: Some(Pooling::Cls), dim: 8 });
        assert_eq!(validate_params(&spec, &json!({"pooling": "gem"})), []);
        assert_eq!(validate_params(&spec, &json!({"pooling": "sum"})).len(), 1);
    }
}
