//! The question that an operator asks of a field that is there, with its value made ready.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::values::{Numeric, Sides, compare, equals, fold, has_type, shown, truth, type_of};
use super::{ConditionError, Operand, Operator, TYPE_NAMES, canonical};
use crate::spelling::nearest;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// A prepared positive operator.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Equals(Value),
    Ordered(Operator, Value),
    Between(Value, Value),
    In(Vec<Value>),
    Contains(Value),
    ContainsAny(Vec<Value>),
    ContainsAll(Vec<Value>),
    StartsWith(String),
    EndsWith(String),
    Regex(Regex),
    Exists,
    Empty,
    Truth(bool),
    IsType(&'static str),
    Length(Operator, Numeric),
}

/// What is wrong with an operator's value, and what was probably meant.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl Misfit {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }
}

impl Test {
    /// Makes a positive operator ready. `value` is present whenever the operator takes one.
    pub(crate) fn build(operator: Operator, value: &Value, sides: Sides) -> Result<Self, Misfit> {
        let name = operator.name();
        let wants = |what: &str| Misfit::new(format!("`{name}` takes {what}, not {}", type_of(value)));
        let cast = |value: &Value| match sides.cast.apply(value) {
            Some(converted) => Ok(converted.into_owned()),
            None => Err(Misfit::new(format!("{} cannot be converted to {}", shown(value), sides.cast.name()))),
        };
        let cast_all = |items: &[Value]| items.iter().map(cast).collect::<Result<Vec<_>, _>>();
        Ok(match operator {
            Operator::Equals => Self::Equals(cast(value)?),
            Operator::Contains => match cast(value)? {
                Value::Null => return Err(wants("a value to look for")),
                value => Self::Contains(value),
            },
            Operator::GreaterThan | Operator::GreaterEqual | Operator::LessThan | Operator::LessEqual => {
                match cast(value)? {
                    value @ (Value::Number(_) | Value::String(_)) => Self::Ordered(operator, value),
                    _ => return Err(wants("a number or a string")),
                }
            }
            Operator::Between => {
                let (low, high) = range(value)
                    .ok_or_else(|| wants("`[low, high]`, `{\"min\": low, \"max\": high}` or `\"low, high\"`"))?;
                let (low, high) = (cast(&low)?, cast(&high)?);
                match compare(&low, &high, sides) {
                    None => {
                        return Err(Misfit::new(format!("{} and {} cannot be compared", shown(&low), shown(&high))));
                    }
                    Some(order) if order.is_gt() => {
                        return Err(Misfit::new(format!(
                            "the low end {} is above the high end {}",
                            shown(&low),
                            shown(&high)
                        )));
                    }
                    Some(_) => Self::Between(low, high),
                }
            }
            Operator::In => {
                Self::In(cast_all(&list(value).ok_or_else(|| wants("an array or a comma-separated string"))?)?)
            }
            Operator::ContainsAny | Operator::ContainsAll => {
                let Value::Array(items) = value else {
                    return Err(wants("an array"));
                };
                let items = cast_all(items)?;
                if operator == Operator::ContainsAny { Self::ContainsAny(items) } else { Self::ContainsAll(items) }
            }
            Operator::StartsWith | Operator::EndsWith | Operator::Regex => {
                let Value::String(text) = cast(value)? else {
                    return Err(wants("a string"));
                };
                match operator {
                    Operator::StartsWith => Self::StartsWith(fold(&text, sides.ignore_case).into_owned()),
                    Operator::EndsWith => Self::EndsWith(fold(&text, sides.ignore_case).into_owned()),
                    _ => Self::Regex(pattern(&text, sides.ignore_case)?),
                }
            }
            Operator::IsTrue | Operator::IsFalse => Self::Truth(operator == Operator::IsTrue),
            Operator::IsType => {
                let Value::String(given) = value else {
                    return Err(wants("a type name"));
                };
                let given = canonical(given);
                let known = TYPE_NAMES.iter().find(|known| **known == given);
                Self::IsType(known.ok_or_else(|| Misfit {
                    message: format!("there is no type `{given}`; the types are {}", TYPE_NAMES.join(", ")),
                    suggestion: nearest(&given, TYPE_NAMES.into_iter()),
                })?)
            }
            Operator::LengthEquals | Operator::LengthGreater | Operator::LengthLess => {
                Self::Length(operator, Numeric::of(value).ok_or_else(|| wants("a number"))?)
            }
            Operator::Exists => Self::Exists,
            Operator::Empty => Self::Empty,
            negation => return Self::build(negation.positive().0, value, sides),
        })
    }

    /// The answer for a field that is present and not null.
    pub(crate) fn holds(&self, field: &Value, sides: Sides) -> Result<bool, ConditionError> {
        let case = sides.ignore_case;
        Ok(match self {
            Self::Equals(value) => equals(field, value, case),
            Self::Ordered(operator, value) => {
                let order = compare(field, value, sides).ok_or_else(|| not_comparable(field, value))?;
                match operator {
                    Operator::GreaterThan => order.is_gt(),
                    Operator::GreaterEqual => order.is_ge(),
                    Operator::LessThan => order.is_lt(),
                    _ => order.is_le(),
                }
            }
            Self::Between(low, high) => {
                let above = compare(field, low, sides).ok_or_else(|| not_comparable(field, low))?;
                let below = compare(field, high, sides).ok_or_else(|| not_comparable(field, high))?;
                above.is_ge() && below.is_le()
            }
            Self::In(items) => items.iter().any(|item| equals(field, item, case)),
            Self::Contains(value) => contains(field, value, case)?,
            Self::ContainsAny(values) => {
                let items = array(field)?;
                values.iter().any(|value| items.iter().any(|item| equals(item, value, case)))
            }
            Self::ContainsAll(values) => {
                let items = array(field)?;
                values.iter().all(|value| items.iter().any(|item| equals(item, value, case)))
            }
            Self::StartsWith(start) => fold(text(field)?, case).starts_with(start.as_str()),
            Self::EndsWith(end) => fold(text(field)?, case).ends_with(end.as_str()),
            Self::Regex(pattern) => pattern.is_match(text(field)?),
            Self::Exists => true,
            Self::Empty => match field {
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Object(object) => object.is_empty(),
                _ => false,
            },
            Self::Truth(wanted) => truth(field, case) == Some(*wanted),
            Self::IsType(name) => has_type(field, name),
            Self::Length(operator, wanted) => {
                let length =
                    crate::path::length(field).ok_or_else(|| unfitting(field, "an array, a string or an object"))?;
                let order = Numeric::Integer(length as i128).compare(*wanted);
                match operator {
                    Operator::LengthEquals => order.is_eq(),
                    Operator::LengthGreater => order.is_gt(),
                    _ => order.is_lt(),
                }
            }
        })
    }
}

/// A pattern within the limits; matching is linear in the text.
fn pattern(source: &str, ignore_case: bool) -> Result<Regex, Misfit> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(Misfit::new(format!(
            "the pattern has {} bytes; at most {MAX_PATTERN_BYTES} are allowed",
            source.len()
        )));
    }
    let built =
        RegexBuilder::new(source).case_insensitive(ignore_case).size_limit(MAX_COMPILED_BYTES).nest_limit(100).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            Misfit::new(format!("the pattern is too large: compiled it exceeds {MAX_COMPILED_BYTES} bytes"))
        }
        // The library draws the pattern and a caret over several lines; the last one says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default();
            Misfit::new(format!("not a regular expression: {}", reason.trim_start_matches("error: ")))
        }
    })
}

fn contains(field: &Value, value: &Value, ignore_case: bool) -> Result<bool, ConditionError> {
    match (field, value) {
        (Value::Array(items), value) => Ok(items.iter().any(|item| equals(item, value, ignore_case))),
        (Value::String(text), Value::String(part)) => Ok(fold(text, ignore_case).contains(&*fold(part, ignore_case))),
        (Value::Object(object), Value::String(key)) if ignore_case => {
            let key = fold(key, true);
            Ok(object.keys().any(|own| fold(own, true) == key))
        }
        (Value::Object(object), Value::String(key)) => Ok(object.contains_key(key)),
        (Value::String(_) | Value::Object(_), _) => Err(ConditionError::bad_input(
            "bad_type",
            format!("{} can contain a string, not {}", type_of(field), type_of(value)),
        )),
        _ => Err(unfitting(field, "an array, a string or an object")),
    }
}

fn text(field: &Value) -> Result<&str, ConditionError> {
    field.as_str().ok_or_else(|| unfitting(field, "a string"))
}

fn array(field: &Value) -> Result<&[Value], ConditionError> {
    field.as_array().map(Vec::as_slice).ok_or_else(|| unfitting(field, "an array"))
}

fn unfitting(field: &Value, wanted: &str) -> ConditionError {
    ConditionError::bad_input("bad_type", format!("needs {wanted}, and {} is {}", shown(field), type_of(field)))
}

fn not_comparable(a: &Value, b: &Value) -> ConditionError {
    ConditionError::bad_input(
        "not_comparable",
        format!("{} ({}) and {} ({}) have no order", shown(a), type_of(a), shown(b), type_of(b)),
    )
}

/// The ends of a range in one of its three forms.
fn range(value: &Value) -> Option<(Value, Value)> {
    match value {
        Value::Array(ends) => match ends.as_slice() {
            [low, high] => Some((low.clone(), high.clone())),
            _ => None,
        },
        Value::Object(ends) if ends.len() == 2 => Some((ends.get("min")?.clone(), ends.get("max")?.clone())),
        Value::String(_) => match list(value)?.as_slice() {
            [low, high] => Some((low.clone(), high.clone())),
            _ => None,
        },
        _ => None,
    }
    .filter(|(low, high)| [low, high].into_iter().all(|end| end.is_number() || end.is_string() || end.is_boolean()))
}

/// The elements of an array or of a comma-separated string; an empty string has none.
fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::String(text) => Some(text.split(',').map(|part| Value::from(part.trim())).collect()),
        _ => None,
    }
}

/// A value that fits the operand, in words.
pub(crate) fn expected(operand: Operand) -> &'static str {
    match operand {
        Operand::None => "no value",
        Operand::Any => "a value",
        Operand::Ordered => "a number or a string",
        Operand::Range => "`[low, high]`",
        Operand::List => "an array or a comma-separated string",
        Operand::Array => "an array",
        Operand::Text => "a string",
        Operand::Pattern => "a regular expression",
        Operand::TypeName => "a type name",
        Operand::Number => "a number",
    }
}
