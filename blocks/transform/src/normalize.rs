//! `normalize`: values as a model sees them, and contrast for eyes and cameras.

mod contrast;
mod values;

use serde::Serialize;
use sightflow_block::{
    BlockError, CheckContext, Choice, Config, Example, Image, Inputs, Map, Outputs, PixelFormat, Problem, Value, block,
    example, json, round_to,
};

use self::values::Scaling;

/// What to normalise.
#[derive(Inputs)]
pub struct NormalizeInputs {
    /// The image.
    image: Image,
}

/// How to normalise.
#[derive(Config)]
pub struct NormalizeConfig {
    /// A set of mean and standard deviation for values 0..1, or a change of contrast.
    #[config(default = Preset::Imagenet)]
    preset: Preset,
    /// Preset `custom`: mean of red, green and blue, for values 0..1.
    #[config(min_items = 3, max_items = 3)]
    mean: Option<Vec<f64>>,
    /// Preset `custom`: standard deviation of red, green and blue, above 0.
    #[config(min_items = 3, max_items = 3)]
    std: Option<Vec<f64>>,
    /// Mean of red alone; goes before `mean`.
    #[config(advanced)]
    mean_r: Option<f64>,
    /// Mean of green alone; goes before `mean`.
    #[config(advanced)]
    mean_g: Option<f64>,
    /// Mean of blue alone; goes before `mean`.
    #[config(advanced)]
    mean_b: Option<f64>,
    /// Standard deviation of red alone; goes before `std`.
    #[config(above = 0, advanced)]
    std_r: Option<f64>,
    /// Standard deviation of green alone; goes before `std`.
    #[config(above = 0, advanced)]
    std_g: Option<f64>,
    /// Standard deviation of blue alone; goes before `std`.
    #[config(above = 0, advanced)]
    std_b: Option<f64>,
    /// Order of the tensor's channels.
    #[config(default = ChannelOrder::Rgb)]
    channel_order: ChannelOrder,
    /// Deliver the values as a tensor.
    #[config(default = false)]
    output_tensor: bool,
    /// Order of the tensor's dimensions.
    #[config(default = Layout::Chw)]
    output_format: Layout,
    /// Preset `clahe`: how much steeper than flat a tile's histogram may make the contrast.
    #[config(default = 2.0, above = 0, max = 40)]
    clahe_clip_limit: f64,
    /// Preset `clahe`: tiles in each direction.
    #[config(default = 8, min = 1, max = 64)]
    clahe_grid_size: u32,
}

/// Mean and standard deviation, or contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum Preset {
    /// .485 .456 .406 / .229 .224 .225.
    Imagenet,
    /// As `imagenet`.
    Dinov2,
    /// .48145466 .4578275 .40821073 / .26862954 .26130258 .27577711.
    Clip,
    /// Values 0..1.
    #[choice(name = "0_1")]
    ZeroOne,
    /// Values −1..1.
    #[choice(name = "-1_1")]
    MinusOneOne,
    /// Values 0..255.
    None,
    /// `mean` and `std`.
    Custom,
    /// Contrast-limited adaptive histogram equalisation of the lightness; changes the image.
    Clahe,
    /// Histogram equalisation of the lightness; changes the image.
    Histogram,
}

/// Order of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "the common names")]
pub enum ChannelOrder {
    #[choice(name = "RGB")]
    Rgb,
    #[choice(name = "BGR")]
    Bgr,
}

/// Order of dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "the common names")]
pub enum Layout {
    #[choice(name = "CHW")]
    Chw,
    #[choice(name = "HWC")]
    Hwc,
}

/// The image and its values.
#[derive(Outputs)]
pub struct NormalizeOutputs {
    /// The input image itself; with the presets `clahe` and `histogram` the changed image.
    image: Image,
    /// The values for eyes: round(128 + 64·v). With the presets that give no values it is `image`.
    preview: Image,
    /// The values, if asked for: shape, dtype f32 (little-endian), layout, base64.
    #[port(kind = "tensor")]
    tensor: Option<Tensor>,
    /// For red, green and blue the least, greatest and mean value and the standard deviation; pixels before, values after.
    #[port(kind = "object")]
    stats: Stats,
}

#[derive(Serialize)]
struct Tensor {
    shape: [u32; 3],
    dtype: &'static str,
    layout: &'static str,
    base64: String,
}

#[derive(Serialize)]
struct Stats {
    before: ChannelStats,
    after: ChannelStats,
}

/// Red, green and blue each.
#[derive(Debug, Default, PartialEq, Serialize)]
struct ChannelStats {
    min: [f64; 3],
    max: [f64; 3],
    mean: [f64; 3],
    std: [f64; 3],
}

/// Measures an image in the values that a model would see; changes pixels only for contrast.
///
/// Model blocks normalise for themselves, so the `image` port stays faithful: what stands behind this block sees the same
/// picture as without it.
#[block(category = "transform", icon = "contrast", check = check, examples = examples)]
pub fn normalize(inputs: NormalizeInputs, config: &NormalizeConfig) -> Result<NormalizeOutputs, BlockError> {
    let rgb = inputs.image.convert(PixelFormat::Rgb8)?;
    let before = ChannelStats::of(&rgb, &Scaling::PIXELS)?;
    let changed = match config.preset {
        Preset::Clahe => Some(contrast::clahe(&rgb, config.clahe_clip_limit, config.clahe_grid_size)?),
        Preset::Histogram => Some(contrast::equalize(&rgb)?),
        _ => None,
    };
    let scaling = Scaling::of(config)?;
    let seen = changed.as_ref().unwrap_or(&rgb);
    let tensor = if config.output_tensor { Some(values::tensor(seen, &scaling, config)?) } else { None };
    let after = ChannelStats::of(seen, &scaling)?;
    let preview = match (&changed, config.preset) {
        (Some(image), _) => image.clone(),
        (None, Preset::None) => inputs.image.clone(),
        _ => values::preview(&rgb, &scaling)?,
    };
    Ok(NormalizeOutputs { image: changed.unwrap_or(inputs.image), preview, tensor, stats: Stats { before, after } })
}

impl ChannelStats {
    /// Statistics of the values, from the host's histogram: no pixel is read.
    fn of(rgb: &Image, scaling: &Scaling) -> Result<Self, BlockError> {
        let mut stats = Self::default();
        for (channel, counts) in rgb.histogram()?.iter().take(3).enumerate() {
            let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
            let values = || (0u8..=255).map(|p| scaling.value(channel, p)).zip(counts).filter(|(_, n)| **n > 0);
            let mean = values().map(|(v, &n)| v * f64::from(n)).sum::<f64>() / total as f64;
            let variance = values().map(|(v, &n)| (v - mean) * (v - mean) * f64::from(n)).sum::<f64>() / total as f64;
            stats.min[channel] = round_to(values().map(|(v, _)| v).fold(f64::INFINITY, f64::min), 6);
            stats.max[channel] = round_to(values().map(|(v, _)| v).fold(f64::NEG_INFINITY, f64::max), 6);
            stats.mean[channel] = round_to(mean, 6);
            stats.std[channel] = round_to(variance.sqrt(), 6);
        }
        Ok(stats)
    }
}

const CUSTOM: &str = "preset custom needs mean and std, three numbers each, or mean_r to std_b";

/// What the schema cannot say: that a custom preset is complete, and that nothing is divided by 0.
fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let known = |key: &str| config.contains_key(key) || context.is_dynamic(key);
    let complete = |all: &str| known(all) || ["r", "g", "b"].iter().all(|channel| known(&format!("{all}_{channel}")));
    if config.get("preset").is_some_and(|preset| preset == "custom") && !(complete("mean") && complete("std")) {
        problems.push(Problem::new("E-CONFIG", "/config/preset", CUSTOM));
    }
    let std = config.get("std").and_then(Value::as_array).into_iter().flatten();
    if std.into_iter().any(|v| v.as_f64().is_some_and(|v| v <= 0.0)) {
        problems.push(Problem::new("E-CONFIG", "/config/std", "a standard deviation is above 0"));
    }
    problems
}

fn examples() -> Vec<Example> {
    // Of a picture of one colour.
    let all = |value: f64| {
        let each = [value; 3];
        json!({"min": each, "max": each, "mean": each, "std": [0.0, 0.0, 0.0]})
    };
    vec![example(
        json!({}),
        json!({"preset": "0_1"}),
        json!({"stats": {"before": all(100.0), "after": all(0.392_157)}, "tensor": null}),
    )]
}
