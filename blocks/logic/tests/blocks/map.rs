//! `map`

use serde_json::json;

use crate::{check_outputs, error};

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
        (
            json!({"fields": {"a": "area", "label": "#{{ index }} {{ item.class_name }}", "t": "{{ item.tags }}"}}),
            json!([{"a": 0.125, "label": "#0 can", "t": ["x"]}, {"a": 0.02, "label": "#1 ", "t": null}]),
        ),
        (json!({}), items.clone()),
        (json!({"extract_field": "area", "transform": "to_string"}), json!(["0.125", "0.02"])),
        (json!({"extract_field": "tags", "transform": "to_string"}), json!(["[\"x\"]", null])),
        (json!({"extract_field": "tags.length", "transform": "to_boolean"}), json!([true, null])),
        (json!({"expression": "'7'", "transform": "to_number"}), json!([7, 7])),
        (json!({"extract_field": "bbox_abs", "transform": "to_bbox_pixels"}), json!([[10.0, 20.0, 30.0, 40.0], null])),
        (json!({"extract_field": "bbox", "transform": "to_bbox_array"}), json!([[0.1, 0.2, 0.3, 0.4], null])),
        (
            json!({"extract_field": "area", "output_field": "size", "transform": "to_string"}),
            json!([
                {"area": 0.125, "class_name": "can", "tags": ["x"], "bbox": {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}, "bbox_abs": [10, 20, 30, 40], "size": "0.125"},
                {"area": 0.02, "size": "0.02"},
            ]),
        ),
        (
            json!({"fields": {"a": "area"}, "add_field": "source", "add_value": {"camera": 1}}),
            json!([{"a": 0.125, "source": {"camera": 1}}, {"a": 0.02, "source": {"camera": 1}}]),
        ),
        (
            json!({"fields": {"a": "area"}, "add_field": "none", "add_value": null}),
            json!([{"a": 0.125, "none": null}, {"a": 0.02, "none": null}]),
        ),
    ] {
        check_outputs("map", "items", &items, &config, &json!({"results": expected, "count": 2}));
    }
    check_outputs(
        "map",
        "items",
        &json!([items[0]]),
        &json!({"transform": "to_bbox_array"}),
        &json!({"results": [[0.1, 0.2, 0.3, 0.4]]}),
    );
    check_outputs(
        "map",
        "items",
        &json!([items[0]]),
        &json!({"transform": "to_bbox_pixels"}),
        &json!({"results": [[10.0, 20.0, 30.0, 40.0]]}),
    );
    check_outputs(
        "map",
        "items",
        &json!([]),
        &json!({"expression": "item.a * 2"}),
        &json!({"results": [], "count": 0}),
    );
    check_outputs("map", "items", &json!([{"$image": 0}]), &json!({}), &json!({"results": [{"$image": 0}]}));
}

#[test]
fn map_names_the_item_that_fails() {
    for (items, config, expected) in [
        (json!([{"a": 1}, {}]), json!({"expression": "item.a + 1"}), "bad_input undefined items[1]"),
        (json!([1, "x"]), json!({"expression": "item * 2.5"}), "bad_input expression items[1]"),
        (
            json!([1]),
            json!({"expression": "range(99999) | map('string') | map('upper') | list | length"}),
            "bad_config fuel expression[0]",
        ),
        (json!(["7", "x"]), json!({"transform": "to_number"}), "bad_input bad_type items[1]"),
        (json!([true, "perhaps"]), json!({"transform": "to_boolean"}), "bad_input bad_type items[1]"),
        (json!([{"bbox": [0, 0, 1, 1]}]), json!({"transform": "to_bbox_pixels"}), "bad_input bad_box items[0]"),
        (json!([{"bbox_abs": [0, 0, 9, 9]}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([{"bbox": [0, 0, 9, 9]}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([{"bbox": "x"}]), json!({"transform": "to_bbox_array"}), "bad_input bad_box items[0]"),
        (json!([5]), json!({"output_field": "x"}), "bad_input bad_type items[0]"),
        (
            json!([{"a": 5}]),
            json!({"extract_field": "a", "add_field": "x", "add_value": 1}),
            "bad_input bad_type items[0]",
        ),
    ] {
        assert_eq!(error("map", "items", &items, &config), expected, "{config} on {items}");
    }
}
