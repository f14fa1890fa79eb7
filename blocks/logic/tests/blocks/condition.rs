//! `condition`

use serde_json::json;

use crate::{check_outputs, error};

#[test]
fn condition_takes_a_branch() {
    let five = json!([1, 2, 3, 4, 5]);
    for (value, config, expected) in [
        (
            five.clone(),
            json!({"field": "length", "operator": ">", "value": 0}),
            json!({"result": true, "passed": true, "true_output": five, "false_output": "absent", "metadata": null}),
        ),
        (
            json!([]),
            json!({"field": "length", "operator": ">", "value": 0}),
            json!({"result": false, "passed": false, "false_output": [], "true_output": "absent"}),
        ),
        (json!(true), json!({}), json!({"result": true, "matched_conditions": [0]})),
        (json!("YES"), json!({"ignore_case": true}), json!({"result": true})),
        (json!({"a": 1}), json!({"field": "a", "operator": "equals", "value": null}), json!({"result": false})),
        (json!({"b": 1}), json!({"field": "a", "operator": "equals", "value": null}), json!({"result": true})),
        (
            json!(3),
            json!({"operator": "eq", "value": 3, "invert": true}),
            json!({"result": false, "false_output": 3, "matched_conditions": [0]}),
        ),
        (json!(3), json!({"operator": "eq", "value": 3, "true_value": {"ok": 1}}), json!({"true_output": {"ok": 1}})),
        (
            json!(3),
            json!({"operator": "eq", "value": 3, "true_value": null}),
            json!({"true_output": null, "false_output": "absent"}),
        ),
        (
            json!(4),
            json!({"operator": "eq", "value": 3, "true_value": 1, "false_value": "no"}),
            json!({"false_output": "no", "true_output": "absent"}),
        ),
        (
            json!({"image": {"$image": 0}, "ok": 1}),
            json!({"field": "ok"}),
            json!({"true_output": {"image": {"$image": 0}, "ok": 1}}),
        ),
        (
            json!({"n": 5, "s": "x"}),
            json!({"conditions": [{"field": "n", "operator": ">", "value": 9}, {"field": "s", "operator": "eq", "value": "x"}], "logic_mode": "or", "add_metadata": true}),
            json!({"result": true, "matched_conditions": [1], "metadata": {"conditions": [{"index": 0, "result": false, "actual": 5}, {"index": 1, "result": true, "actual": "x"}]}}),
        ),
        (
            json!({"n": 5}),
            json!({"conditions": [{"field": "n", "operator": "<", "value": 9}, {"field": "n", "operator": "eq", "value": 4}], "logic_mode": "nand"}),
            json!({"result": true, "matched_conditions": [0]}),
        ),
    ] {
        check_outputs("condition", "value", &value, &config, &expected);
    }
}

#[test]
fn condition_without_an_answer() {
    let config = |on_error: &str| json!({"operator": ">", "value": 5, "on_error": on_error, "add_metadata": true});
    assert_eq!(error("condition", "value", &json!("abc"), &config("fail")), "bad_input not_comparable value");
    assert_eq!(error("condition", "value", &json!("abc"), &config("error")), "bad_input not_comparable value");
    let metadata = json!({"conditions": [{"index": 0, "result": null, "actual": "abc"}]});
    check_outputs(
        "condition",
        "value",
        &json!("abc"),
        &config("true"),
        &json!({"result": true, "true_output": "abc", "matched_conditions": [], "metadata": metadata}),
    );
    check_outputs(
        "condition",
        "value",
        &json!("abc"),
        &config("false"),
        &json!({"result": false, "false_output": "abc"}),
    );
    let alias = json!({"operator": ">", "value": 5, "default_branch": "true", "invert": true});
    check_outputs("condition", "value", &json!("abc"), &alias, &json!({"result": true}));
    let fuel = json!({"conditions": [{}], "logic_mode": "custom", "custom_expression": "range(9000) | map('string') | list | length > 0", "on_error": "true"});
    assert_eq!(error("condition", "value", &json!(1), &fuel), "bad_config fuel custom_expression");
    assert_eq!(error("condition", "value", &json!(null), &json!({})), "bad_input missing value");
}
