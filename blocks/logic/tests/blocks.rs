//! The logic blocks, called as the host calls them.

use serde_json::{Value, json};
use sightflow_block::testing::{Call, check, run_examples};
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
    let outputs = run(block, port, value, config).unwrap_or_else(|error| panic!("{block} {config} on {value}: {error}"));
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
fn condition_takes_a_branch() {
    let five = json!([1, 2, 3, 4, 5]);
    for (value, config, expected) in [
        (five.clone(), json!({"field": "length", "operator": ">", "value": 0}), json!({"result": true, "passed": true, "true_output": five, "false_output": "absent", "metadata": null})),
        (json!([]), json!({"field": "length", "operator": ">", "value": 0}), json!({"result": false, "passed": false, "false_output": [], "true_output": "absent"})),
        (json!(true), json!({}), json!({"result": true, "matched_conditions": [0]})),
        (json!("YES"), json!({"ignore_case": true}), json!({"result": true})),
        (json!({"a": 1}), json!({"field": "a", "operator": "equals", "value": null}), json!({"result": false})),
        (json!({"b": 1}), json!({"field": "a", "operator": "equals", "value": null}), json!({"result": true})),
        (json!(3), json!({"operator": "eq", "value": 3, "invert": true}), json!({"result": false, "false_output": 3, "matched_conditions": [0]})),
        (json!(3), json!({"operator": "eq", "value": 3, "true_value": {"ok": 1}}), json!({"true_output": {"ok": 1}})),
        (json!(3), json!({"operator": "eq", "value": 3, "true_value": null}), json!({"true_output": null, "false_output": "absent"})),
        (json!(4), json!({"operator": "eq", "value": 3, "true_value": 1, "false_value": "no"}), json!({"false_output": "no", "true_output": "absent"})),
        (json!({"image": {"$image": 0}, "ok": 1}), json!({"field": "ok"}), json!({"true_output": {"image": {"$image": 0}, "ok": 1}})),
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
    check_outputs("condition", "value", &json!("abc"), &config("true"), &json!({"result": true, "true_output": "abc", "matched_conditions": [], "metadata": metadata}));
    check_outputs("condition", "value", &json!("abc"), &config("false"), &json!({"result": false, "false_output": "abc"}));
    let alias = json!({"operator": ">", "value": 5, "default_branch": "true", "invert": true});
    check_outputs("condition", "value", &json!("abc"), &alias, &json!({"result": true}));
    let fuel = json!({"conditions": [{}], "logic_mode": "custom", "custom_expression": "range(9000) | map('string') | list | length > 0", "on_error": "true"});
    assert_eq!(error("condition", "value", &json!(1), &fuel), "bad_config fuel custom_expression");
    assert_eq!(error("condition", "value", &json!(null), &json!({})), "bad_input missing value");
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
    for block in PACKAGE {
        assert_eq!((block.manifest)().config["x-params"], json!(true), "{}", block.name);
    }
}

#[test]
fn filter_splits() {
    let items = json!([
        {"id": 1, "class_name": "bottle", "confidence": 0.95, "bbox": {"x1": 0.0, "y1": 0.0, "x2": 0.5, "y2": 0.25}, "kept": [1]},
        {"id": 2, "class_name": "can", "confidence": 0.7},
        {"id": 3, "class_name": "bottle", "confidence": 0.4, "confidence_text": "low"},
    ]);
    let at = |indexes: &[usize]| Value::Array(indexes.iter().map(|index| items[*index].clone()).collect());
    for (config, expected) in [
        (json!({"field": "confidence", "operator": ">=", "value": 0.7}), json!({"passed": at(&[0, 1]), "rejected": at(&[2]), "passed_count": 2, "rejected_count": 1, "grouped": null})),
        (json!({"field": "confidence", "operator": ">=", "value": 0.7, "invert": true}), json!({"passed": at(&[2]), "rejected": at(&[0, 1])})),
        (json!({"class_filter": ["bottle"]}), json!({"passed": at(&[0, 2]), "rejected": at(&[1])})),
        (json!({"class_filter": ["bottle"], "field": "score", "operator": "<", "value": 0.5}), json!({"passed": at(&[2])})),
        (json!({"class_filter": ["bottle"], "field": "score", "operator": "<", "value": 0.5, "invert": true}), json!({"passed": at(&[0])})),
        (json!({"field": "class", "operator": "in", "value": "can, tin"}), json!({"passed": at(&[1])})),
        (json!({"sort_by": "confidence"}), json!({"passed": at(&[0, 1, 2])})),
        (json!({"sort_by": "confidence", "sort_order": "asc"}), json!({"passed": at(&[2, 1, 0])})),
        (json!({"sort_by": "class_name", "sort_order": "descending"}), json!({"passed": at(&[1, 0, 2])})),
        (json!({"sort_by": "confidence_text"}), json!({"passed": at(&[2, 0, 1])})),
        (json!({"sort_by": "confidence_text", "sort_order": "asc"}), json!({"passed": at(&[2, 0, 1])})),
        (json!({"sort_by": "confidence", "sort_order": "asc", "sort_enabled": false, "top_n": 2}), json!({"passed": at(&[0, 1])})),
        (json!({"sort_by": "confidence", "sort_order": "asc", "top_n": 1}), json!({"passed": at(&[2]), "passed_count": 1, "rejected": [], "rejected_count": 0})),
        (json!({"group_by": "class_name"}), json!({"grouped": {"bottle": at(&[0, 2]), "can": at(&[1])}})),
        (json!({"group_by": "confidence_text"}), json!({"grouped": {"null": at(&[0, 1]), "low": at(&[2])}})),
        (json!({"group_by": "class_name", "group_enabled": false, "top_n": 3}), json!({"grouped": null})),
        (json!({"conditions": [{"field": "id", "operator": "eq", "value": 2}, {"field": "id", "operator": "eq", "value": 3}], "logic": "any"}), json!({"passed": at(&[1, 2])})),
        (
            json!({"top_n": 2}),
            json!({"stats": {
                "total": 3, "passed": 2, "rejected": 0, "cut": 1,
                "confidence": {"min": 0.7, "max": 0.95, "mean": 0.825}, "area": null,
                "width": {"min": 0.5, "max": 0.5, "mean": 0.5}, "height": {"min": 0.25, "max": 0.25, "mean": 0.25}, "similarity": null,
            }}),
        ),
    ] {
        check_outputs("filter", "items", &items, &config, &expected);
    }
}

#[test]
fn filter_of_anything() {
    let stats = json!({"total": 0, "passed": 0, "rejected": 0, "cut": 0, "confidence": null, "area": null, "width": null, "height": null, "similarity": null});
    let config = json!({"field": "confidence", "operator": ">=", "value": 0.7, "group_by": "class_name", "sort_by": "x", "top_n": 3});
    check_outputs("filter", "items", &json!([]), &config, &json!({"passed": [], "rejected": [], "passed_count": 0, "rejected_count": 0, "stats": stats, "grouped": {}}));
    check_outputs("filter", "items", &json!([3, null, "5", 1]), &json!({"operator": ">", "value": 2, "sort_by": "."}), &json!({"passed": ["5", 3], "rejected": [null, 1]}));
    check_outputs("filter", "items", &json!([1, 2, 3]), &json!({"class_filter": ["a"]}), &json!({"passed": [], "rejected_count": 3}));
    assert_eq!(error("filter", "items", &json!([1, "abc"]), &json!({"operator": ">", "value": 0})), "bad_input not_comparable items[1]");
    assert_eq!(error("filter", "items", &json!([{"a": 1}, {}, {"a": "x"}]), &json!({"sort_by": "a"})), "bad_input not_comparable items[2]");
    assert_eq!(error("filter", "items", &json!({"a": 1}), &json!({"top_n": 1})), "bad_input bad_type items");
    assert_eq!(error("filter", "items", &json!(null), &json!({"top_n": 1})), "bad_input missing items");
}

#[test]
fn groups_come_in_the_order_of_the_input() {
    let entry = PACKAGE.iter().find(|entry| entry.name == "filter").unwrap();
    let text = (entry.run)(r#"{"group_by": "."}"#, r#"{"items": ["z", "a", "z", 1, true]}"#).unwrap();
    assert!(text.contains(r#""grouped":{"z":["z","z"],"a":["a"],"1":[1],"true":[true]}"#), "{text}");
}

#[test]
fn map_makes_values() {
    let items = json!([{"area": 0.125, "class_name": "can", "tags": ["x"], "bbox": {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}, "bbox_abs": [10, 20, 30, 40]}, {"area": 0.02}]);
    for (config, expected) in [
        (json!({"expression": "item.area * 100"}), json!([12.5, 2.0])),
        (json!({"expression": "{{ index }}"}), json!([0, 1])),
        (json!({"expression": "items | length"}), json!([2, 2])),
        (json!({"expression": "item.class_name"}), json!(["can", null])),
        (json!({"expression": "item.class_name | default('none')"}), json!(["can", "none"])),
        (json!({"expression": "[item.area, index]"}), json!([[0.125, 0], [0.02, 1]])),
        (json!({"extract_field": "area"}), json!([0.125, 0.02])),
        (json!({"extract_field": "tags[0]"}), json!(["x", null])),
        (json!({"extract_field": "label"}), json!(["can", null])),
        (json!({"fields": {"a": "area", "label": "#{{ index }} {{ item.class_name }}", "t": "{{ item.tags }}"}}), json!([{"a": 0.125, "label": "#0 can", "t": ["x"]}, {"a": 0.02, "label": "#1 ", "t": null}])),
        (json!({}), items.clone()),
        (json!({"extract_field": "area", "transform": "to_string"}), json!(["0.125", "0.02"])),
        (json!({"extract_field": "tags", "transform": "to_string"}), json!(["[\"x\"]", null])),
        (json!({"extract_field": "tags.length", "transform": "to_boolean"}), json!([true, null])),
        (json!({"expression": "'7'", "transform": "to_number"}), json!([7, 7])),
        (json!({"extract_field": "bbox_abs", "transform": "to_bbox_pixels"}), json!([[10.0, 20.0, 30.0, 40.0], null])),
        (json!({"extract_field": "bbox", "transform": "to_bbox_array"}), json!([[0.1, 0.2, 0.3, 0.4], null])),
        (json!({"extract_field": "area", "output_field": "size", "transform": "to_string"}), json!([
            {"area": 0.125, "class_name": "can", "tags": ["x"], "bbox": {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}, "bbox_abs": [10, 20, 30, 40], "size": "0.125"},
            {"area": 0.02, "size": "0.02"},
        ])),
        (json!({"fields": {"a": "area"}, "add_field": "source", "add_value": {"camera": 1}}), json!([{"a": 0.125, "source": {"camera": 1}}, {"a": 0.02, "source": {"camera": 1}}])),
        (json!({"fields": {"a": "area"}, "add_field": "none", "add_value": null}), json!([{"a": 0.125, "none": null}, {"a": 0.02, "none": null}])),
    ] {
        check_outputs("map", "items", &items, &config, &json!({"results": expected, "count": 2}));
    }
    check_outputs("map", "items", &json!([items[0]]), &json!({"transform": "to_bbox_array"}), &json!({"results": [[0.1, 0.2, 0.3, 0.4]]}));
    check_outputs("map", "items", &json!([items[0]]), &json!({"transform": "to_bbox_pixels"}), &json!({"results": [[10.0, 20.0, 30.0, 40.0]]}));
    check_outputs("map", "items", &json!([]), &json!({"expression": "item.a * 2"}), &json!({"results": [], "count": 0}));
    check_outputs("map", "items", &json!([{"$image": 0}]), &json!({}), &json!({"results": [{"$image": 0}]}));
}

#[test]
fn map_names_the_item_that_fails() {
    for (items, config, expected) in [
        (json!([{"a": 1}, {}]), json!({"expression": "item.a + 1"}), "bad_input undefined items[1]"),
        (json!([1, "x"]), json!({"expression": "item * 2.5"}), "bad_input expression items[1]"),
        (json!([1]), json!({"expression": "range(99999) | map('string') | map('upper') | list | length"}), "bad_config fuel expression[0]"),
        (json!(["7", "x"]), json!({"transform": "to_number"}), "bad_input bad_type items[1]"),
        (json!([true, "perhaps"]), json!({"transform": "to_boolean"}), "bad_input bad_type items[1]"),
        (json!([{"bbox": [0, 0, 1, 1]}]), json!({"transform": "to_bbox_pixels"}), "bad_input bad_box items[0]"),
        (json!([{"bbox_abs": [0, 0, 9, 9]}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([{"bbox": [0, 0, 9, 9]}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([{"bbox": "x"}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([5]), json!({"output_field": "x"}), "bad_input bad_type items[0]"),
        (json!([{"a": 5}]), json!({"extract_field": "a", "add_field": "x", "add_value": 1}), "bad_input bad_type items[0]"),
    ] {
        assert_eq!(error("map", "items", &items, &config), expected, "{config} on {items}");
    }
}

#[test]
fn problems_at_save() {
    for (block, config, expected) in [
        ("condition", json!({"operator": "=>", "value": 5}), vec![("E-OPERATOR", "/config/operator", Some(">="))]),
        ("condition", json!({"operator": "exists", "conditions": [{}]}), vec![("E-CONFIG", "/config/operator", None)]),
        ("condition", json!({"conditions": []}), vec![("E-CONFIG", "/config/conditions", None)]),
        ("condition", json!({"conditions": [{}, {"operator": "betwen", "value": [1, 2]}]}), vec![("E-OPERATOR", "/config/conditions/1/operator", Some("between"))]),
        ("condition", json!({"field": "a[*]"}), vec![("E-CONFIG", "/config/field", None)]),
        ("condition", json!({"operator": "between", "value": [2, 1]}), vec![("E-CONFIG", "/config/value", None)]),
        ("condition", json!({"logic_mode": "custom", "custom_expression": "c2", "field": "a"}), vec![("E-EXPRESSION", "/config/custom_expression", None)]),
        ("condition", json!({}), vec![]),
        ("filter", json!({}), vec![("E-CONFIG", "/config", None)]),
        ("filter", json!({"sort_by": "a", "sort_enabled": false}), vec![("E-CONFIG", "/config", None)]),
        ("filter", json!({"invert": true, "class_filter": ["a"]}), vec![("E-CONFIG", "/config/invert", None)]),
        ("filter", json!({"class_filter": []}), vec![("E-CONFIG", "/config/class_filter", None)]),
        ("filter", json!({"sort_by": "a[*]", "group_by": "b..c"}), vec![("E-CONFIG", "/config/sort_by", None), ("E-CONFIG", "/config/group_by", None)]),
        ("filter", json!({"top_n": 1}), vec![]),
        ("map", json!({"expression": "item.a", "extract_field": "b"}), vec![("E-CONFIG", "/config/extract_field", None)]),
        ("map", json!({"expression": "item.a", "fields": {}}), vec![("E-CONFIG", "/config/fields", None)]),
        ("map", json!({"expression": "nodes.a"}), vec![("E-EXPRESSION", "/config/expression", None)]),
        ("map", json!({"expression": "itm.a"}), vec![("E-EXPRESSION", "/config/expression", Some("item"))]),
        ("map", json!({"extract_field": "*"}), vec![("E-CONFIG", "/config/extract_field", None)]),
        ("map", json!({"fields": {"a/b": "*", "c": "{{ item. }}", "d": 5}}), vec![("E-CONFIG", "/config/fields/a~1b", None), ("E-EXPRESSION", "/config/fields/c", None), ("E-CONFIG", "/config/fields/d", None)]),
        ("map", json!({"add_field": "a"}), vec![("E-CONFIG", "/config/add_field", None)]),
        ("map", json!({"add_value": 1}), vec![("E-CONFIG", "/config/add_value", None)]),
    ] {
        let found = check(PACKAGE, block, &config, &[]);
        let found: Vec<_> = found.iter().map(|p| (p.code.as_str(), p.pointer.as_str(), p.suggestion.as_deref())).collect();
        assert_eq!(found, expected, "{block} {config}");
    }
}
