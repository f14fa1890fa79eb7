//! `resize`: another size, with or without padding.

use serde::Serialize;
use sightflow_block::{
    BlockError, CheckContext, Choice, Color, Config, Detection, DetectionInput, Example, Image, Inputs, Map, Outputs,
    Problem, Rect, ResizeFilter, Value, block, boxes, example, json, round_to,
};

use crate::frame::{Frame, Size, Transform};
use crate::surface;

/// What to resize.
#[derive(Inputs)]
pub struct ResizeInputs {
    /// The image to resize.
    image: Image,
    /// Detections to move along.
    #[port(aliases("boxes"))]
    detections: Option<Vec<DetectionInput>>,
}

/// The size wanted.
#[derive(Config)]
#[config(dropped("antialias", "output_scale_info", "output_matrix", "transform_boxes"))]
#[config(rewrite(keep_aspect = "false", mode = "exact"))]
#[config(rewrite(keep_aspect = "true"))]
pub struct ResizeConfig {
    /// What the size means.
    #[config(default = Mode::FitWithin)]
    mode: Mode,
    /// Target width in pixels; 0: follows from the height.
    #[config(default = 0, min = 0, max = 16384)]
    width: u32,
    /// Target height in pixels; 0: follows from the width.
    #[config(default = 0, min = 0, max = 16384)]
    height: u32,
    /// Width and height in one; replaces both.
    #[config(min_items = 2, max_items = 2, advanced)]
    size: Option<Vec<u32>>,
    /// Mode `scale_factor`: factor of both sides.
    #[config(default = 1.0, above = 0, max = 16)]
    scale_factor: f64,
    /// Modes `longest_edge` and `shortest_edge`: length of that edge in pixels.
    #[config(default = 640, min = 1, max = 16384)]
    edge_size: u32,
    /// How pixels are mixed.
    #[config(default = Interpolation::Bilinear)]
    interpolation: Interpolation,
    /// Whether the image may grow; if not, its size stays.
    #[config(default = Policy::Allow)]
    upscale_policy: Policy,
    /// Whether the image may shrink; if not, its size stays.
    #[config(default = Policy::Allow)]
    downscale_policy: Policy,
    /// Mode `fit_within`: fill the target up.
    #[config(default = false)]
    add_padding: bool,
    /// Where the image lies in the padded target.
    #[config(default = PaddingPosition::Center)]
    padding_position: PaddingPosition,
    /// Colour of the padding.
    #[config(default = Color::from_hex(0))]
    padding_color: Color,
    /// Mode `fit_outside`: which part is kept.
    #[config(default = CropPosition::Center)]
    crop_position: CropPosition,
    /// Each side is rounded to the nearest multiple of this, at least one; 0: off.
    #[config(default = 0, min = 0, max = 256)]
    multiple_of: u32,
    /// The shorter side is at least this long, in the image's shape; 0: off.
    #[config(default = 0, min = 0, max = 16384)]
    min_size: u32,
    /// The longer side is at most this long, in the image's shape; 0: off.
    #[config(default = 0, min = 0, max = 16384)]
    max_size: u32,
}

/// What the size means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum Mode {
    /// Exactly width × height.
    #[choice(aliases("stretch"))]
    Exact,
    /// As large as fits, in the image's shape.
    #[choice(aliases("fit"))]
    FitWithin,
    /// `fit_within` with padding.
    Letterbox,
    /// As small as covers the target, in the image's shape; the rest is cut off.
    #[choice(aliases("fill", "cover"))]
    FitOutside,
    /// Both sides times `scale_factor`.
    ScaleFactor,
    /// `width`, in the image's shape.
    WidthOnly,
    /// `height`, in the image's shape.
    HeightOnly,
    /// The longer side is `edge_size`.
    LongestEdge,
    /// The shorter side is `edge_size`.
    ShortestEdge,
}

/// How pixels are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "the common names")]
pub enum Interpolation {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos,
    Area,
}

/// Whether something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "explained where it is used")]
pub enum Policy {
    Allow,
    Forbid,
}

/// Where the image lies in the padded target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "places")]
pub enum PaddingPosition {
    Center,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

/// Which part of the image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "places")]
pub enum CropPosition {
    Center,
    Top,
    Bottom,
    Left,
    Right,
}

/// The resized image and how it came about.
#[derive(Outputs)]
pub struct ResizeOutputs {
    /// The image in its new size.
    image: Image,
    /// Size before.
    #[port(kind = "object")]
    original_size: Size,
    /// Size after, with padding.
    #[port(kind = "object")]
    new_size: Size,
    /// Scale factors, padding, and where the content lies.
    #[port(kind = "object")]
    scale_info: ScaleInfo,
    /// From input pixels to output pixels.
    #[port(kind = "transform")]
    transform: Transform,
    /// The detections in the new image; those that lie outside are left out.
    #[port(aliases("boxes"))]
    detections: Option<Vec<Detection>>,
}

#[derive(Serialize)]
struct ScaleInfo {
    scale_x: f64,
    scale_y: f64,
    padding: Sides,
    content_box: Rect,
}

#[derive(Serialize)]
struct Sides {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

/// Changes an image's size: exact, fitted, filled, by factor or by edge, with optional padding.
#[block(category = "transform", icon = "scaling", check = check, examples = examples)]
pub fn resize(inputs: &ResizeInputs, config: &ResizeConfig) -> Result<ResizeOutputs, BlockError> {
    let from = inputs.image.size();
    let layout = Layout::new(from, config)?;
    let mut image = if layout.scaled == from {
        inputs.image.clone()
    } else {
        inputs.image.resize(layout.scaled, filter(config))?
    };
    if let Some(area) = layout.kept {
        image = image.crop(area)?;
    }
    let content = image.size();
    let (left, top) = layout.at;
    if content != layout.output {
        image = surface::place(&image, layout.at, layout.output, config.padding_color)?;
    }

    let scale = (f64::from(layout.scaled.0) / f64::from(from.0), f64::from(layout.scaled.1) / f64::from(from.1));
    let cut = layout.kept.map_or((0, 0), |area| (area.x, area.y));
    let shift = (f64::from(left) - f64::from(cut.0), f64::from(top) - f64::from(cut.1));
    let frame = Frame { from, to: layout.output, scale, shift };
    let detections = match &inputs.detections {
        Some(items) => {
            let found = boxes(items, "detections", from)?;
            Some(found.into_iter().filter_map(|found| frame.move_detection(found)).collect())
        }
        None => None,
    };
    Ok(ResizeOutputs {
        image,
        original_size: from.into(),
        new_size: layout.output.into(),
        scale_info: ScaleInfo {
            scale_x: round_to(scale.0, 6),
            scale_y: round_to(scale.1, 6),
            padding: Sides {
                left,
                top,
                right: layout.output.0 - left - content.0,
                bottom: layout.output.1 - top - content.1,
            },
            content_box: Rect { x: left, y: top, width: content.0, height: content.1 },
        },
        transform: frame.transform(),
        detections,
    })
}

fn filter(config: &ResizeConfig) -> ResizeFilter {
    match config.interpolation {
        Interpolation::Nearest => ResizeFilter::Nearest,
        Interpolation::Bilinear => ResizeFilter::Bilinear,
        Interpolation::Bicubic => ResizeFilter::Bicubic,
        Interpolation::Lanczos => ResizeFilter::Lanczos3,
        Interpolation::Area => ResizeFilter::Area,
    }
}

/// Where everything goes.
#[derive(Debug, PartialEq)]
struct Layout {
    /// Size of the whole image after scaling.
    scaled: (u32, u32),
    /// The part of it that is kept, if not all.
    kept: Option<Rect>,
    /// Where the kept part lies in the output.
    at: (u32, u32),
    output: (u32, u32),
}

impl Layout {
    fn new(from: (u32, u32), config: &ResizeConfig) -> Result<Self, BlockError> {
        let (width, height) = match config.size.as_deref() {
            Some(&[width, height]) => (width, height),
            _ => (config.width, config.height),
        };
        if let Some(message) = missing(config.mode.as_str(), width > 0, height > 0) {
            return Err(BlockError::bad_config("missing", message).key("mode"));
        }
        let multiple = |length: u32| match config.multiple_of {
            0 | 1 => length,
            m => (round(f64::from(length) / f64::from(m)).max(1)).saturating_mul(m),
        };
        let pads = config.mode == Mode::Letterbox || (config.mode == Mode::FitWithin && config.add_padding);
        let fills = config.mode == Mode::FitOutside;
        // The frame is what is rounded where there is one, else the image itself.
        let (width, height) = if pads || fills {
            let side = |length: u32| if length == 0 { 0 } else { multiple(length) };
            (side(width), side(height))
        } else {
            (width, height)
        };
        let mut scaled = limited(permitted(target(from, (width, height), config), from, config), from, config);
        if !(pads || fills) {
            scaled = (multiple(scaled.0), multiple(scaled.1));
        }
        let mut layout = Self { scaled, kept: None, at: (0, 0), output: scaled };
        let side = |wanted: u32, given: u32| if wanted == 0 { given } else { wanted };
        if fills {
            let kept = (side(width, scaled.0).min(scaled.0), side(height, scaled.1).min(scaled.1));
            if kept != scaled {
                let (rest_x, rest_y) = (scaled.0 - kept.0, scaled.1 - kept.1);
                let (x, y) = match config.crop_position {
                    CropPosition::Center => (rest_x / 2, rest_y / 2),
                    CropPosition::Top => (rest_x / 2, 0),
                    CropPosition::Bottom => (rest_x / 2, rest_y),
                    CropPosition::Left => (0, rest_y / 2),
                    CropPosition::Right => (rest_x, rest_y / 2),
                };
                layout.kept = Some(Rect { x, y, width: kept.0, height: kept.1 });
                layout.output = kept;
            }
        }
        if pads {
            layout.output = (side(width, scaled.0).max(scaled.0), side(height, scaled.1).max(scaled.1));
            let (rest_x, rest_y) = (layout.output.0 - scaled.0, layout.output.1 - scaled.1);
            layout.at = match config.padding_position {
                PaddingPosition::Center => (rest_x / 2, rest_y / 2),
                PaddingPosition::TopLeft => (0, 0),
                PaddingPosition::TopRight => (rest_x, 0),
                PaddingPosition::BottomLeft => (0, rest_y),
                PaddingPosition::BottomRight => (rest_x, rest_y),
            };
        }
        Ok(layout)
    }
}

/// Half away from zero; sizes are far below the limits of the type.
fn round(value: f64) -> u32 {
    value.round() as u32
}

fn times((width, height): (u32, u32), scale: f64) -> (u32, u32) {
    (round(f64::from(width) * scale).max(1), round(f64::from(height) * scale).max(1))
}

/// The size that the mode asks for.
fn target(from: (u32, u32), (width, height): (u32, u32), config: &ResizeConfig) -> (u32, u32) {
    let (w, h) = (f64::from(from.0), f64::from(from.1));
    // Nothing limits a side of 0.
    let scales = [(width, w), (height, h)]
        .into_iter()
        .filter(|(wanted, _)| *wanted > 0)
        .map(|(wanted, is)| f64::from(wanted) / is);
    let edge = f64::from(config.edge_size);
    match config.mode {
        Mode::Exact if width > 0 && height > 0 => (width, height),
        Mode::Exact | Mode::FitWithin | Mode::Letterbox => times(from, scales.fold(f64::INFINITY, f64::min)),
        Mode::FitOutside => times(from, scales.fold(0.0, f64::max)),
        Mode::ScaleFactor => times(from, config.scale_factor),
        Mode::WidthOnly => times(from, f64::from(width) / w),
        Mode::HeightOnly => times(from, f64::from(height) / h),
        Mode::LongestEdge => times(from, edge / w.max(h)),
        Mode::ShortestEdge => times(from, edge / w.min(h)),
    }
}

/// The size, or the image's own where a direction is forbidden.
fn permitted(size: (u32, u32), from: (u32, u32), config: &ResizeConfig) -> (u32, u32) {
    let grows = size.0 > from.0 || size.1 > from.1;
    let shrinks = size.0 < from.0 || size.1 < from.1;
    let forbidden =
        (grows && config.upscale_policy == Policy::Forbid) || (shrinks && config.downscale_policy == Policy::Forbid);
    if forbidden { from } else { size }
}

/// The size with its shorter side at least `min_size`, then its longer side at most `max_size`.
fn limited(mut size: (u32, u32), from: (u32, u32), config: &ResizeConfig) -> (u32, u32) {
    let shorter = size.0.min(size.1);
    if config.min_size > 0 && shorter < config.min_size {
        size = times(size, f64::from(config.min_size) / f64::from(shorter));
    }
    let longer = size.0.max(size.1);
    if config.max_size > 0 && longer > config.max_size {
        size = times(size, f64::from(config.max_size) / f64::from(longer));
    }
    permitted(size, from, config)
}

/// Why a mode has no size.
fn missing(mode: &str, width: bool, height: bool) -> Option<String> {
    let needs = match mode {
        "exact" | "fit_within" | "letterbox" | "fit_outside" if !width && !height => "width or height",
        "width_only" if !width => "width",
        "height_only" if !height => "height",
        _ => return None,
    };
    Some(format!("mode {mode} needs {needs}"))
}

/// What the schema cannot say: that the mode has its size.
fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let Some(mode) = config.get("mode").and_then(Value::as_str) else { return Vec::new() };
    let positive = |value: Option<&Value>| value.and_then(Value::as_f64).is_some_and(|v| v > 0.0);
    let has = |key: &str, place: usize| {
        context.is_dynamic(key)
            || context.is_dynamic("size")
            || config.get("size").map_or_else(|| positive(config.get(key)), |size| positive(size.get(place)))
    };
    let message = missing(mode, has("width", 0), has("height", 1));
    message.map(|message| Problem::new("E-CONFIG", "/config/mode", message)).into_iter().collect()
}

fn examples() -> Vec<Example> {
    let padding = json!({"left": 0, "top": 80, "right": 0, "bottom": 80});
    let content = json!({"x": 0, "y": 80, "width": 640, "height": 480});
    vec![
        example(
            json!({}),
            json!({"width": 320, "height": 320}),
            json!({"original_size": {"width": 640, "height": 480}, "new_size": {"width": 320, "height": 240}}),
        ),
        example(
            json!({}),
            json!({"width": 640, "height": 640, "add_padding": true}),
            json!({
                "new_size": {"width": 640, "height": 640},
                "scale_info": {"scale_x": 1.0, "scale_y": 1.0, "padding": padding, "content_box": content},
            }),
        ),
    ]
}
