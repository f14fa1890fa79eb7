//! Resizing feature maps.

use super::{Args, Inputs, Op};
use crate::kernels::Kernels;
use crate::onnx::Node;
use crate::params::ResizeKind;
use crate::value::Value;

/// Scales the last two of four dimensions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resize {
    kind: ResizeKind,
    /// Input that holds the scales; sizes come after it.
    pub(crate) scales_input: usize,
    /// Its value, where it is constant.
    pub(crate) scales: Option<Vec<f32>>,
    /// A side of one pixel is taken from the edge instead of the middle.
    single_from_edge: bool,
}

pub(super) fn resize(node: &Node<'_>) -> Result<Op, String> {
    let transform = if node.opset < 11 {
        "asymmetric".to_owned()
    } else {
        node.text("coordinate_transformation_mode", "half_pixel")
    };
    let mode = node.text("mode", "nearest");
    let nearest = if node.opset < 11 { "floor".to_owned() } else { node.text("nearest_mode", "round_prefer_floor") };
    let kind = match (mode.as_str(), transform.as_str(), nearest.as_str()) {
        ("nearest", "asymmetric", "floor") => ResizeKind::Nearest,
        ("linear", "half_pixel" | "pytorch_half_pixel", _) => ResizeKind::Linear,
        ("linear", "align_corners", _) => ResizeKind::LinearAlignCorners,
        ("nearest", transform, nearest) => {
            return Err(node.refuse(&format!("nearest with {transform} and {nearest}")));
        }
        (mode, transform, _) => return Err(node.refuse(&format!("{mode} with {transform}"))),
    };
    if node.int("antialias", 0) != 0 || node.int("exclude_outside", 0) != 0 {
        return Err(node.refuse("with antialias or exclude_outside"));
    }
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch" || node.ints("axes").is_some() {
        return Err(node.refuse("with axes or keep_aspect_ratio_policy"));
    }
    let single_from_edge = mode == "linear" && transform == "pytorch_half_pixel";
    Ok(Op::Resize(Resize { kind, scales_input: if node.opset < 11 { 1 } else { 2 }, scales: None, single_from_edge }))
}

impl Resize {
    pub(super) fn run<B: Kernels>(&self, mut args: Args<'_, B>) -> Result<Value<B>, String> {
        let to = args.known(|inputs| self.shape(inputs))?;
        B::resize(args.float(0)?, [to[2], to[3]], self.kind).map(Value::Float)
    }

    /// Dimensions of the result.
    pub(super) fn shape(&self, inputs: &Inputs<'_>) -> Result<Vec<usize>, String> {
        let from = inputs.image(0)?;
        let sizes = inputs.ints(self.scales_input + 1)?.filter(|sizes| !sizes.is_empty());
        let to: Vec<usize> = match (sizes, &self.scales) {
            (Some(sizes), _) => sizes.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect(),
            // With a scale that does not give whole pixels, sizes and scales disagree on where pixels lie.
            (None, Some(scales))
                if from.iter().zip(scales).any(|(size, scale)| (*size as f32 * scale).fract() != 0.0) =>
            {
                return Err(format!("Resize of {from:?} by {scales:?} does not give whole pixels"));
            }
            (None, Some(scales)) => {
                from.iter().zip(scales).map(|(size, scale)| (*size as f32 * scale) as usize).collect()
            }
            (None, None) => return Err("Resize without sizes, and without constant scales".to_owned()),
        };
        if to.len() != 4 || from[..2] != to[..2] || to.contains(&0) {
            return Err(format!("Resize from {from:?} to {to:?}"));
        }
        if self.single_from_edge && (2..4).any(|axis| to[axis] == 1 && from[axis] != 1) {
            return Err(format!("Resize with pytorch_half_pixel from {from:?} to {to:?} is not supported"));
        }
        Ok(to)
    }
}
