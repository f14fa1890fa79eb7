//! Bytes in values: `{"$bytes": "<base64>"}` outside, `{"$bytes": n}` and a buffer beside the document for a component.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use sightflow_types::BYTES_KEY;
use sightflow_types::document::Document;

/// Takes the bytes out of a document for a component.
///
/// # Errors
/// Bytes that are not base64, for people.
pub(crate) fn take_out(document: String) -> Result<(String, Vec<Vec<u8>>), String> {
    // Almost no document has bytes, and the text of those that have says so: it is canonical.
    if !document.contains(BYTES_KEY) {
        return Ok((document, Vec::new()));
    }
    let mut value: Value = serde_json::from_str(&document).map_err(|error| error.to_string())?;
    let mut buffers = Vec::new();
    each(&mut value, &mut |place| {
        let Some(text) = place.as_str() else { return Err("bytes are a text in base64".to_owned()) };
        let bytes = BASE64.decode(text).map_err(|error| format!("bytes are not base64: {error}"))?;
        *place = buffers.len().into();
        buffers.push(bytes);
        Ok(())
    })?;
    Ok((value.to_string(), buffers))
}

/// Checks what a component says, and puts its bytes into it.
///
/// # Errors
/// What is wrong with the document, for people.
pub(crate) fn put_back(text: String, images: usize, buffers: &[Vec<u8>]) -> Result<Document, String> {
    let said = Document::check_said(text, images, buffers.len())?;
    if !said.names_bytes() {
        return Ok(said);
    }
    let mut value: Value = serde_json::from_str(said.text()).map_err(|error| error.to_string())?;
    each(&mut value, &mut |place| {
        let index = place.as_u64().and_then(|index| usize::try_from(index).ok());
        let bytes = index.and_then(|index| buffers.get(index)).ok_or("a buffer does not exist")?;
        *place = BASE64.encode(bytes).into();
        Ok(())
    })?;
    Document::check(value.to_string(), images)
}

/// Calls `with` for what stands behind each `$bytes` that is the only key of its object.
fn each(value: &mut Value, with: &mut impl FnMut(&mut Value) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| each(item, with)),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key(BYTES_KEY) => {
            fields.get_mut(BYTES_KEY).map_or(Ok(()), with)
        }
        Value::Object(fields) => fields.values_mut().try_for_each(|item| each(item, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{put_back, take_out};

    #[test]
    fn bytes_travel_beside_the_document() {
        let outside = r#"{"a":[{"$bytes":"AAEC"},1],"b":{"$bytes":"","x":1},"c":"$bytes","d":{"$bytes":""}}"#;
        let (inside, buffers) = take_out(outside.to_owned()).expect("base64");
        let expected = r#"{"a":[{"$bytes":0},1],"b":{"$bytes":"","x":1},"c":"$bytes","d":{"$bytes":1}}"#;
        assert_eq!((inside.as_str(), &buffers), (expected, &vec![vec![0, 1, 2], vec![]]));
        let said = r#"{"d":{"$bytes":1},"a":[{"\u0024bytes":0}],"e":{"$bytes":0}}"#;
        let back = put_back(said.to_owned(), 0, &buffers).expect("known buffers");
        assert_eq!(back.text(), r#"{"a":[{"$bytes":"AAEC"}],"d":{"$bytes":""},"e":{"$bytes":"AAEC"}}"#);
        assert_eq!(back.ports().count(), 3);
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for (document, part) in [
            (r#"{"a":{"$bytes":"A"}}"#, "not base64"),
            (r#"{"a":{"$bytes":7}}"#, "a text in base64"),
            (r#"{"a":{"$bytes":"AA=="}}x"#, "trailing"),
        ] {
            let error = take_out(document.to_owned()).expect_err(document);
            assert!(error.contains(part), "{document}: {error}");
        }
        assert!(put_back(r#"{"a":{"$bytes":1}}"#.to_owned(), 0, &[vec![]]).is_err());
    }
}
