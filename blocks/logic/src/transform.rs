//! The conversions of `map`.

use sightflow_block::{BlockError, Choice, Value, round_to};
use sightflow_expressions::operators::{to_number, truth};
use sightflow_expressions::path::corners;

/// A conversion of each result. Null stays null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum Transform {
    /// As it is.
    None,
    /// Text; lists and objects as JSON.
    ToString,
    /// A number, from numeric text or a boolean.
    ToNumber,
    /// True or false, from 1, 0, yes, no and their like.
    ToBoolean,
    /// `[x1, y1, x2, y2]`, normalised.
    ToBboxArray,
    /// `[x1, y1, x2, y2]` in pixels.
    ToBboxPixels,
}

/// The value converted.
///
/// # Errors
/// Bad input where the value has no such form.
pub fn transformed(value: Value, transform: Transform) -> Result<Value, BlockError> {
    if value.is_null() {
        return Ok(value);
    }
    let impossible = |what: &str| BlockError::bad_input("bad_type", format!("{} is not {what}", shown(&value)));
    match transform {
        Transform::None => Ok(value),
        Transform::ToString => Ok(match value {
            Value::String(_) => value,
            other => Value::String(other.to_string()),
        }),
        Transform::ToNumber => to_number(&value).ok_or_else(|| impossible("a number")),
        Transform::ToBoolean => truth(&value, true).map(Value::Bool).ok_or_else(|| impossible("true or false")),
        Transform::ToBboxArray => {
            let sides = sides(&value, "bbox", "bbox_abs").map_err(|reason| bad_box(&value, reason))?;
            if sides.iter().any(|side| !(-1.0..=2.0).contains(side)) {
                return Err(bad_box(&value, "its sides are not normalised: pixels belong in bbox_abs"));
            }
            Ok(sides.iter().map(|side| Value::from(round_to(side.clamp(0.0, 1.0), 6))).collect())
        }
        Transform::ToBboxPixels => {
            let sides = sides(&value, "bbox_abs", "bbox").map_err(|reason| bad_box(&value, reason))?;
            Ok(sides.iter().map(|side| Value::from(round_to(*side, 2))).collect())
        }
    }
}

/// Corners of a detection's box, or of a value that is itself a box. No image is at hand to turn one kind into the other.
fn sides(value: &Value, own: &str, other: &str) -> Result<[f64; 4], &'static str> {
    match (value.get(own), value.get(other)) {
        (Some(found), _) => corners(found).ok_or("its box is not one of finite numbers"),
        (None, Some(_)) if own == "bbox" => Err("it has only bbox_abs, and its image's size is not known here"),
        (None, Some(_)) => Err("it has only bbox, and its image's size is not known here"),
        (None, None) => corners(value).ok_or("it has no box"),
    }
}

fn bad_box(value: &Value, reason: &str) -> BlockError {
    BlockError::bad_input("bad_box", format!("{}: {reason}", shown(value)))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { format!("{}…", text.chars().take(80).collect::<String>()) }
}
