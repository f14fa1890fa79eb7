//! What is found when a workflow is saved.

use serde_json::json;
use sightflow_block::testing::check;
use sightflow_blocks_logic::PACKAGE;

#[test]
fn problems_at_save() {
    for (block, config, expected) in [
        ("condition", json!({"operator": "=>", "value": 5}), vec![("E-OPERATOR", "/config/operator", Some(">="))]),
        ("condition", json!({"operator": "exists", "conditions": [{}]}), vec![("E-CONFIG", "/config/operator", None)]),
        ("condition", json!({"conditions": []}), vec![("E-CONFIG", "/config/conditions", None)]),
        (
            "condition",
            json!({"conditions": [{}, {"operator": "betwen", "value": [1, 2]}]}),
            vec![("E-OPERATOR", "/config/conditions/1/operator", Some("between"))],
        ),
        ("condition", json!({"field": "a[*]"}), vec![("E-CONFIG", "/config/field", None)]),
        ("condition", json!({"operator": "between", "value": [2, 1]}), vec![("E-CONFIG", "/config/value", None)]),
        (
            "condition",
            json!({"logic_mode": "custom", "custom_expression": "c2", "field": "a"}),
            vec![("E-EXPRESSION", "/config/custom_expression", Some("c1"))],
        ),
        ("condition", json!({}), vec![]),
        (
            "switch",
            json!({"cases": [{"name": "a", "operator": "=>", "value": 5}, {"name": "b", "valeu": 1}]}),
            vec![
                ("E-OPERATOR", "/config/cases/0/operator", Some(">=")),
                ("E-CONFIG-KEY", "/config/cases/1/valeu", Some("value")),
            ],
        ),
        ("switch", json!({"cases": [{"operator": "exists"}]}), vec![("E-CONFIG", "/config/cases/0", None)]),
        ("switch", json!({"cases": []}), vec![("E-CONFIG", "/config/cases", None)]),
        ("switch", json!({"cases": [{"name": "a", "operator": "eq", "value": 1}, {"name": "b"}]}), vec![]),
        ("filter", json!({}), vec![("E-CONFIG", "/config", None)]),
        ("filter", json!({"sort_by": "a", "sort_enabled": false}), vec![("E-CONFIG", "/config", None)]),
        ("filter", json!({"invert": true, "class_filter": ["a"]}), vec![("E-CONFIG", "/config/invert", None)]),
        ("filter", json!({"class_filter": []}), vec![("E-CONFIG", "/config/class_filter", None)]),
        (
            "filter",
            json!({"sort_by": "a[*]", "group_by": "b..c"}),
            vec![("E-CONFIG", "/config/sort_by", None), ("E-CONFIG", "/config/group_by", None)],
        ),
        ("filter", json!({"top_n": 1}), vec![]),
        (
            "map",
            json!({"expression": "item.a", "extract_field": "b"}),
            vec![("E-CONFIG", "/config/extract_field", None)],
        ),
        ("map", json!({"expression": "item.a", "fields": {}}), vec![("E-CONFIG", "/config/fields", None)]),
        ("map", json!({"expression": "nodes.a"}), vec![("E-EXPRESSION", "/config/expression", None)]),
        ("map", json!({"expression": "itm.a"}), vec![("E-EXPRESSION", "/config/expression", Some("item"))]),
        ("map", json!({"extract_field": "*"}), vec![("E-CONFIG", "/config/extract_field", None)]),
        (
            "map",
            json!({"fields": {"a/b": "*", "c": "{{ item. }}", "d": 5}}),
            vec![
                ("E-CONFIG", "/config/fields/a~1b", None),
                ("E-EXPRESSION", "/config/fields/c", None),
                ("E-CONFIG", "/config/fields/d", None),
            ],
        ),
        ("map", json!({"add_field": "a"}), vec![("E-CONFIG", "/config/add_field", None)]),
        ("map", json!({"add_value": 1}), vec![("E-CONFIG", "/config/add_value", None)]),
    ] {
        let found = check(PACKAGE, block, &config, &[]);
        let found: Vec<_> =
            found.iter().map(|p| (p.code.as_str(), p.pointer.as_str(), p.suggestion.as_deref())).collect();
        assert_eq!(found, expected, "{block} {config}");
    }
}
