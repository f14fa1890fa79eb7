//! Renaming of classes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sightflow_types::error::{RunError, code};

/// `class_mapping`: an object, or `old:new, a:b`. Names or class ids to names.
pub(crate) fn class_mapping(config: &Map<String, Value>) -> Result<BTreeMap<String, String>, RunError> {
    match config.get("class_mapping") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(pairs)) => {
            Ok(pairs.iter().filter_map(|(from, to)| Some((from.clone(), to.as_str()?.to_owned()))).collect())
        }
        Some(Value::String(text)) => {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
                let (from, to) = pair.split_once(':').ok_or_else(|| {
                    RunError::new(code::BAD_CONFIG, format!("`class_mapping`: `{}` is not `old:new`", pair.trim()))
                })?;
                Ok((from.trim().to_owned(), to.trim().to_owned()))
            });
            pairs.collect()
        }
        Some(other) => Err(RunError::new(code::BAD_CONFIG, format!("`class_mapping` is {other}"))),
    }
}

/// Renames an item's class; its former name stays in `original_class_name`.
pub(crate) fn rename(item: &mut Value, mapping: &BTreeMap<String, String>) {
    let Some(object) = item.as_object_mut().filter(|_| !mapping.is_empty()) else {
        return;
    };
    let name = object.get("class_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = object.get("class_id").map(Value::to_string).unwrap_or_default();
    if let Some(new) = mapping.get(&name).or_else(|| mapping.get(&id)) {
        object.insert("original_class_name".to_owned(), Value::String(name));
        object.insert("class_name".to_owned(), Value::String(new.clone()));
    }
}
