//! The operator table, case by case.

mod compare;
mod logic;
mod presence;
mod save;

use serde_json::{Map, Value, json};
use sightflow_expressions::Condition;
use sightflow_expressions::operators::Fault;
use sightflow_expressions::raw::RawItem;

const T: Result<bool, &str> = Ok(true);
const F: Result<bool, &str> = Ok(false);
const NOT_COMPARABLE: Result<bool, &str> = Err("not_comparable");
const BAD_TYPE: Result<bool, &str> = Err("bad_type");

/// The answer of a condition, the same from a tree and from raw text.
fn answer(condition: &Value, item: &Value) -> Result<bool, &'static str> {
    let parsed = Condition::parse(condition, "").unwrap_or_else(|problems| panic!("{condition}: {problems:?}"));
    let text = item.to_string();
    let raw: RawItem<'_> = serde_json::from_str(&text).unwrap();
    let (tree, raw) = (parsed.evaluate(item), parsed.evaluate(&raw));
    assert_eq!(tree, raw, "{condition} on {item}");
    tree.map_err(|error| {
        assert_eq!(error.fault, Fault::BadInput, "{condition} on {item}");
        error.code
    })
}

/// `field operator value` over the whole item.
fn check(cases: &[(Value, &str, Value, Result<bool, &str>)]) {
    for (item, operator, value, expected) in cases {
        assert_eq!(
            answer(&json!({"operator": operator, "value": value}), item),
            *expected,
            "{item} {operator} {value}"
        );
    }
}

fn check_keys(cases: &[(Value, Value, Result<bool, &str>)]) {
    for (item, condition, expected) in cases {
        assert_eq!(answer(condition, item), *expected, "{condition} on {item}");
    }
}

fn keys(config: &Value) -> Map<String, Value> {
    config.as_object().unwrap().clone()
}
