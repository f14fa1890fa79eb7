//! Paths into JSON values: `a.b[0].c`, `[-1]`, `["odd key"]`.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value};
use sightflow_types::round_to;

/// Longest accepted path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// A parsed path. The empty path, also written `.`, means the whole value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `.name`: a key, else a short name of a detection, else `length`.
    Name(String),
    /// `["odd key"]`: exactly this key.
    Key(String),
    /// `[0]`, or from the end: `[-1]` is the last.
    Index(i64),
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path: {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

/// Something in which a path can be looked up.
pub trait Lookup {
    /// The value that the path leads to; `None` if it leads nowhere, `Some(null)` if it leads to null.
    fn lookup(&self, path: &Path) -> Option<Cow<'_, Value>>;
}

impl Lookup for Value {
    fn lookup(&self, path: &Path) -> Option<Cow<'_, Value>> {
        walk(self, &path.steps)
    }
}

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// Wildcards, empty names, brackets that hold neither a whole number nor a quoted key, and texts above
    /// [`MAX_PATH_BYTES`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let fail = |reason| PathError { path: text.chars().take(80).collect(), reason };
        if text.len() > MAX_PATH_BYTES {
            return Err(fail("it is longer than 1024 bytes"));
        }
        let mut steps = Vec::new();
        let mut rest = if text == "." { "" } else { text };
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (step, after) = bracket(inside).map_err(fail)?;
                steps.push(step);
                rest = after;
                continue;
            }
            let name = match (rest.strip_prefix('.'), steps.is_empty()) {
                (Some(name), false) => name,
                (None, true) => rest,
                (Some(_), true) => return Err(fail("it begins with a dot")),
                (None, false) => return Err(fail("a name after a bracket needs a dot")),
            };
            let end = name.find(['.', '[', ']']).unwrap_or(name.len());
            match &name[..end] {
                "" => return Err(fail("a name is empty")),
                "*" => return Err(fail(WILDCARD)),
                name => steps.push(Step::Name(name.to_owned())),
            }
            rest = &name[end..];
            if rest.starts_with(']') {
                return Err(fail("a `]` closes nothing"));
            }
        }
        Ok(Self { steps })
    }

    /// A path of given steps.
    pub fn from_steps(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the path means the whole value.
    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }
}

const WILDCARD: &str = "wildcards do not exist; use an expression, or the `map` block";

/// The step that `[…` opens (the bracket itself is gone), and what follows it.
fn bracket(inside: &str) -> Result<(Step, &str), &'static str> {
    if let Some(quote @ ('"' | '\'')) = inside.chars().next() {
        let mut key = String::new();
        let mut characters = inside.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped @ ('\\' | '"' | '\''))) => key.push(escaped),
                    _ => return Err("only quotes and backslashes can be escaped"),
                },
                character if character == quote => {
                    let after = inside[at + 1..].strip_prefix(']').ok_or("a bracket is not closed")?;
                    return Ok((Step::Key(key), after));
                }
                character => key.push(character),
            }
        }
        return Err("a quote is not closed");
    }
    let (number, after) = inside.split_once(']').ok_or("a bracket is not closed")?;
    match number.trim() {
        "*" | "" => Err(WILDCARD),
        number if number.contains(':') => Err("slices do not exist; use an expression"),
        number => Ok((
            Step::Index(number.parse().map_err(|_| "a bracket holds neither a whole number nor a quoted key")?),
            after,
        )),
    }
}

/// Follows `steps` from `value`.
pub(crate) fn walk<'v>(value: &'v Value, steps: &[Step]) -> Option<Cow<'v, Value>> {
    let mut here = value;
    for (at, step) in steps.iter().enumerate() {
        match own(here, step) {
            Some(next) => here = next,
            None => {
                let made = derived(here, step)?;
                return match made {
                    Cow::Borrowed(next) => walk(next, &steps[at + 1..]),
                    Cow::Owned(next) => walk(&next, &steps[at + 1..]).map(|found| Cow::Owned(found.into_owned())),
                };
            }
        }
    }
    Some(Cow::Borrowed(here))
}

/// What is stored under the step.
fn own<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match (value, step) {
        (Value::Object(object), Step::Name(key) | Step::Key(key)) => object.get(key),
        (Value::Array(items), Step::Index(index)) => items.get(position(*index, items.len())?),
        _ => None,
    }
}

/// The position that an index means in a list of `length`; none outside of it.
pub(crate) fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if index < 0 { index.checked_add(length)? } else { index };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// What a name means although no such key exists: short names of detections, and `length`.
fn derived<'v>(value: &'v Value, step: &Step) -> Option<Cow<'v, Value>> {
    let Step::Name(name) = step else { return None };
    if let Value::Object(object) = value
        && let Some(short) = Short::of(name)
        && let Some(found) = object.get(short.key())
    {
        return match short {
            Short::Same(_) => Some(Cow::Borrowed(found)),
            Short::Box(side) => side.of(corners(found)?).map(Cow::Owned),
        };
    }
    if name == "length" { length(value).map(|length| Cow::Owned(Value::from(length))) } else { None }
}

/// Elements of an array, Unicode scalars of a string, keys of an object.
pub(crate) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::String(text) => Some(text.chars().count()),
        Value::Object(object) => Some(object.len()),
        _ => None,
    }
}

/// A short name on a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Short {
    /// Another name of this key.
    Same(&'static str),
    /// Part of `bbox`.
    Box(Side),
}

/// A number that a box gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Side {
    X1,
    Y1,
    X2,
    Y2,
    Width,
    Height,
    CenterX,
    CenterY,
}

impl Short {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "class" | "label" => Self::Same("class_name"),
            "score" => Self::Same("confidence"),
            "x1" => Self::Box(Side::X1),
            "y1" => Self::Box(Side::Y1),
            "x2" => Self::Box(Side::X2),
            "y2" => Self::Box(Side::Y2),
            "width" => Self::Box(Side::Width),
            "height" => Self::Box(Side::Height),
            "cx" => Self::Box(Side::CenterX),
            "cy" => Self::Box(Side::CenterY),
            _ => return None,
        })
    }

    /// The key that must exist for the name to mean anything.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Same(key) => key,
            Self::Box(_) => "bbox",
        }
    }
}

impl Side {
    /// The side of a box with these corners; none if that is no finite number.
    pub(crate) fn of(self, [x1, y1, x2, y2]: [f64; 4]) -> Option<Value> {
        let side = match self {
            Self::X1 => x1,
            Self::Y1 => y1,
            Self::X2 => x2,
            Self::Y2 => y2,
            Self::Width => round_to(x2 - x1, 6),
            Self::Height => round_to(y2 - y1, 6),
            Self::CenterX => round_to(f64::midpoint(x1, x2), 6),
            Self::CenterY => round_to(f64::midpoint(y1, y2), 6),
        };
        Number::from_f64(side).map(Value::Number)
    }
}

/// Corners in order of a box given as `{x1,y1,x2,y2}`, `{x,y,width,height}` or `[x1,y1,x2,y2]`.
pub fn corners(bbox: &Value) -> Option<[f64; 4]> {
    let [x1, y1, x2, y2] = match bbox {
        Value::Array(sides) => {
            let [x1, y1, x2, y2] = sides.as_slice() else {
                return None;
            };
            [x1.as_f64()?, y1.as_f64()?, x2.as_f64()?, y2.as_f64()?]
        }
        Value::Object(sides) => numbers(sides, ["x1", "y1", "x2", "y2"]).or_else(|| {
            let [x, y, width, height] = numbers(sides, ["x", "y", "width", "height"])?;
            Some([x, y, x + width, y + height])
        })?,
        _ => return None,
    };
    let ordered = [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)];
    ordered.iter().all(|side| side.is_finite()).then_some(ordered)
}

fn numbers(object: &Map<String, Value>, keys: [&str; 4]) -> Option<[f64; 4]> {
    let mut found = [0.0; 4];
    for (slot, key) in found.iter_mut().zip(keys) {
        *slot = object.get(key)?.as_f64()?;
    }
    Some(found)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str(".");
        }
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Name(name) if at == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[\"{}\"]", key.replace('\\', "\\\\").replace('"', "\\\""))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Step {
    /// A step to `key` that, written out, reads back as the same step: quoted where a plain name would not do.
    pub fn to_key(key: &str) -> Self {
        let plain = !key.is_empty() && key != "*" && !key.contains(['.', '[', ']', '"', '\'']);
        if plain { Self::Name(key.to_owned()) } else { Self::Key(key.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(value: &Value, path: &str) -> Option<Value> {
        value.lookup(&Path::parse(path).unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn leads_to_values() {
        let value = json!({
            "a": {"b": [10, 20, {"c": "é€"}], "length": "own", "odd key": 1, "q\"q": 2, "x.y": 3},
            "none": null, "list": [[1, 2], []], "text": "aé€😀", "": 5, "0": "zero", "clé": 6,
        });
        let cases: [(&str, Option<Value>); 36] = [
            ("", Some(value.clone())),
            (".", Some(value.clone())),
            ("a.b[0]", Some(json!(10))),
            ("a.b[1]", Some(json!(20))),
            ("a.b[-1].c", Some(json!("é€"))),
            ("a.b[-3]", Some(json!(10))),
            ("a.b[-4]", None),
            ("a.b[3]", None),
            ("a.b[9223372036854775807]", None),
            ("a.b[-9223372036854775808]", None),
            ("a[\"odd key\"]", Some(json!(1))),
            ("a['odd key']", Some(json!(1))),
            ("a.odd key", Some(json!(1))),
            (r#"a["q\"q"]"#, Some(json!(2))),
            (r#"a['q"q']"#, Some(json!(2))),
            ("a[\"x.y\"]", Some(json!(3))),
            ("a.x.y", None),
            ("[\"a\"].b[0]", Some(json!(10))),
            ("[\"\"]", Some(json!(5))),
            ("clé", Some(json!(6))),
            ("0", Some(json!("zero"))),
            ("none", Some(Value::Null)),
            ("none.a", None),
            ("none.length", None),
            ("list[0][1]", Some(json!(2))),
            ("list[1][0]", None),
            ("list.0", None),
            ("a[0]", None),
            ("text[0]", None),
            ("length", Some(json!(7))),
            ("a.b.length", Some(json!(3))),
            ("a.length", Some(json!("own"))),
            ("a.b[\"length\"]", None),
            ("text.length", Some(json!(4))),
            ("a.b[0].length", None),
            ("a.b.length.length", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(&value, path), expected, "{path}");
        }
        assert_eq!(find(&json!([1, 2, 3, 4, 5]), "length"), Some(json!(5)));
        assert_eq!(find(&json!([[1], [2]]), "[-1][0]"), Some(json!(2)));
        assert_eq!(find(&json!("abc"), "."), Some(json!("abc")));
    }

    #[test]
    fn knows_the_short_names_of_a_detection() {
        let detection =
            json!({"class_name": "can", "confidence": 0.7, "bbox": {"x1": 0.1, "y1": 0.2, "x2": 0.4, "y2": 0.6}});
        for (path, expected) in [
            ("class", json!("can")),
            ("label", json!("can")),
            ("score", json!(0.7)),
            ("x1", json!(0.1)),
            ("y1", json!(0.2)),
            ("x2", json!(0.4)),
            ("y2", json!(0.6)),
            ("width", json!(0.3)),
            ("height", json!(0.4)),
            ("cx", json!(0.25)),
            ("cy", json!(0.4)),
            ("class.length", json!(3)),
        ] {
            assert_eq!(find(&detection, path), Some(expected), "{path}");
        }
        for bbox in [json!([0.4, 0.6, 0.1, 0.2]), json!({"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4})] {
            let detection = json!({ "bbox": bbox });
            assert_eq!(find(&detection, "width"), Some(json!(0.3)), "{bbox}");
            assert_eq!(find(&detection, "cy"), Some(json!(0.4)), "{bbox}");
        }
        // Own keys win; a quoted key is never a short name; no box, no side.
        assert_eq!(find(&json!({"class": "own", "class_name": "can"}), "class"), Some(json!("own")));
        assert_eq!(find(&json!({"width": 3, "bbox": [0, 0, 1, 1]}), "width"), Some(json!(3)));
        assert_eq!(find(&detection, "[\"class\"]"), None);
        assert_eq!(find(&json!({"bbox": [0, 0, 1]}), "x1"), None);
        assert_eq!(find(&json!({"bbox": [0, 0, 1, "1"]}), "x1"), None);
        assert_eq!(find(&json!({"bbox_abs": [0, 0, 1, 1]}), "x1"), None);
        assert_eq!(find(&json!({}), "class"), None);
    }

    #[test]
    fn refuses_what_is_no_path() {
        for (path, reason) in [
            ("*", "wildcards"),
            ("a.*", "wildcards"),
            ("a[*].b", "wildcards"),
            ("a[]", "wildcards"),
            ("a[1:2]", "slices"),
            ("a..b", "empty"),
            ("a.", "empty"),
            (".a", "begins"),
            ("a[x]", "neither"),
            ("a[1.5]", "neither"),
            ("a[99999999999999999999]", "neither"),
            ("a[0", "not closed"),
            ("a[\"x", "quote"),
            ("a[\"x\"", "not closed"),
            (r#"a["\n"]"#, "escaped"),
            ("a]", "closes nothing"),
            ("a[0]b", "needs a dot"),
        ] {
            let error = Path::parse(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
        assert!(Path::parse(&"a".repeat(1024)).is_ok());
        assert!(Path::parse(&"a".repeat(1025)).is_err());
    }

    #[test]
    fn reads_back_what_it_writes() {
        for text in [".", "a.b[0].c", "[-1].x", "a[\"odd.key\"]", r#"a["q\"q\\"]"#] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        for key in ["a", "a b", "x.y", "", "*", "[0]", "\"", "'", "\\"] {
            let path = Path::from_steps(vec![Step::to_key(key)]);
            let mut object = Map::new();
            object.insert(key.to_owned(), json!(true));
            assert_eq!(find(&Value::Object(object), &path.to_string()), Some(json!(true)), "{path}");
        }
    }
}
