//! What it means for two JSON values to be equal, ordered or convertible.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

/// How both sides are converted before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Not at all.
    Auto,
    String,
    Number,
    Boolean,
}

impl Cast {
    /// The scalar converted; none if that is impossible.
    fn scalar(self, value: &Value) -> Option<Value> {
        match self {
            Self::Auto => Some(value.clone()),
            Self::String => match value {
                Value::String(_) => Some(value.clone()),
                Value::Number(number) => Some(Value::String(number.to_string())),
                Value::Bool(flag) => Some(Value::String(flag.to_string())),
                _ => None,
            },
            Self::Number => to_number(value),
            Self::Boolean => truth(value, true).map(Value::Bool),
        }
    }

    /// The value converted, lists element by element; none if that is impossible. Null stays null.
    pub(crate) fn apply<'v>(self, value: &'v Value) -> Option<Cow<'v, Value>> {
        match (self, value) {
            (Self::Auto, _) | (_, Value::Null) => Some(Cow::Borrowed(value)),
            (_, Value::Array(items)) => {
                let convert = |item: &Value| {
                    if item.is_null() { Some(Value::Null) } else { self.scalar(item) }
                };
                items.iter().map(convert).collect::<Option<Vec<_>>>().map(|items| Cow::Owned(Value::Array(items)))
            }
            (_, scalar) => self.scalar(scalar).map(Cow::Owned),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// A number that keeps integers exact.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numeric {
    Integer(i128),
    Float(f64),
}

impl Numeric {
    pub(crate) fn of_number(number: &Number) -> Option<Self> {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        integer.map(Self::Integer).or_else(|| number.as_f64().filter(|float| float.is_finite()).map(Self::Float))
    }

    /// A finite decimal number, spaces around it allowed.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        // `inf` and `nan` parse as floats; digits and signs tell a number from a word.
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        text.parse().ok().filter(|float: &f64| float.is_finite()).map(Self::Float)
    }

    /// A number, or a numeric string.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::of_number(number),
            Value::String(text) => Self::of_text(text),
            _ => None,
        }
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // Both are finite, so an order exists.
            (a, b) => a.float().partial_cmp(&b.float()).unwrap_or(Ordering::Equal),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Integer(integer) => match (i64::try_from(integer), u64::try_from(integer)) {
                (Ok(signed), _) => Value::from(signed),
                (_, Ok(unsigned)) => Value::from(unsigned),
                _ => Value::from(integer as f64),
            },
            Self::Float(float) => Value::from(float),
        }
    }
}

/// The number that a number, a numeric string or a boolean (1 and 0) is; none for anything else.
pub fn to_number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::Bool(flag) => Some(Value::from(u8::from(*flag))),
        Value::String(text) => Numeric::of_text(text).map(Numeric::into_value),
        _ => None,
    }
}

/// The equality of `equals`, `in`, `contains`: numbers as numbers, also a number against a numeric string; a boolean
/// also against "true" and "false"; strings exactly, or without case; arrays and objects deep.
pub fn equals(a: &Value, b: &Value, ignore_case: bool) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Bool(flag), Value::String(text)) | (Value::String(text), Value::Bool(flag)) => {
            same_text(text, if *flag { "true" } else { "false" }, ignore_case)
        }
        (Value::Number(_), Value::Number(_) | Value::String(_)) | (Value::String(_), Value::Number(_)) => {
            match (Numeric::of(a), Numeric::of(b)) {
                (Some(a), Some(b)) => a.compare(b).is_eq(),
                _ => false,
            }
        }
        (Value::String(a), Value::String(b)) => same_text(a, b, ignore_case),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b, ignore_case))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equals(a, b, ignore_case)))
        }
        _ => false,
    }
}

/// How both sides are read before they are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    pub(crate) cast: Cast,
    pub(crate) ignore_case: bool,
}

/// The order of two values: numeric if both are numbers or numeric strings, unless strings were asked for; two other
/// strings by code point; none for any other pair.
pub(crate) fn compare(a: &Value, b: &Value, sides: Sides) -> Option<Ordering> {
    if sides.cast != Cast::String
        && let (Some(a), Some(b)) = (Numeric::of(a), Numeric::of(b))
    {
        return Some(a.compare(b));
    }
    match (a, b) {
        (Value::String(a), Value::String(b)) if sides.ignore_case => Some(lower(a).cmp(lower(b))),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// How a list is sorted by these keys: by number if all are numbers or numeric strings, by code point if all are strings,
/// false before true if all are booleans. Keys that are `None` are not looked at.
///
/// # Errors
/// The position of the first key that has no order with those before it.
pub fn sort_order<'v>(keys: impl Iterator<Item = Option<&'v Value>>) -> Result<fn(&Value, &Value) -> Ordering, usize> {
    let (mut numbers, mut texts, mut flags) = (true, true, true);
    for (at, key) in keys.enumerate().filter_map(|(at, key)| Some((at, key?))) {
        numbers &= Numeric::of(key).is_some();
        texts &= key.is_string();
        flags &= key.is_boolean();
        if !(numbers || texts || flags) {
            return Err(at);
        }
    }
    let by_number = |a: &Value, b: &Value| match (Numeric::of(a), Numeric::of(b)) {
        (Some(a), Some(b)) => a.compare(b),
        _ => Ordering::Equal,
    };
    Ok(match (numbers, texts) {
        (true, _) => by_number,
        (_, true) => |a, b| a.as_str().cmp(&b.as_str()),
        _ => |a, b| a.as_bool().cmp(&b.as_bool()),
    })
}

/// True for true, 1, "true", "1", "yes"; false for false, 0, "false", "0", "no"; `ignore_case` also reads `Yes` and
/// `TRUE`. Anything else is neither.
pub fn truth(value: &Value, ignore_case: bool) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => {
            let is = |words: [&str; 3]| words.iter().any(|word| same_text(text, word, ignore_case));
            if is(["true", "1", "yes"]) {
                Some(true)
            } else if is(["false", "0", "no"]) {
                Some(false)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

fn same_text(a: &str, b: &str, ignore_case: bool) -> bool {
    if ignore_case { lower(a).eq(lower(b)) } else { a == b }
}

/// The text as it is compared.
pub(crate) fn fold(text: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case { Cow::Owned(lower(text).collect()) } else { Cow::Borrowed(text) }
}

/// The value's type for messages.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value in a message: short ones as they are.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => type_of(value).to_owned(),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(60).collect::<String>()) }
        }
    }
}

/// Whether the value has the JSON type of one of [`super::TYPE_NAMES`].
pub(crate) fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
        Value::Number(number) => {
            name == "number"
                || (name == "integer"
                    && (!number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_one_order_or_none() {
        for (keys, expected) in [
            (json!([3, 1.5, "2"]), Ok(json!([1.5, "2", 3]))),
            (json!(["10", "9"]), Ok(json!(["9", "10"]))),
            (json!(["b", "a", "10", "9"]), Ok(json!(["10", "9", "a", "b"]))),
            (json!([true, false, true]), Ok(json!([false, true, true]))),
            (json!([]), Ok(json!([]))),
            (json!([1, 2, "x"]), Err(2)),
            (json!(["x", 1]), Err(1)),
            (json!([true, 1]), Err(1)),
            (json!([[1]]), Err(0)),
        ] {
            let mut list = keys.as_array().unwrap().clone();
            let sorted = sort_order(keys.as_array().unwrap().iter().map(Some)).map(|order| {
                list.sort_by(order);
                Value::Array(list)
            });
            assert_eq!(sorted, expected, "{keys}");
        }
    }

    #[test]
    fn reads_truth() {
        for (value, strict, loose) in [
            (json!("YES"), None, Some(true)),
            (json!("no"), Some(false), Some(false)),
            (json!(0.0), Some(false), Some(false)),
            (json!(2), None, None),
            (json!(null), None, None),
        ] {
            assert_eq!((truth(&value, false), truth(&value, true)), (strict, loose), "{value}");
        }
    }
}
