//! `crop`: one picture a detection.

use serde::Serialize;
use sightflow_block::{
    BlockError, BoundingBox, CheckContext, Choice, Color, Config, Detection, DetectionInput, Example, FoundBox, Image,
    ImageError, Inputs, Map, Outputs, Problem, Rect, ResizeFilter, Value, block, boxes, example, json,
};

use crate::surface::{self, Border};

/// What to cut out of what.
#[derive(Inputs)]
pub struct CropInputs {
    /// The image to cut from.
    image: Image,
    /// What to cut out. Either this port or `detection` is wired.
    detections: Option<Vec<DetectionInput>>,
    /// One detection to cut out.
    detection: Option<DetectionInput>,
}

/// How to cut.
#[derive(Config)]
#[config(rewrite(square = "true", aspect_ratio = "square"))]
#[config(rewrite(square = "false"))]
pub struct CropConfig {
    /// How far every side grows, in the unit of `padding_mode`.
    #[config(default = 10.0, min = 0, max = 4096, aliases("padding_percent"))]
    padding: f64,
    /// Unit of `padding`.
    #[config(default = PaddingMode::Percent)]
    padding_mode: PaddingMode,
    /// Shape of the crop: after padding the short direction grows about the centre; nothing shrinks.
    #[config(default = AspectRatio::Original)]
    aspect_ratio: AspectRatio,
    /// Width of the shape `custom`, relative to `aspect_h`.
    #[config(above = 0, max = 16384)]
    aspect_w: Option<f64>,
    /// Height of the shape `custom`, relative to `aspect_w`.
    #[config(above = 0, max = 16384)]
    aspect_h: Option<f64>,
    /// What lies outside the image.
    #[config(default = PaddingFill::Clip)]
    padding_fill: PaddingFill,
    /// Colour outside the image and around resized crops.
    #[config(default = Color::from_hex(0))]
    padding_color: Color,
    /// Side of the square that crops are fitted into.
    #[config(default = OutputSize::Original, aliases("resize_to"))]
    output_size: OutputSize,
    /// Side in pixels for `output_size: custom`.
    #[config(default = 256, min = 8, max = 4096)]
    custom_size: u32,
    /// Boxes with a shorter side, in pixels before padding, are skipped.
    #[config(default = 1, min = 1, max = 4096)]
    min_size: u32,
    /// Only these classes; empty: all.
    #[config(default = Vec::new())]
    filter_classes: Vec<String>,
    /// Only detections of at least this confidence.
    #[config(default = 0.0, min = 0, max = 1)]
    min_confidence: f64,
    /// Order of the crops.
    #[config(default = SortBy::None)]
    sort_by: SortBy,
    /// Most crops; the rest is skipped.
    #[config(default = 100, min = 1, max = 1000)]
    max_crops: usize,
}

/// Unit of padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum PaddingMode {
    /// Percent of the box's width (left and right) and height (top and bottom).
    Percent,
    /// Pixels.
    Pixel,
    /// No padding.
    None,
}

/// Shape of a crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum AspectRatio {
    /// That of the padded box.
    Original,
    /// 1:1.
    Square,
    /// Landscape.
    #[choice(name = "4:3")]
    FourThree,
    /// Portrait.
    #[choice(name = "3:4")]
    ThreeFour,
    /// Wide.
    #[choice(name = "16:9")]
    SixteenNine,
    /// Tall.
    #[choice(name = "9:16")]
    NineSixteen,
    /// `aspect_w:aspect_h`.
    Custom,
}

/// What lies outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum PaddingFill {
    /// Nothing: the crop ends there, and copies nothing.
    Clip,
    /// `padding_color`.
    Constant,
    /// The image, mirrored.
    Reflect,
    /// The image's outermost pixels.
    Replicate,
}

/// Side of the square that crops are fitted into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
#[expect(missing_docs, reason = "sides in pixels")]
pub enum OutputSize {
    Original,
    #[choice(name = "64", aliases("64"))]
    S64,
    #[choice(name = "128", aliases("128"))]
    S128,
    #[choice(name = "224", aliases("224"))]
    S224,
    #[choice(name = "256", aliases("256"))]
    S256,
    #[choice(name = "384", aliases("384"))]
    S384,
    #[choice(name = "512", aliases("512"))]
    S512,
    Custom,
}

/// Order of crops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum SortBy {
    /// As given.
    None,
    /// Most confident first.
    Confidence,
    /// Largest first.
    Area,
    /// By left edge.
    LeftToRight,
    /// By top edge.
    TopToBottom,
}

/// The crops and what belongs to them.
#[derive(Outputs)]
pub struct CropOutputs {
    /// The crops, in order.
    #[port(aliases("crop_images"))]
    crops: Vec<Image>,
    /// The first crop; null if there is none.
    #[port(aliases("cropped"))]
    crop: Option<Image>,
    /// The detection of each crop, in the input image's coordinates.
    detections: Vec<Detection>,
    /// For each crop its source: index in the input list, id, class, confidence, rectangle in the input image, and how far
    /// the rectangle reaches beyond the box on each side.
    #[port(kind = "array")]
    crop_metadata: Vec<CropMetadata>,
    /// Detections without a crop, and why: `empty_box`, `too_small` or `max_crops`.
    #[port(kind = "array")]
    skipped: Vec<Skipped>,
    /// How many crops there are.
    count: usize,
}

#[derive(Serialize)]
struct CropMetadata {
    index: usize,
    id: String,
    class_name: String,
    confidence: f64,
    rect: Area,
    padding: Sides,
}

/// A rectangle that may reach outside of the image.
#[derive(Serialize)]
struct Area {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

#[derive(Serialize)]
struct Sides {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

#[derive(Serialize)]
struct Skipped {
    index: usize,
    id: String,
    reason: &'static str,
}

/// Cuts detections out of an image, one picture each.
#[block(category = "transform", icon = "crop", check = check, examples = examples)]
pub fn crop(inputs: CropInputs, config: &CropConfig) -> Result<CropOutputs, BlockError> {
    let (items, port) = match (inputs.detections, inputs.detection) {
        (Some(_), Some(_)) => {
            return Err(
                BlockError::bad_input("two_sources", "detections and detection are both given").port("detection")
            );
        }
        (Some(items), None) => (items, "detections"),
        (None, item) => (item.into_iter().collect(), "detection"),
    };
    let size = inputs.image.size();
    let mut found: Vec<_> = boxes(&items, port, size)?.into_iter().enumerate().collect();
    found.retain(|(_, found)| {
        let detection = &found.detection;
        (config.filter_classes.is_empty() || config.filter_classes.contains(&detection.class_name))
            && detection.confidence >= config.min_confidence
    });
    sort(&mut found, config.sort_by);

    let ratio = ratio(config)?;
    let mut outputs = CropOutputs {
        crops: Vec::new(),
        crop: None,
        detections: Vec::new(),
        crop_metadata: Vec::new(),
        skipped: Vec::new(),
        count: 0,
    };
    for (index, FoundBox { pixels, detection }) in found {
        let min_size = f64::from(config.min_size);
        let reason = if pixels.cover(size).is_none() {
            Some("empty_box")
        } else if pixels.width() < min_size || pixels.height() < min_size {
            Some("too_small")
        } else if outputs.crops.len() == config.max_crops {
            Some("max_crops")
        } else {
            None
        };
        if let Some(reason) = reason {
            outputs.skipped.push(Skipped { index, id: detection.id, reason });
            continue;
        }
        let edges = clip(grown(pixels, config, ratio).outer(), size, config.padding_fill);
        outputs.crops.push(fitted(cut(&inputs.image, edges, config)?, config)?);
        outputs.crop_metadata.push(metadata(index, &detection, edges, pixels.outer()));
        outputs.detections.push(detection);
    }
    outputs.crop = outputs.crops.first().cloned();
    outputs.count = outputs.crops.len();
    Ok(outputs)
}

fn sort(found: &mut [(usize, FoundBox)], by: SortBy) {
    let key = |found: &FoundBox| match by {
        SortBy::None => 0.0,
        SortBy::Confidence => -found.detection.confidence,
        SortBy::Area => -found.pixels.width() * found.pixels.height(),
        SortBy::LeftToRight => found.pixels.x1,
        SortBy::TopToBottom => found.pixels.y1,
    };
    found.sort_by(|(_, a), (_, b)| key(a).total_cmp(&key(b)));
}

/// Width by height, where the shape is given.
fn ratio(config: &CropConfig) -> Result<Option<f64>, BlockError> {
    Ok(Some(match config.aspect_ratio {
        AspectRatio::Original => return Ok(None),
        AspectRatio::Square => 1.0,
        AspectRatio::FourThree => 4.0 / 3.0,
        AspectRatio::ThreeFour => 3.0 / 4.0,
        AspectRatio::SixteenNine => 16.0 / 9.0,
        AspectRatio::NineSixteen => 9.0 / 16.0,
        AspectRatio::Custom => match (config.aspect_w, config.aspect_h) {
            (Some(width), Some(height)) => width / height,
            _ => return Err(BlockError::bad_config("missing", CUSTOM_ASPECT).key("aspect_ratio")),
        },
    }))
}

const CUSTOM_ASPECT: &str = "aspect_ratio custom needs aspect_w and aspect_h";

/// The box with its padding, in its shape.
fn grown(pixels: BoundingBox, config: &CropConfig, ratio: Option<f64>) -> BoundingBox {
    let (dx, dy) = match config.padding_mode {
        PaddingMode::Percent => (pixels.width() * config.padding / 100.0, pixels.height() * config.padding / 100.0),
        PaddingMode::Pixel => (config.padding, config.padding),
        PaddingMode::None => (0.0, 0.0),
    };
    let padded = BoundingBox { x1: pixels.x1 - dx, y1: pixels.y1 - dy, x2: pixels.x2 + dx, y2: pixels.y2 + dy };
    let Some(ratio) = ratio else { return padded };
    let (width, height) = (padded.width(), padded.height());
    let (dx, dy) = ((height * ratio - width).max(0.0) / 2.0, (width / ratio - height).max(0.0) / 2.0);
    BoundingBox { x1: padded.x1 - dx, y1: padded.y1 - dy, x2: padded.x2 + dx, y2: padded.y2 + dy }
}

fn clip([x1, y1, x2, y2]: [i64; 4], (width, height): (u32, u32), fill: PaddingFill) -> [i64; 4] {
    if fill != PaddingFill::Clip {
        return [x1, y1, x2, y2];
    }
    [x1.max(0), y1.max(0), x2.min(i64::from(width)), y2.min(i64::from(height))]
}

/// The part between four edges, which hold at least one pixel of the image.
fn cut(image: &Image, [x1, y1, x2, y2]: [i64; 4], config: &CropConfig) -> Result<Image, ImageError> {
    let (width, height) = image.size();
    let limit = |v: i64, end: u32| v.clamp(0, i64::from(end)) as u32;
    let (left, top, right, bottom) = (limit(x1, width), limit(y1, height), limit(x2, width), limit(y2, height));
    let inside = || image.crop(Rect { x: left, y: top, width: right - left, height: bottom - top });
    if [left, top, right, bottom].map(i64::from) == [x1, y1, x2, y2] {
        return inside();
    }
    let side = |length: i64| u32::try_from(length).unwrap_or(u32::MAX);
    let size = (side(x2 - x1), side(y2 - y1));
    match config.padding_fill {
        PaddingFill::Clip | PaddingFill::Constant => {
            let at = (side(i64::from(left) - x1), side(i64::from(top) - y1));
            surface::place(&inside()?, at, size, config.padding_color)
        }
        PaddingFill::Reflect => surface::continued(image, (x1, y1), size, Border::Reflect),
        PaddingFill::Replicate => surface::continued(image, (x1, y1), size, Border::Replicate),
    }
}

/// A crop in its output size.
fn fitted(crop: Image, config: &CropConfig) -> Result<Image, ImageError> {
    let side = match config.output_size {
        OutputSize::Original => return Ok(crop),
        OutputSize::S64 => 64,
        OutputSize::S128 => 128,
        OutputSize::S224 => 224,
        OutputSize::S256 => 256,
        OutputSize::S384 => 384,
        OutputSize::S512 => 512,
        OutputSize::Custom => config.custom_size,
    };
    let (width, height) = crop.size();
    let scale = f64::from(side) / f64::from(width.max(height));
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let size = (scaled(width), scaled(height));
    let crop = crop.resize(size, ResizeFilter::Bilinear)?;
    if size == (side, side) || !matches!(config.aspect_ratio, AspectRatio::Original | AspectRatio::Square) {
        return Ok(crop);
    }
    surface::place(&crop, ((side - size.0) / 2, (side - size.1) / 2), (side, side), config.padding_color)
}

fn metadata(index: usize, detection: &Detection, rect: [i64; 4], bare: [i64; 4]) -> CropMetadata {
    let [x1, y1, x2, y2] = rect;
    CropMetadata {
        index,
        id: detection.id.clone(),
        class_name: detection.class_name.clone(),
        confidence: detection.confidence,
        rect: Area { x: x1, y: y1, width: x2 - x1, height: y2 - y1 },
        padding: Sides { left: bare[0] - x1, top: bare[1] - y1, right: x2 - bare[2], bottom: y2 - bare[3] },
    }
}

/// What the schema cannot say: exactly one source of boxes, and a custom shape.
fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    match (context.is_wired("detections"), context.is_wired("detection")) {
        (true, true) => {
            problems.push(Problem::new("E-PORT-CONFLICT", "", "detections and detection are both wired; wire one"));
        }
        (false, false) => problems.push(Problem::new("E-PORT-REQUIRED", "", "crop needs detections or detection")),
        _ => {}
    }
    let known = |key: &str| config.contains_key(key) || context.is_dynamic(key);
    if config.get("aspect_ratio").is_some_and(|v| v == "custom") && !(known("aspect_w") && known("aspect_h")) {
        problems.push(Problem::new("E-CONFIG", "/config/aspect_ratio", CUSTOM_ASPECT));
    }
    problems
}

fn examples() -> Vec<Example> {
    let detections = json!([
        {"id": "a", "bbox": [0.25, 0.25, 0.5, 0.5], "class_name": "bottle", "confidence": 0.9},
        {"id": "b", "bbox": [0.5, 0.5, 0.51, 0.51], "class_name": "can", "confidence": 0.8},
    ]);
    let padding = json!({"left": 0, "top": 0, "right": 0, "bottom": 0});
    let rect = json!({"x": 160, "y": 120, "width": 160, "height": 120});
    vec![example(
        json!({"detections": detections}),
        json!({"padding_mode": "none", "min_size": 16}),
        json!({
            "count": 1,
            "crop_metadata": [{"index": 0, "id": "a", "class_name": "bottle", "confidence": 0.9, "rect": rect, "padding": padding}],
            "skipped": [{"index": 1, "id": "b", "reason": "too_small"}],
        }),
    )]
}
