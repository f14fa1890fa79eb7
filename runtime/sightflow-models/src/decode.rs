//! From output tensors to results. Each decoder is a file of its own.

mod classification;
mod detection;
mod embedding;
mod found;
mod nanodet;

use serde_json::Value;
use sightflow_images::Pixels;
use sightflow_types::Task;
use sightflow_types::model::ModelSpec;

use crate::preprocess::{Placement, View};
use crate::value::HostTensor;
use crate::{RunFailure, RunFailureClass};

/// The outputs of one pass.
pub(crate) struct Outputs {
    pub(crate) tensors: Vec<(String, HostTensor)>,
}

impl Outputs {
    /// The part of an output that belongs to one image, with its dimensions.
    ///
    /// # Errors
    /// The output does not exist or does not hold floats.
    pub(crate) fn of_image(&self, name: &str, index: usize) -> Result<(&[usize], &[f32]), String> {
        let (_, tensor) = self
            .tensors
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| format!("there is no output `{name}`"))?;
        let data = tensor.floats().ok_or_else(|| format!("the output `{name}` holds integers"))?;
        let size: usize = tensor.shape.iter().skip(1).product();
        let part = data
            .get(index * size..(index + 1) * size)
            .ok_or_else(|| format!("the output `{name}` has no image {index}"))?;
        Ok((&tensor.shape[1..], part))
    }
}

/// What the graph answered about one view of an image.
pub(crate) struct Seen<'a> {
    pub(crate) outputs: &'a Outputs,
    pub(crate) index: usize,
    pub(crate) placement: Placement,
}

/// The parts of an image that a request wants to be looked at.
pub(crate) fn views(spec: &ModelSpec, params: &Value, image: &Pixels) -> Vec<View> {
    let whole = View::whole(image);
    match params.get("tta").and_then(Value::as_str) {
        Some("hflip") => vec![whole, whole.mirrored()],
        Some("five_crop") if spec.task == Task::Classification => crops(whole).to_vec(),
        Some("hflip_five_crop") if spec.task == Task::Classification => {
            crops(whole).into_iter().flat_map(|crop| [crop, crop.mirrored()]).collect()
        }
        _ => vec![whole],
    }
}

/// The four corners and the centre, each 87.5 % of both sides.
fn crops(whole: View) -> [View; 5] {
    let part = |side: u32| ((f64::from(side) * 0.875).round() as u32).max(1);
    let (width, height) = (part(whole.width), part(whole.height));
    let (right, bottom) = (whole.width - width, whole.height - height);
    let at = |x, y| View { x, y, width, height, mirrored: false };
    [at(0, 0), at(right, 0), at(0, bottom), at(right, bottom), at(right / 2, bottom / 2)]
}

/// Makes the result of a request from what was seen in its views.
pub(crate) fn decode(spec: &ModelSpec, params: &Value, image: &Pixels, seen: &[Seen<'_>]) -> Result<Value, RunFailure> {
    match spec.task {
        Task::Detection => detection::decode(spec, params, (image.width(), image.height()), seen),
        Task::Classification => classification::decode(spec, params, seen),
        Task::Embedding => embedding::decode(spec, params, seen),
        Task::Segmentation => Err(unreadable("segmentation is not supported".to_owned())),
    }
}

/// Outputs that do not look as the spec says.
fn unreadable(message: String) -> RunFailure {
    RunFailure::new(RunFailureClass::Model, "inference", message)
}

/// Refuses NaN and infinities, which never leave a model.
fn finite(values: &[f32]) -> Result<&[f32], RunFailure> {
    let whole = values.iter().all(|value| value.is_finite());
    if whole {
        Ok(values)
    } else {
        Err(RunFailure::new(RunFailureClass::Poison, "not_finite", "the model answered numbers that are not finite"))
    }
}

fn number(params: &Value, key: &str, default: f64) -> f64 {
    params.get(key).and_then(Value::as_f64).unwrap_or(default)
}

fn flag(params: &Value, key: &str, default: bool) -> bool {
    params.get(key).and_then(Value::as_bool).unwrap_or(default)
}

#[cfg(test)]
mod tests;
