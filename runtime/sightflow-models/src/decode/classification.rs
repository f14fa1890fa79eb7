//! Classes of a whole image, over one or several views of it.

use serde_json::{Value, json};
use sightflow_types::model::{Decoder, ModelSpec};
use sightflow_types::round_to;

use super::{Seen, finite, number, unreadable};
use crate::RunFailure;

/// What the classes of a label set are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// Exactly one holds: softmax.
    Exclusive,
    /// Each holds or not: sigmoid.
    Independent,
}

pub(super) fn decode(spec: &ModelSpec, params: &Value, seen: &[Seen<'_>]) -> Result<Value, RunFailure> {
    let (output, natural) = match &spec.decoder {
        Decoder::Softmax { output } => (output, Labels::Exclusive),
        Decoder::Sigmoid { output } => (output, Labels::Independent),
        other => {
            return Err(unreadable(format!("the decoder `{}` does not make classes", other.name())));
        }
    };
    let labels = match params.get("mode").and_then(Value::as_str) {
        Some("multi_label") => Labels::Independent,
        Some("single_label") => Labels::Exclusive,
        _ => natural,
    };
    let temperature = number(params, "temperature", 1.0);
    let mut views = Vec::with_capacity(seen.len());
    for seen in seen {
        let (_, logits) = seen.outputs.of_image(output, seen.index).map_err(unreadable)?;
        if logits.is_empty() || logits.len() != spec.labels.len() {
            return Err(unreadable(format!(
                "`{output}` has {} classes, there are {} labels",
                logits.len(),
                spec.labels.len()
            )));
        }
        views.push(probabilities(finite(logits)?, labels, temperature));
    }
    let merge = params.get("tta_merge").and_then(Value::as_str).unwrap_or("mean");
    let scores = merge_views(&views, merge, labels);
    let prediction = |class: usize| json!({"class_id": class, "class_name": spec.labels[class], "confidence": round_to(scores[class].0, 4)});
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].0.total_cmp(&scores[*a].0).then(scores[*b].1.total_cmp(&scores[*a].1)));
    let best = order[0];
    let top: Vec<_> =
        order.iter().take(number(params, "top_k", 5.0) as usize).map(|class| prediction(*class)).collect();
    let mut result =
        json!({"predictions": top, "top_class": spec.labels[best], "top_confidence": round_to(scores[best].0, 4)});
    if let Some(target) = params.get("target_class").and_then(Value::as_str).and_then(|name| spec.class_id(name)) {
        result["target"] = prediction(target);
    }
    Ok(result)
}

/// Probabilities of logits divided by the temperature.
pub(super) fn probabilities(logits: &[f32], labels: Labels, temperature: f64) -> Vec<f64> {
    let scaled = logits.iter().map(|logit| f64::from(*logit) / temperature);
    match labels {
        Labels::Independent => scaled.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
        Labels::Exclusive => {
            let highest = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scaled.map(|logit| (logit - highest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect()
        }
    }
}

/// The score of each class over all views, and what decides between equal ones (the mean).
pub(super) fn merge_views(views: &[Vec<f64>], merge: &str, labels: Labels) -> Vec<(f64, f64)> {
    let count = views.len() as f64;
    let classes = views.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..classes).map(|class| views.iter().map(|view| view[class]).sum::<f64>() / count).collect();
    let scores: Vec<f64> = match merge {
        "max" => {
            let highest: Vec<f64> =
                (0..classes).map(|class| views.iter().map(|view| view[class]).fold(0.0, f64::max)).collect();
            let sum: f64 = highest.iter().sum();
            // Independent classes do not add up to one.
            if labels == Labels::Exclusive { highest.into_iter().map(|score| score / sum).collect() } else { highest }
        }
        "vote" => {
            let mut votes = vec![0.0; classes];
            for view in views {
                let favourite = (0..classes).reduce(|best, class| if view[class] > view[best] { class } else { best });
                favourite.into_iter().for_each(|class| votes[class] += 1.0 / count);
            }
            votes
        }
        _ => mean.clone(),
    };
    scores.into_iter().zip(mean).collect()
}
