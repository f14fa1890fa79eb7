//! `filter`

use serde_json::{Value, json};
use sightflow_blocks_logic::PACKAGE;

use crate::{check_outputs, error};

#[test]
fn filter_splits() {
    let items = json!([
        {"id": 1, "class_name": "bottle", "confidence": 0.95, "bbox": {"x1": 0.0, "y1": 0.0, "x2": 0.5, "y2": 0.25}, "kept": [1]},
        {"id": 2, "class_name": "can", "confidence": 0.7},
        {"id": 3, "class_name": "bottle", "confidence": 0.4, "confidence_text": "low"},
    ]);
    let at = |indexes: &[usize]| Value::Array(indexes.iter().map(|index| items[*index].clone()).collect());
    for (config, expected) in [
        (
            json!({"field": "confidence", "operator": ">=", "value": 0.7}),
            json!({"passed": at(&[0, 1]), "rejected": at(&[2]), "passed_count": 2, "rejected_count": 1, "grouped": null}),
        ),
        (
            json!({"field": "confidence", "operator": ">=", "value": 0.7, "invert": true}),
            json!({"passed": at(&[2]), "rejected": at(&[0, 1])}),
        ),
        (json!({"class_filter": ["bottle"]}), json!({"passed": at(&[0, 2]), "rejected": at(&[1])})),
        (
            json!({"class_filter": ["bottle"], "field": "score", "operator": "<", "value": 0.5}),
            json!({"passed": at(&[2])}),
        ),
        (
            json!({"class_filter": ["bottle"], "field": "score", "operator": "<", "value": 0.5, "invert": true}),
            json!({"passed": at(&[0])}),
        ),
        (json!({"field": "class", "operator": "in", "value": "can, tin"}), json!({"passed": at(&[1])})),
        (json!({"sort_by": "confidence"}), json!({"passed": at(&[0, 1, 2])})),
        (json!({"sort_by": "confidence", "sort_order": "asc"}), json!({"passed": at(&[2, 1, 0])})),
        (json!({"sort_by": "class_name", "sort_order": "descending"}), json!({"passed": at(&[1, 0, 2])})),
        (json!({"sort_by": "confidence_text"}), json!({"passed": at(&[2, 0, 1])})),
        (json!({"sort_by": "confidence_text", "sort_order": "asc"}), json!({"passed": at(&[2, 0, 1])})),
        (
            json!({"sort_by": "confidence", "sort_order": "asc", "sort_enabled": false, "top_n": 2}),
            json!({"passed": at(&[0, 1])}),
        ),
        (
            json!({"sort_by": "confidence", "sort_order": "asc", "top_n": 1}),
            json!({"passed": at(&[2]), "passed_count": 1, "rejected": [], "rejected_count": 0}),
        ),
        (json!({"group_by": "class_name"}), json!({"grouped": {"bottle": at(&[0, 2]), "can": at(&[1])}})),
        (json!({"group_by": "confidence_text"}), json!({"grouped": {"null": at(&[0, 1]), "low": at(&[2])}})),
        (json!({"group_by": "class_name", "group_enabled": false, "top_n": 3}), json!({"grouped": null})),
        (
            json!({"conditions": [{"field": "id", "operator": "eq", "value": 2}, {"field": "id", "operator": "eq", "value": 3}], "logic": "any"}),
            json!({"passed": at(&[1, 2])}),
        ),
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
    check_outputs(
        "filter",
        "items",
        &json!([]),
        &config,
        &json!({"passed": [], "rejected": [], "passed_count": 0, "rejected_count": 0, "stats": stats, "grouped": {}}),
    );
    check_outputs(
        "filter",
        "items",
        &json!([3, null, "5", 1]),
        &json!({"operator": ">", "value": 2, "sort_by": "."}),
        &json!({"passed": ["5", 3], "rejected": [null, 1]}),
    );
    check_outputs(
        "filter",
        "items",
        &json!([1, 2, 3]),
        &json!({"class_filter": ["a"]}),
        &json!({"passed": [], "rejected_count": 3}),
    );
    assert_eq!(
        error("filter", "items", &json!([1, "abc"]), &json!({"operator": ">", "value": 0})),
        "bad_input not_comparable items[1]"
    );
    assert_eq!(
        error("filter", "items", &json!([{"a": 1}, {}, {"a": "x"}]), &json!({"sort_by": "a"})),
        "bad_input not_comparable items[2]"
    );
    assert_eq!(error("filter", "items", &json!({"a": 1}), &json!({"top_n": 1})), "bad_input bad_type items");
    assert_eq!(error("filter", "items", &json!(null), &json!({"top_n": 1})), "bad_input missing items");
}

#[test]
fn groups_come_in_the_order_of_the_input() {
    let entry = PACKAGE.iter().find(|entry| entry.name == "filter").unwrap();
    let text = (entry.run)(r#"{"group_by": "."}"#, r#"{"items": ["z", "a", "z", 1, true]}"#).unwrap();
    assert!(text.contains(r#""grouped":{"z":["z","z"],"a":["a"],"1":[1],"true":[true]}"#), "{text}");
}
