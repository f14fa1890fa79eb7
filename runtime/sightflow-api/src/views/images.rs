//! Image references inside recorded values.

use serde_json::{Map, Value};
use sightflow_types::IMAGE_KEY;

/// Calls `visit` with the object inside every `{"$image": {…}}`.
pub(crate) fn visit(value: &mut Value, visit_one: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                match inner {
                    Value::Object(reference) if key == IMAGE_KEY => visit_one(reference),
                    inner => visit(inner, visit_one),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, visit_one)),
        _ => {}
    }
}

/// Says with every reference where its bytes are served.
pub(crate) fn add_urls(value: &mut Value) {
    visit(value, &mut |reference| {
        if let Some(url) = reference.get("digest").and_then(Value::as_str).map(blob_url) {
            reference.insert("url".to_owned(), url.into());
        }
    });
}

/// Path under which a blob is served.
pub(crate) fn blob_url(digest: &str) -> String {
    format!("/api/v1/blobs/{digest}")
}
