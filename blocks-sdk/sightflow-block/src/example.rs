//! Worked calls for manifests.

use crate::{Example, Value};

/// One worked call: `example(json!({"value": 1}), json!({"field": "."}), json!({"result": true}))`. Outputs that are not
/// named are not compared.
///
/// # Panics
/// If a part is not an object. Every use of the package makes its manifests, so the first test shows it.
pub fn example(inputs: Value, config: Value, outputs: Value) -> Example {
    let object = |part: &str, value: Value| match value {
        Value::Object(object) => object,
        other => panic!("the {part} of an example are an object, not {other}"),
    };
    Example {
        inputs: object("inputs", inputs),
        config: object("settings", config),
        outputs: object("outputs", outputs),
    }
}
