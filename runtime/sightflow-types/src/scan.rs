//! Finds the parts of JSON text that is known to be valid, without reading them: checking every number and escape again
//! costs several times as much as finding where it ends.
//!
//! Of other text they may be wrong parts, or none, and never a panic: whoever reads each part afterwards has checked the whole.

use std::borrow::Cow;

/// Keys and the texts of their values, in order; none if the text is no object of them. Two keys may be equal.
#[must_use]
pub fn fields(text: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut found = Vec::with_capacity(12);
    let mut at = inside(text, b'{', b'}')?;
    while let Some(start) = at {
        let end = string_end(text.as_bytes(), start)?;
        let key = &text[start..end];
        let plain = key.bytes().all(|byte| byte != b'\\' && byte >= b' ');
        let key = match plain {
            true => Cow::Borrowed(&text[start + 1..end - 1]),
            false => Cow::Owned(serde_json::from_str(key).ok()?),
        };
        let colon = blank_end(text.as_bytes(), end);
        if *text.as_bytes().get(colon)? != b':' {
            return None;
        }
        let value = blank_end(text.as_bytes(), colon + 1);
        let end = value_end(text.as_bytes(), value)?;
        found.push((key, text.get(value..end)?));
        at = next(text.as_bytes(), end, b'}')?;
    }
    Some(found)
}

/// The texts of a list's elements, in order; none if the text is no list of them.
#[must_use]
pub fn elements(text: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let mut at = inside(text, b'[', b']')?;
    while let Some(start) = at {
        let end = value_end(text.as_bytes(), start)?;
        found.push(text.get(start..end)?);
        at = next(text.as_bytes(), end, b']')?;
    }
    Some(found)
}

/// Where the first part of a list or an object begins; inner none if it is empty.
fn inside(text: &str, open: u8, close: u8) -> Option<Option<usize>> {
    let text = text.as_bytes();
    let start = blank_end(text, 0);
    if *text.get(start)? != open {
        return None;
    }
    let at = blank_end(text, start + 1);
    if *text.get(at)? == close { over(text, at) } else { Some(Some(at)) }
}

/// The list or object ends here, and with it the text.
fn over(text: &[u8], at: usize) -> Option<Option<usize>> {
    (blank_end(text, at + 1) == text.len()).then_some(None)
}

/// Where the part behind the one that ends at `end` begins; inner none if that was the last.
fn next(text: &[u8], end: usize, close: u8) -> Option<Option<usize>> {
    let at = blank_end(text, end);
    match *text.get(at)? {
        b',' => Some(Some(blank_end(text, at + 1))),
        byte if byte == close => over(text, at),
        _ => None,
    }
}

fn blank_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The place behind the string that begins at `start`.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    if *text.get(start)? != b'"' {
        return None;
    }
    let mut at = start + 1;
    loop {
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place behind the value that begins at `start`.
fn value_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    match *text.get(start)? {
        b'"' => return string_end(text, start),
        b'{' | b'[' => {}
        // Numbers and words end where something else begins.
        _ => {
            while text.get(at).is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')) {
                at += 1;
            }
            return (at > start).then_some(at);
        }
    }
    let mut depth = 0_usize;
    loop {
        match *text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn parts_are_those_of_a_reader() {
        let values = [
            json!({}),
            json!([]),
            json!([[], {}, [[]], {"a": {}}]),
            json!({"a": "}]\"\\", "b\\\"": [1.5e-7, -0.0, true, false, null, "€"], "é": {"": ""}}),
            json!(["\\", "\\\"", ",", "{", "\u{1f600}"]),
        ];
        for value in &values {
            for text in [value.to_string(), serde_json::to_string_pretty(value).unwrap()] {
                match value {
                    Value::Object(object) => {
                        let found = fields(&text).unwrap();
                        let read: Map<String, Value> = found
                            .iter()
                            .map(|(key, text)| (key.to_string(), serde_json::from_str(text).unwrap()))
                            .collect();
                        assert_eq!((found.len(), &read), (object.len(), object), "{text}");
                    }
                    _ => {
                        let read: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
                        let read: Vec<&str> = read.into_iter().map(RawValue::get).collect();
                        assert_eq!(elements(&text), Some(read), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_json_never_panics() {
        let text = r#"{"a": [1, {"b\\": "€}"}], "\u0061": nul, "x": "]"#;
        for (start, _) in text.char_indices() {
            for (end, _) in text.char_indices().filter(|(end, _)| *end >= start) {
                let part = &text[start..end];
                drop((fields(part), elements(part)));
                drop((fields(&format!("{{{part}}}")), elements(&format!("[{part}]"))));
            }
        }
    }
}
