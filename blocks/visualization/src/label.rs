//! Labels: their text and their place.

use minijinja::{Environment, Error, UndefinedBehavior, context};
use sightflow_block::draw::{DrawOp, Ink, Point, text_size};
use sightflow_block::{BlockError, Color, Detection, ImageError};

/// Pixels between the text and the edge of its background.
const PADDING: u32 = 4;
/// Operations that the text of one label may cost.
const FUEL: u64 = 10_000;

/// What a label says.
pub(crate) enum Wording<'c> {
    /// `bottle 0.93`, or without the number.
    Standard {
        /// Whether the confidence follows the name.
        confidence: bool,
    },
    /// A MiniJinja template over the detection's fields and `index`.
    Template(Box<Environment<'c>>),
}

const TEMPLATE: &str = "label_format";

impl<'c> Wording<'c> {
    /// Compiles a template. A field that a detection lacks is written as nothing.
    pub(crate) fn template(source: &'c str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_template(TEMPLATE, source)?;
        Ok(Self::Template(Box::new(environment)))
    }

    /// The text for one detection; one line, without surrounding space.
    pub(crate) fn text(&self, detection: &Detection, index: usize) -> Result<String, BlockError> {
        let text = match self {
            Self::Standard { confidence: true } => format!("{} {:.2}", detection.class_name, detection.confidence),
            Self::Standard { confidence: false } => detection.class_name.clone(),
            Self::Template(environment) => {
                let fields = minijinja::Value::from(minijinja::value::Serde(detection));
                environment
                    .get_template(TEMPLATE)
                    .and_then(|template| template.render(context! { index, ..fields }))
                    .map_err(|error| bad_template(&error))?
            }
        };
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A template that cannot be compiled or rendered.
pub(crate) fn bad_template(error: &Error) -> BlockError {
    BlockError::bad_config("label_format", describe(error)).key("label_format")
}

/// The whole message of a template error.
pub(crate) fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// Where a label stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sightflow_block::Choice)]
pub(crate) enum Position {
    /// On the box's top edge; without room inside it.
    Top,
    /// Under the box's bottom edge; without room inside it.
    Bottom,
    /// In the middle of the box.
    Center,
}

/// The label of a box with these painted corners, shifted into an image of this size.
pub(crate) fn draw(
    content: String,
    [x1, y1, x2, y2]: [i32; 4],
    position: Position,
    font_size: f32,
    color: Color,
    (width, height): (u32, u32),
) -> Result<DrawOp, ImageError> {
    let (text_width, text_height) = text_size(&content, font_size)?;
    let (w, h) = ((text_width + 2 * PADDING) as i32, (text_height + 2 * PADDING) as i32);
    let (x, y) = match position {
        Position::Top if y1 >= h => (x1, y1 - h),
        Position::Top => (x1, y1),
        Position::Bottom if y2 + 1 + h <= height as i32 => (x1, y2 + 1),
        Position::Bottom => (x1, y2 + 1 - h),
        Position::Center => ((x1 + x2 + 1 - w) / 2, (y1 + y2 + 1 - h) / 2),
    };
    let (x, y) = (x.min(width as i32 - w).max(0), y.min(height as i32 - h).max(0));
    Ok(DrawOp::Text {
        content,
        at: Point { x: x + PADDING as i32, y: y + PADDING as i32 },
        height: font_size,
        ink: Ink::opaque(color.readable_ink()),
        background: Some((Ink::opaque(color), PADDING)),
    })
}
