//! A tree as one flat record: `{"a": {"b": [1]}}` becomes `{"a.b[0]": 1}`.

use serde_json::{Map, Value};
use sightflow_expressions::Path;
use sightflow_expressions::path::Step;

/// The leaves by their paths. Empty lists and objects are leaves, and so are images; a value that is itself a leaf keeps
/// the path of the whole, `.`.
pub fn flatten(value: Value) -> Map<String, Value> {
    let mut leaves = Map::new();
    let mut steps = Vec::new();
    walk(value, &mut steps, &mut leaves);
    leaves
}

fn walk(value: Value, steps: &mut Vec<Step>, leaves: &mut Map<String, Value>) {
    match value {
        Value::Object(object) if !object.is_empty() && !object.contains_key(IMAGE) => {
            for (key, value) in object {
                steps.push(Step::to_key(&key));
                walk(value, steps, leaves);
                steps.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in (0..).zip(items) {
                steps.push(Step::Index(index));
                walk(value, steps, leaves);
                steps.pop();
            }
        }
        leaf => _ = leaves.insert(Path::from_steps(steps.clone()).to_string(), leaf),
    }
}

/// The key that marks a reference to an image.
const IMAGE: &str = "$image";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sightflow_expressions::path::Lookup;

    use super::*;

    #[test]
    fn flattens() {
        for (value, expected) in [
            (json!({"a": {"b": [1]}}), json!({"a.b[0]": 1})),
            (json!({"a": [{"b": 1}, {"b": null}], "c": "x"}), json!({"a[0].b": 1, "a[1].b": null, "c": "x"})),
            (json!([1, [2]]), json!({"[0]": 1, "[1][0]": 2})),
            (json!({"odd key.x": {"y": 1}, "": 2}), json!({"[\"odd key.x\"].y": 1, "[\"\"]": 2})),
            (json!({"empty": {}, "none": [], "deep": {"none": []}}), json!({"empty": {}, "none": [], "deep.none": []})),
            (json!({"image": {"$image": 3}}), json!({"image": {"$image": 3}})),
            (json!(5), json!({".": 5})),
            (json!({}), json!({".": {}})),
        ] {
            let flat = flatten(value.clone());
            for (path, leaf) in &flat {
                let found = value.lookup(&Path::parse(path).unwrap());
                assert_eq!(found.as_deref(), Some(leaf), "{path} leads back in {value}");
            }
            assert_eq!(Value::Object(flat), expected, "{value}");
        }
    }
}
