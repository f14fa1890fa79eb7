//! What the scripted blocks compute.

use serde_json::{Map, Value, json};
use sightflow_engine::CallError;

/// The blocks that are a function of their inputs and configuration; nothing for the others.
pub(crate) fn pure(block: &str, config: &Value, inputs: &Map<String, Value>) -> Option<Result<Value, CallError>> {
    let input = |port: &str| inputs.get(port).cloned().unwrap_or_default();
    let value = input("value");
    Some(Ok(match block {
        "condition" => {
            let taken = value.as_f64().unwrap_or(0.0) > config["value"].as_f64().unwrap_or(0.0);
            let side = if taken { "true_output" } else { "false_output" };
            json!({"result": taken, "passed": taken, side: value})
        }
        "echo" if config["text"] == "none" => json!({"value": value}),
        "echo" => json!({"value": config["text"]}),
        "number" => json!({"number": config["is"]}),
        "switch" => {
            let cases = config["cases"].as_array().into_iter().flatten();
            let taken = cases.into_iter().find(|case| case["value"] == value);
            json!({taken.and_then(|case| case["name"].as_str()).unwrap_or("default"): value})
        }
        "list" => json!({"items": input("items")}),
        "fail" => return Some(Err(CallError::new("E-BLOCK-FAILED", "it always fails"))),
        "fail_if" if value.as_f64() == config["is"].as_f64() => {
            return Some(Err(CallError::new("E-BLOCK-FAILED", format!("{value} is refused"))));
        }
        "fail_if" => json!({"value": value}),
        "nap" => {
            std::thread::sleep(std::time::Duration::from_millis(3));
            json!({"value": value})
        }
        "add" => {
            let numbers = [&value, &input("extra"), &config["by"]].map(|number| number.as_i64().unwrap_or(0));
            json!({"value": numbers.iter().sum::<i64>()})
        }
        "digit" => {
            let numbers = [&value, &input("extra")].map(|number| number.as_i64().unwrap_or(0));
            json!({"value": numbers.iter().sum::<i64>().rem_euclid(10)})
        }
        "range" => {
            let length = value.as_array().map_or(value.as_i64().unwrap_or(0), |list| list.len() as i64);
            json!({"items": (0..length.clamp(0, 3)).collect::<Vec<_>>()})
        }
        _ => return None,
    }))
}
