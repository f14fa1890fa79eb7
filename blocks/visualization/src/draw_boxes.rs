//! `draw_boxes`: detections on their image.

use sightflow_block::draw::{Canvas, DrawOp, Ink, Point, Stroke};
use sightflow_block::{
    BlockError, CheckContext, Choice, Color, Config, DetectionInput, Example, FoundBox, Image, Inputs, Map, Outputs,
    Problem, Value, block, boxes, example, json,
};

use crate::label::{self, Position, Wording};
use crate::palette;

/// What to draw on what.
#[derive(Inputs)]
pub struct DrawBoxesInputs {
    /// The image to draw on. It stays as it is.
    image: Image,
    /// What to draw, in drawing order.
    #[port(aliases("boxes", "predictions"))]
    detections: Vec<DetectionInput>,
}

/// How to draw.
#[derive(Config)]
#[config(rewrite(color_by_class = "true", color_by = "class"))]
#[config(rewrite(color_by_class = "false", color_by = "fixed"))]
pub struct DrawBoxesConfig {
    /// How a box is shown.
    #[config(default = Style::Rectangle)]
    style: Style,
    /// Stroke width in pixels; w paints 2⌊w/2⌋+1.
    #[config(default = 2, min = 1, max = 20, aliases("box_thickness", "thickness"))]
    line_width: u32,
    /// Write a label at each box.
    #[config(default = true)]
    show_labels: bool,
    /// Write the confidence behind the class name.
    #[config(default = true)]
    show_confidence: bool,
    /// MiniJinja template of the label over the detection's fields and `index`, for example
    /// `{{ class_name }} {{ (confidence * 100)|round }} %`. Absent: class name and confidence.
    #[config(template, max_length = 4096)]
    label_format: Option<String>,
    /// Where the label stands.
    #[config(default = Position::Top)]
    label_position: Position,
    /// Height of the text in pixels.
    #[config(default = 14.0, min = 6, max = 96)]
    font_size: f64,
    /// Height of the text as a multiple of 14 pixels; replaces `font_size`.
    #[config(min = 6.0 / 14.0, max = 96.0 / 14.0, advanced)]
    font_scale: Option<f64>,
    /// What decides the colour.
    #[config(default = ColorBy::Class)]
    color_by: ColorBy,
    /// The colour of `color_by: fixed`.
    #[config(default = Color::from_hex(0x00ff00), aliases("default_color", "fixed_color"))]
    color: Color,
    /// Styles `filled` and `highlight`: 0 changes nothing, 1 covers.
    #[config(default = 0.5, min = 0, max = 1)]
    opacity: f64,
    /// Style `rounded`: corner radius as a share of half the shorter side.
    #[config(default = 0.2, min = 0, max = 1)]
    roundness: f64,
    /// Style `corners`: length of each stroke in pixels, at most the box's side.
    #[config(default = 15, min = 1, max = 16384)]
    corner_length: u32,
    /// Styles `dot` and `triangle`: size in pixels.
    #[config(default = 4, min = 1, max = 1000)]
    radius: u32,
}

/// How a box is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum Style {
    /// Its outline.
    Rectangle,
    /// Its outline with rounded corners.
    Rounded,
    /// Two strokes at each corner.
    Corners,
    /// A circle through the corners.
    Circle,
    /// An open ellipse at the bottom, as if standing on the floor.
    Ellipse,
    /// A filled circle at the middle of the top edge.
    Dot,
    /// A filled triangle whose tip points at the middle of the top edge.
    Triangle,
    /// The box blended with the colour.
    Filled,
    /// Everything outside of all boxes darkened.
    Highlight,
}

/// What decides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum ColorBy {
    /// The class.
    Class,
    /// The place in the list.
    Index,
    /// The confidence: red 0, yellow ½, green 1.
    Confidence,
    /// Nothing: `color`.
    Fixed,
}

/// The drawing.
#[derive(Outputs)]
pub struct DrawBoxesOutputs {
    /// The image with the boxes; the input image itself if there is nothing to draw.
    #[port(aliases("result", "annotated_image", "overlay"))]
    image: Image,
    /// Boxes drawn. Empty ones are not.
    count: usize,
}

/// Draws detections on an image: boxes in one of nine styles, then labels. Later boxes lie over earlier ones.
#[block(
    category = "visualization",
    title = "Draw boxes",
    icon = "square-dashed",
    role = "draw_detections",
    check = check,
    examples = examples
)]
pub fn draw_boxes(inputs: DrawBoxesInputs, config: &DrawBoxesConfig) -> Result<DrawBoxesOutputs, BlockError> {
    let size = inputs.image.size();
    let found = boxes(&inputs.detections, "detections", size)?;
    let shown: Vec<_> = found
        .iter()
        .enumerate()
        .filter_map(|(index, found)| Some(Shown { index, found, corners: found.pixels.drawn(size)? }))
        .collect();
    if shown.is_empty() {
        return Ok(DrawBoxesOutputs { image: inputs.image, count: 0 });
    }

    let mut operations = Vec::with_capacity(2 * shown.len());
    if config.style == Style::Highlight {
        let areas = shown.iter().filter_map(|shown| shown.found.pixels.cover(size)).collect();
        operations
            .push(DrawOp::Outside { areas, ink: Ink { color: Color::default(), opacity: config.opacity as f32 } });
    }
    for shown in &shown {
        shown.outline(config, &mut operations);
    }
    if config.show_labels {
        let wording = match &config.label_format {
            Some(source) => Wording::template(source).map_err(|error| label::bad_template(&error))?,
            None => Wording::Standard { confidence: config.show_confidence },
        };
        let font_size = config.font_scale.map_or(config.font_size, |scale| 14.0 * scale) as f32;
        for shown in &shown {
            let content = wording.text(&shown.found.detection, shown.index)?;
            if !content.is_empty() {
                let color = shown.color(config);
                operations.push(label::draw(content, shown.corners, config.label_position, font_size, color, size)?);
            }
        }
    }
    let mut canvas = Canvas::over(&inputs.image)?;
    canvas.draw(&operations)?;
    Ok(DrawBoxesOutputs { image: canvas.finish(), count: shown.len() })
}

/// A box that is not empty.
struct Shown<'f> {
    /// Place in the input list.
    index: usize,
    found: &'f FoundBox,
    /// Painted corner pixels: x1, y1, x2, y2.
    corners: [i32; 4],
}

impl Shown<'_> {
    fn color(&self, config: &DrawBoxesConfig) -> Color {
        let detection = &self.found.detection;
        match config.color_by {
            ColorBy::Class => palette::by_class(detection),
            ColorBy::Index => palette::by_index(self.index),
            ColorBy::Confidence => palette::by_confidence(detection.confidence),
            ColorBy::Fixed => config.color,
        }
    }

    /// Adds what the style draws for this box alone.
    fn outline(&self, config: &DrawBoxesConfig, operations: &mut Vec<DrawOp>) {
        let [x1, y1, x2, y2] = self.corners;
        let (width, height) = (x2 - x1, y2 - y1);
        let (center_x, center_y) = (x1 + width / 2, y1 + height / 2);
        let point = |x, y| Point { x, y };
        let color = self.color(config);
        let stroke = Some(Stroke { ink: Ink::opaque(color), width: config.line_width });
        let fill = Some(Ink::opaque(color));
        let rectangle = |corner_radius, fill, stroke| DrawOp::Rectangle {
            start: point(x1, y1),
            end: point(x2, y2),
            corner_radius,
            fill,
            stroke,
        };
        let ellipse = |center, radius_x, radius_y, fill, stroke| DrawOp::Ellipse {
            center,
            radius_x,
            radius_y,
            start_angle: 0.0,
            end_angle: 360.0,
            fill,
            stroke,
        };
        match config.style {
            Style::Rectangle => operations.push(rectangle(0, None, stroke)),
            Style::Rounded => {
                let radius = f64::from(width.min(height)) / 2.0 * config.roundness;
                operations.push(rectangle(radius as u32, None, stroke));
            }
            Style::Corners => {
                let (across, down) =
                    ((config.corner_length as i32).min(width), (config.corner_length as i32).min(height));
                for (x, y, dx, dy) in
                    [(x1, y1, across, down), (x2, y1, -across, down), (x1, y2, across, -down), (x2, y2, -across, -down)]
                {
                    let points = vec![point(x + dx, y), point(x, y), point(x, y + dy)];
                    operations.push(DrawOp::Path { points, closed: false, fill: None, stroke });
                }
            }
            Style::Circle => {
                let radius = (f64::from(width).hypot(f64::from(height)) / 2.0).round() as u32;
                operations.push(ellipse(point(center_x, center_y), radius, radius, None, stroke));
            }
            Style::Ellipse => operations.push(DrawOp::Ellipse {
                center: point(center_x, y2),
                radius_x: width as u32,
                radius_y: (0.35 * f64::from(width)) as u32,
                start_angle: -45.0,
                end_angle: 235.0,
                fill: None,
                stroke,
            }),
            Style::Dot => operations.push(ellipse(point(center_x, y1), config.radius, config.radius, fill, None)),
            Style::Triangle => {
                // Equilateral: the height is √3 half sides.
                let (half, up) = (config.radius as i32, (f64::from(config.radius) * 3f64.sqrt()).round() as i32);
                let points =
                    vec![point(center_x, y1), point(center_x - half, y1 - up), point(center_x + half, y1 - up)];
                operations.push(DrawOp::Path { points, closed: true, fill, stroke: None });
            }
            Style::Filled => operations.push(rectangle(0, Some(Ink { color, opacity: config.opacity as f32 }), None)),
            Style::Highlight => {}
        }
    }
}

/// What the schema cannot say: that the label's template compiles.
fn check(_: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let Some(Err(error)) = config.get("label_format").and_then(Value::as_str).map(Wording::template) else {
        return Vec::new();
    };
    vec![Problem::new("E-CONFIG", "/config/label_format", label::describe(&error))]
}

fn examples() -> Vec<Example> {
    let bottle = json!({"bbox": [0.1, 0.1, 0.4, 0.4], "class_name": "bottle", "confidence": 0.9});
    let empty = json!({"bbox": [0.5, 0.5, 0.5, 0.9]});
    vec![example(json!({"detections": [bottle, empty]}), json!({"style": "corners"}), json!({"count": 1}))]
}
