//! Detections: boxes of any decoder back in the source image, filtered, merged, as JSON.

use serde_json::{Value, json};
use sightflow_types::detection::Detection;
use sightflow_types::geometry::{Candidate, Merge, MergeMode, merge};
use sightflow_types::model::{Decoder, ModelSpec};

use super::found::Found;
use super::{Seen, flag, nanodet, number, unreadable};
use crate::RunFailure;

/// Boxes that take part in merging at most; the weakest are left out. Merging compares each with each.
const MOST_CANDIDATES: usize = 10_000;

pub(super) fn decode(
    spec: &ModelSpec,
    params: &Value,
    size: (u32, u32),
    seen: &[Seen<'_>],
) -> Result<Value, RunFailure> {
    let confidence = number(params, "confidence", spec.defaults.confidence);
    let overlap = number(params, "iou_threshold", spec.defaults.iou_threshold);
    let most = number(params, "max_detections", 300.0) as usize;
    let wanted = wanted(spec, params);
    let mut candidates = Vec::new();
    for (source, seen) in seen.iter().enumerate() {
        let found = find(spec, seen, confidence, &wanted).map_err(unreadable)?;
        let mode = if flag(params, "agnostic_nms", false) { MergeMode::Nms } else { MergeMode::NmsClass };
        candidates.extend(suppress(found, seen, source, size, &Merge::new(mode, overlap)));
    }
    if seen.len() > 1 {
        let fusion = Merge { sources: seen.len(), ..Merge::new(MergeMode::Wbf, overlap) };
        candidates = apply(&candidates, &fusion);
        candidates.retain(|candidate| candidate.score >= confidence);
    }
    candidates.truncate(most);
    let detections: Vec<_> = candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let name = spec.labels.get(candidate.class).cloned().unwrap_or_else(|| candidate.class.to_string());
            Detection::from_pixels(
                index.to_string(),
                (candidate.class as i64, name),
                candidate.score,
                candidate.bbox,
                size,
            )
        })
        .collect();
    Ok(json!({"detections": detections, "image_size": {"width": size.0, "height": size.1}}))
}

/// Dispatches to the decoder.
fn find(
    spec: &ModelSpec,
    seen: &Seen<'_>,
    confidence: f64,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Vec<Found>, String> {
    match &spec.decoder {
        Decoder::Nanodet { strides, reg_max } => {
            nanodet::boxes(seen, strides, *reg_max, spec.input_size(), confidence, wanted)
        }
        other => Err(format!("the decoder `{}` does not make boxes", other.name())),
    }
}

/// Whether `classes` and `class_ids` keep a class; both must, where both are given.
fn wanted(spec: &ModelSpec, params: &Value) -> impl Fn(usize) -> bool {
    let list = |key: &str| params.get(key).and_then(Value::as_array);
    let names =
        list("classes").map(|names| names.iter().filter_map(|name| spec.class_id(name.as_str()?)).collect::<Vec<_>>());
    let ids =
        list("class_ids").map(|ids| ids.iter().filter_map(Value::as_f64).map(|id| id as usize).collect::<Vec<_>>());
    move |class| [&names, &ids].into_iter().flatten().all(|list| list.contains(&class))
}

fn suppress(
    mut found: Vec<Found>,
    seen: &Seen<'_>,
    source: usize,
    size: (u32, u32),
    how: &Merge,
) -> Vec<Candidate<usize>> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST_CANDIDATES);
    let place = |found: &Found| Candidate {
        bbox: seen.placement.to_source(found.bbox, size),
        score: found.score,
        class: found.class,
        source,
    };
    let candidates: Vec<_> = found.iter().map(place).filter(|candidate| candidate.bbox.area() > 0.0).collect();
    apply(&candidates, how)
}

fn apply(candidates: &[Candidate<usize>], how: &Merge) -> Vec<Candidate<usize>> {
    let merged = merge(candidates, how).into_iter();
    merged
        .map(|merged| Candidate { bbox: merged.bbox, score: merged.score, ..candidates[merged.index].clone() })
        .collect()
}
