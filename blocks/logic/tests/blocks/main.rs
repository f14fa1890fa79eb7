//! The logic blocks, called as the host calls them.

mod condition;
mod filter;
mod map;
mod save;
mod switch;

use serde_json::{Value, json};
use sightflow_block::testing::{Call, run_examples};
use sightflow_block::{BlockError, Entry};
use sightflow_blocks_logic::PACKAGE;

#[test]
fn examples_hold() {
    run_examples(PACKAGE);
}

/// The outputs as one object, or the error's code.
fn run(block: &str, port: &str, value: &Value, config: &Value) -> Result<Value, String> {
    let answer = Call::new(PACKAGE, block).config(config.clone()).input(port, value.clone()).run();
    answer.map(|answer| Value::Object(answer.outputs)).map_err(|error| describe(&error))
}

fn describe(error: &BlockError) -> String {
    let (kind, complaint) = match error {
        BlockError::BadInput(complaint) => ("bad_input", complaint),
        BlockError::BadConfig(complaint) => ("bad_config", complaint),
        other => return other.to_string(),
    };
    let place = complaint.port.as_deref().or(complaint.key.as_deref()).unwrap_or("-");
    let index = complaint.index.map(|index| format!("[{index}]")).unwrap_or_default();
    format!("{kind} {} {place}{index}", complaint.code)
}

/// Every named output has the given value; outputs named with `"absent"` are not delivered.
fn check_outputs(block: &str, port: &str, value: &Value, config: &Value, expected: &Value) {
    let outputs =
        run(block, port, value, config).unwrap_or_else(|error| panic!("{block} {config} on {value}: {error}"));
    for (name, expected) in expected.as_object().unwrap() {
        let found = outputs.get(name);
        if expected == "absent" {
            assert_eq!(found, None, "{block} {config} on {value}: `{name}`");
        } else {
            assert_eq!(found, Some(expected), "{block} {config} on {value}: `{name}`");
        }
    }
}

fn error(block: &str, port: &str, value: &Value, config: &Value) -> String {
    run(block, port, value, config).expect_err(&format!("{block} {config} on {value}"))
}

#[test]
fn parameters_reach_expressions() {
    let call = |block: &str, config: Value, document: Value| -> Value {
        let entry: &Entry = PACKAGE.iter().find(|entry| entry.name == block).unwrap();
        serde_json::from_str(&(entry.run)(&config.to_string(), &document.to_string()).unwrap()).unwrap()
    };
    let params = json!({"limit": 3, "unit": "px"});
    let config = json!({"conditions": [{"operator": "exists"}], "logic_mode": "custom", "custom_expression": "value > params.limit", "$params": params});
    assert_eq!(call("condition", config.clone(), json!({"value": 4}))["result"], json!(true));
    assert_eq!(call("condition", config.clone(), json!({"value": 3}))["result"], json!(false));
    assert_eq!(call("filter", config, json!({"items": [1, 5, 3, 9]}))["passed"], json!([5, 9]));
    let config = json!({"expression": "item ~ params.unit", "$params": params});
    assert_eq!(call("map", config, json!({"items": [1, 2]}))["results"], json!(["1px", "2px"]));
    for block in PACKAGE.iter().filter(|block| block.name != "switch") {
        assert_eq!((block.manifest)().config["x-params"], json!(true), "{}", block.name);
    }
}
