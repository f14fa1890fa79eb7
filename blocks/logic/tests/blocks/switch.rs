//! `switch`

use serde_json::json;

use crate::{error, run};

#[test]
fn switch_takes_the_first_case() {
    let sizes = json!({"cases": [
        {"name": "none", "operator": "not_exists", "field": "area"},
        {"name": "small", "field": "area", "operator": "<", "value": 0.1},
        {"name": "middle", "field": "area", "operator": "less_than", "value": 0.5},
        {"name": "tagged", "field": "tags", "operator": "contains", "value": "SALE", "ignore_case": true},
    ]});
    let kinds = json!({"cases": [
        {"name": "text", "operator": "is_type", "value": "string"},
        {"name": "seven", "operator": "eq", "value": 7, "type": "number"},
        {"name": "yes"},
    ]});
    for (config, value, port) in [
        (&sizes, json!({}), "none"),
        (&sizes, json!({"area": 0.01}), "small"),
        (&sizes, json!({"area": 0.1}), "middle"),
        (&sizes, json!({"area": 0.5, "tags": ["new", "sale"]}), "tagged"),
        (&sizes, json!({"area": 0.5, "tags": []}), "default"),
        (&sizes, json!({"area": 0.2, "tags": ["sale"], "image": {"$image": 0}}), "middle"),
        (&kinds, json!("7"), "text"),
        (&kinds, json!(7.0), "seven"),
        (&kinds, json!(true), "yes"),
        (&kinds, json!(false), "default"),
    ] {
        let expected = json!({port: value});
        assert_eq!(run("switch", "value", &value, config), Ok(expected), "{config} on {value}");
    }
}

#[test]
fn switch_without_an_answer() {
    let config =
        json!({"cases": [{"name": "big", "operator": ">", "value": 5}, {"name": "rest", "operator": "exists"}]});
    assert_eq!(error("switch", "value", &json!("abc"), &config), "bad_input not_comparable value");
    assert_eq!(error("switch", "value", &json!(null), &config), "bad_input missing value");
    // A template can still bring an operator that does not exist.
    let config = json!({"cases": [{"name": "big", "operator": "=>", "value": 5}]});
    assert_eq!(error("switch", "value", &json!(1), &config), "bad_config bad_condition cases");
}
