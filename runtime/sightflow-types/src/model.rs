//! What a model is: the part of a registry row that says how to feed it and how to read what it answers.
//!
//! Nothing here is specific to one model; all of it is read from the file's metadata, from hints given when it was
//! added, or from its shapes.

mod params;

use serde::{Deserialize, Serialize};

use crate::Task;

pub use params::validate_params;

/// The `spec` of a registered model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// What it does.
    pub task: Task,
    /// File format of the weights.
    #[serde(default)]
    pub format: ModelFormat,
    /// What it takes.
    pub inputs: ModelInputs,
    /// How an image becomes its input.
    #[serde(default)]
    pub preprocess: Preprocess,
    /// How its outputs become results.
    pub decoder: Decoder,
    /// Names of all outputs of the graph, in file order.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Class names by class id; empty for embedding models.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Settings that apply where a job gives none.
    #[serde(default)]
    pub defaults: Defaults,
    /// Which output is the vector; embedding models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingSpec>,
    /// SPDX expression or the licence's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl ModelSpec {
    /// A spec with a planar RGB input named `image`, the default preprocessing and a free batch dimension.
    pub fn new(task: Task, input_size: [u32; 2], decoder: Decoder, labels: Vec<String>) -> Self {
        Self {
            task,
            format: ModelFormat::Onnx,
            inputs: ModelInputs {
                image: ImageInput {
                    name: "image".to_owned(),
                    layout: TensorLayout::Nchw,
                    channels: ChannelOrder::Rgb,
                    size: input_size,
                    dynamic_batch: true,
                },
            },
            preprocess: Preprocess::default(),
            decoder,
            outputs: Vec::new(),
            labels,
            defaults: Defaults::default(),
            embedding: None,
            license: None,
            source: None,
        }
    }

    /// Width and height of the input in pixels.
    pub fn input_size(&self) -> [u32; 2] {
        self.inputs.image.size
    }

    /// Length of the embedding vector; none for other tasks.
    pub fn embedding_dim(&self) -> Option<u32> {
        self.embedding.as_ref().map(|embedding| embedding.dim)
    }

    /// Index of a label, exact and case-sensitive.
    pub fn class_id(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label == name)
    }
}

/// File format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFormat {
    /// An ONNX graph.
    #[default]
    Onnx,
}

/// The inputs that the runtime fills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInputs {
    /// The picture.
    pub image: ImageInput,
}

/// The image input of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageInput {
    /// Its name in the graph.
    pub name: String,
    /// Order of its dimensions.
    #[serde(default)]
    pub layout: TensorLayout,
    /// Order of the colour channels.
    #[serde(default)]
    pub channels: ChannelOrder,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// True if any number of images fits in one pass; otherwise they run one after the other.
    #[serde(default)]
    pub dynamic_batch: bool,
}

/// Order of an image tensor's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TensorLayout {
    /// Batch, channels, rows, columns.
    #[default]
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, rows, columns, channels.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// Order of the colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue first, as OpenCV reads files.
    #[serde(rename = "BGR")]
    Bgr,
}

/// How an image becomes the input tensor: resized, then per channel `(p · scale − mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preprocess {
    /// How it is brought to the input size.
    pub resize: ResizeMode,
    /// Value 0..255 of the bars that a letterbox adds.
    pub pad: u8,
    /// How pixels are interpolated.
    pub interpolation: Interpolation,
    /// Subtracted per channel, in the order of the input's channels.
    pub mean: [f64; 3],
    /// Divided by per channel, in the order of the input's channels.
    pub std: [f64; 3],
    /// Multiplies the 0..255 value first; 1/255 for models that take 0..1.
    pub scale: f64,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            resize: ResizeMode::Stretch,
            pad: 114,
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
            scale: 1.0,
        }
    }
}

/// How an image is brought to the input size. Written `letterbox_center`, `letterbox_topleft`, `stretch` or
/// `shortest_<N>_center_crop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ResizeMode {
    /// Scaled to fit, bars on both sides.
    LetterboxCenter,
    /// Scaled to fit, bars at the right and the bottom.
    LetterboxTopLeft,
    /// Each axis scaled by itself.
    Stretch,
    /// The shorter side scaled to this many pixels, then the centre cut out.
    ShortestCenterCrop(u32),
}

impl From<ResizeMode> for String {
    fn from(mode: ResizeMode) -> Self {
        match mode {
            ResizeMode::LetterboxCenter => "letterbox_center".to_owned(),
            ResizeMode::LetterboxTopLeft => "letterbox_topleft".to_owned(),
            ResizeMode::Stretch => "stretch".to_owned(),
            ResizeMode::ShortestCenterCrop(side) => format!("shortest_{side}_center_crop"),
        }
    }
}

impl TryFrom<String> for ResizeMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shortest =
            || text.strip_prefix("shortest_")?.strip_suffix("_center_crop")?.parse().ok().filter(|side| *side > 0);
        match text.as_str() {
            "letterbox_center" => Ok(Self::LetterboxCenter),
            "letterbox_topleft" => Ok(Self::LetterboxTopLeft),
            "stretch" => Ok(Self::Stretch),
            _ => shortest().map(Self::ShortestCenterCrop).ok_or_else(|| {
                format!("unknown resize `{text}`; known: letterbox_center, letterbox_topleft, stretch, shortest_<N>_center_crop")
            }),
        }
    }
}

/// How pixels are interpolated when an image is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// Linear between pixel centres, widened when shrinking (Pillow's `BILINEAR`).
    #[default]
    Bilinear,
    /// Cubic (a = −0.5), widened when shrinking (Pillow's `BICUBIC`).
    Bicubic,
}

/// How outputs become results. Each kind is one decoder of the runtime; its fields name the outputs that it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decoder {
    /// `cls_stride_<s>` (scores) and `dis_stride_<s>` (4 sides × `reg_max + 1` bins) per stride.
    Nanodet {
        /// Pixels per grid cell, for each pair of outputs.
        strides: Vec<u32>,
        /// The largest distance in strides; the bins are 0..=reg_max.
        reg_max: u32,
    },
    /// Logits of one class per image.
    Softmax {
        /// Output that holds the logits, `[N, classes]`.
        output: String,
    },
    /// Logits of independent classes.
    Sigmoid {
        /// Output that holds the logits, `[N, classes]`.
        output: String,
    },
    /// A feature vector; [`ModelSpec::embedding`] names the output.
    Feature,
}

impl Decoder {
    /// Name of the kind, as in the JSON form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Nanodet { .. } => "nanodet",
            Self::Softmax { .. } => "softmax",
            Self::Sigmoid { .. } => "sigmoid",
            Self::Feature => "feature",
        }
    }
}

/// Settings that apply where a job gives none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Defaults {
    /// Detections below are dropped, 0..=1.
    pub confidence: f64,
    /// Overlap above which the weaker box is dropped, 0..=1.
    pub iou_threshold: f64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { confidence: 0.5, iou_threshold: 0.45 }
    }
}

/// The vector of an embedding model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingSpec {
    /// Name of the output.
    pub output: String,
    /// How patch tokens become one vector; none if the output is the vector `[N, dim]` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Length of the vector.
    pub dim: u32,
}

/// How tokens `[N, tokens, dim]` (the first one is the class token) become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The class token.
    Cls,
    /// Mean over patches.
    Mean,
    /// Maximum over patches.
    Max,
    /// Generalised mean over patches.
    Gem,
}

impl Pooling {
    /// The name in a job's settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Gem => "gem",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_survives_json() {
        let text = json!({
            "task": "detection", "format": "onnx",
            "inputs": {"image": {"name": "image", "layout": "NCHW", "channels": "BGR", "size": [416, 416], "dynamic_batch": true}},
            "preprocess": {"resize": "letterbox_center", "pad": 114, "interpolation": "bilinear", "mean": [1.0, 2.0, 3.0],
                           "std": [4.0, 5.0, 6.0], "scale": 1.0},
            "decoder": {"kind": "nanodet", "strides": [8, 16, 32], "reg_max": 10},
            "outputs": ["a"], "labels": ["cat"], "defaults": {"confidence": 0.5, "iou_threshold": 0.45}
        });
        let spec: ModelSpec = serde_json::from_value(text.clone()).expect("a valid spec");
        assert_eq!(serde_json::to_value(&spec).expect("serializable"), text);
        assert_eq!((spec.input_size(), spec.class_id("cat"), spec.class_id("Cat")), ([416, 416], Some(0), None));
    }

    #[test]
    fn resize_modes_have_names() {
        for name in ["letterbox_center", "letterbox_topleft", "stretch", "shortest_256_center_crop"] {
            let mode = ResizeMode::try_from(name.to_owned()).expect("known");
            assert_eq!(String::from(mode), name);
        }
        for name in ["", "letterbox", "shortest_0_center_crop", "shortest_x_center_crop"] {
            assert!(ResizeMode::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}
