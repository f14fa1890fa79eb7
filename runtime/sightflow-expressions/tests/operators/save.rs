//! What is found when a workflow is saved.

use serde_json::{Map, Value, json};
use sightflow_expressions::{Condition, Conditions, Operator};

use crate::keys;

/// The first problem of a condition: code, pointer, part of the message, suggestion.
fn check_problem(condition: &Value, expected: (&str, &str, &str, Option<&str>)) {
    let problems = Condition::parse(condition, "/config").expect_err(&condition.to_string());
    assert_eq!(problems.len(), 1, "{condition}: {problems:?}");
    let problem = &problems[0];
    let (code, pointer, message, suggestion) = expected;
    assert_eq!(
        (problem.code.as_str(), problem.pointer.as_str(), problem.suggestion.as_deref()),
        (code, pointer, suggestion),
        "{condition}: {problem:?}"
    );
    assert!(problem.message.contains(message), "{condition}: {}", problem.message);
}

#[test]
fn problems_at_save() {
    for (condition, expected) in [
        (json!({"operator": "=>", "value": 1}), ("E-OPERATOR", "/config/operator", "did you mean `>=`", Some(">="))),
        (json!({"operator": "frob", "value": 1}), ("E-OPERATOR", "/config/operator", "there are equals", None)),
        (json!({"operator": 5}), ("E-OPERATOR", "/config/operator", "a string, not a number", None)),
        (json!({"operator": "exists", "value": 1}), ("E-OPERATOR", "/config/value", "takes no value", None)),
        (json!({"operator": "is_true", "value": true}), ("E-OPERATOR", "/config/value", "takes no value", None)),
        (json!({"field": "a", "value": true}), ("E-OPERATOR", "/config/value", "no operator", None)),
        (json!({"operator": ">"}), ("E-CONFIG", "/config/value", "needs a `value`", None)),
        (json!({"operator": "equals"}), ("E-CONFIG", "/config/value", "needs a `value`", None)),
        (
            json!({"operator": ">", "value": null}),
            ("E-CONFIG", "/config/value", "a number or a string, not null", None),
        ),
        (json!({"operator": ">", "value": [1]}), ("E-CONFIG", "/config/value", "not an array", None)),
        (
            json!({"operator": "between", "value": [2, 1]}),
            ("E-CONFIG", "/config/value", "the low end 2 is above the high end 1", None),
        ),
        (json!({"operator": "between", "value": [1]}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": "1,2,3"}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": {"min": 1}}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (
            json!({"operator": "between", "value": {"min": 1, "max": 2, "x": 3}}),
            ("E-CONFIG", "/config/value", "`[low, high]`", None),
        ),
        (json!({"operator": "between", "value": [1, "x"]}), ("E-CONFIG", "/config/value", "cannot be compared", None)),
        (
            json!({"operator": "in", "value": 5}),
            ("E-CONFIG", "/config/value", "an array or a comma-separated string", None),
        ),
        (json!({"operator": "contains", "value": null}), ("E-CONFIG", "/config/value", "a value to look for", None)),
        (
            json!({"operator": "contains_any", "value": "a,b"}),
            ("E-CONFIG", "/config/value", "an array, not a string", None),
        ),
        (json!({"operator": "starts_with", "value": 1}), ("E-CONFIG", "/config/value", "a string, not a number", None)),
        (json!({"operator": "regex", "value": "("}), ("E-CONFIG", "/config/value", "unclosed group", None)),
        (json!({"operator": "regex", "value": "a".repeat(1025)}), ("E-CONFIG", "/config/value", "1025 bytes", None)),
        (json!({"operator": "regex", "value": r"\w{500}"}), ("E-CONFIG", "/config/value", "too large", None)),
        (json!({"operator": "regex", "value": r"(?=x)"}), ("E-CONFIG", "/config/value", "look-around", None)),
        (
            json!({"operator": "is_type", "value": "int"}),
            ("E-CONFIG", "/config/value", "there is no type `int`", Some("integer")),
        ),
        (json!({"operator": "is_type", "value": 1}), ("E-CONFIG", "/config/value", "a type name, not a number", None)),
        (json!({"operator": "length_less", "value": "x"}), ("E-CONFIG", "/config/value", "a number", None)),
        (
            json!({"operator": "equals", "value": "x", "type": "number"}),
            ("E-CONFIG", "/config/value", "cannot be converted to number", None),
        ),
        (
            json!({"operator": "equals", "value": 1, "type": "numbr"}),
            ("E-CONFIG", "/config/type", "there is no type", Some("number")),
        ),
        (json!({"operator": "equals", "value": 1, "type": 1}), ("E-CONFIG", "/config/type", "not a number", None)),
        (json!({"operator": "exists", "type": "string"}), ("E-CONFIG", "/config/type", "no effect", None)),
        (json!({"operator": "exists", "type": "field"}), ("E-CONFIG", "/config/type", "no effect", None)),
        (
            json!({"operator": "length_less", "value": 1, "ignore_case": true}),
            ("E-CONFIG", "/config/ignore_case", "no effect", None),
        ),
        (
            json!({"operator": "equals", "value": 1, "type": "field"}),
            ("E-CONFIG", "/config/value", "the value is a path", None),
        ),
        (
            json!({"operator": "equals", "value": null, "type": "field"}),
            ("E-CONFIG", "/config/value", "the value is a path", None),
        ),
        (
            json!({"operator": "equals", "value": "a[*]", "type": "field"}),
            ("E-CONFIG", "/config/value", "wildcards", None),
        ),
        (
            json!({"operator": "equals", "value": 1, "ignore_case": "yes"}),
            ("E-CONFIG", "/config/ignore_case", "a boolean", None),
        ),
        (json!({"field": "a.*", "operator": "exists"}), ("E-CONFIG", "/config/field", "wildcards", None)),
        (json!({"field": 5, "operator": "exists"}), ("E-CONFIG", "/config/field", "a path, not a number", None)),
        (
            json!({"fields": "a", "operator": "exists"}),
            ("E-CONFIG-KEY", "/config/fields", "no key `fields`", Some("field")),
        ),
        (json!({"a/b": "a"}), ("E-CONFIG-KEY", "/config/a~1b", "no key", None)),
        (json!("x"), ("E-CONFIG", "/config", "a condition is an object", None)),
    ] {
        check_problem(&condition, expected);
    }
    let all = Condition::parse(&json!({"field": "*", "operator": "=>", "type": "x", "bad": 1}), "").unwrap_err();
    assert_eq!(all.len(), 4, "every problem is reported at once: {all:?}");
}

#[test]
fn values_that_are_not_known_yet() {
    for (condition, unknown, expected) in [
        (json!({"operator": ">"}), &["value"][..], &[][..]),
        (json!({"operator": "=>"}), &["value"], &["E-OPERATOR"]),
        (json!({"operator": "exists"}), &["value"], &["E-OPERATOR"]),
        (json!({"value": 5}), &["operator"], &[]),
        (json!({"operator": ">", "value": [1]}), &["type"], &[]),
        (json!({"operator": ">", "value": [1]}), &["field"], &["E-CONFIG"]),
        (json!({"field": "a[*]"}), &["operator", "value"], &["E-CONFIG"]),
        (json!({"operator": "regex", "value": "("}), &[], &["E-CONFIG"]),
    ] {
        let codes: Vec<String> =
            Condition::check(&condition, "", unknown).into_iter().map(|problem| problem.code).collect();
        assert_eq!(codes, expected, "{condition} without {unknown:?}");
    }
}

#[test]
fn sets_at_save() {
    for (config, unknown, expected) in [
        (json!({}), &[][..], &[][..]),
        (json!({"logic_mode": "all", "ignore_case": false, "type": "auto"}), &[], &[]),
        (json!({"operator": "exists", "conditions": [{}]}), &[], &[("E-CONFIG", "/config/operator")]),
        (json!({"conditions": [{}]}), &["value"], &[("E-CONFIG", "/config/value")]),
        (json!({"conditions": []}), &[], &[("E-CONFIG", "/config/conditions")]),
        (json!({"conditions": {}}), &[], &[("E-CONFIG", "/config/conditions")]),
        (json!({"conditions": [1]}), &[], &[("E-CONFIG", "/config/conditions/0")]),
        (
            json!({"conditions": [{"operator": "=>", "value": 1}, {"operator": "exists"}, {"operator": "exists", "value": 1}]}),
            &[],
            &[("E-OPERATOR", "/config/conditions/0/operator"), ("E-OPERATOR", "/config/conditions/2/value")],
        ),
        (json!({"conditions": [{"operator": ">"}]}), &["/conditions/0/value"], &[]),
        (
            json!({"conditions": [{"operator": ">"}, {"operator": ">"}]}),
            &["/conditions/0/value"],
            &[("E-CONFIG", "/config/conditions/1/value")],
        ),
        (json!({"conditions": [null]}), &["/conditions/0"], &[]),
        (json!({"logic_mode": "both", "operator": "exists"}), &[], &[("E-CONFIG", "/config/logic_mode")]),
        (json!({"logic_mode": "custom", "operator": "exists"}), &[], &[("E-CONFIG", "/config/custom_expression")]),
        (json!({"custom_expression": "c1", "operator": "exists"}), &[], &[("E-CONFIG", "/config/custom_expression")]),
        (
            json!({"logic_mode": "custom", "custom_expression": "c1 and", "operator": "exists"}),
            &[],
            &[("E-EXPRESSION", "/config/custom_expression")],
        ),
        (
            json!({"logic_mode": "custom", "custom_expression": "c2", "operator": "exists"}),
            &[],
            &[("E-EXPRESSION", "/config/custom_expression")],
        ),
        (
            json!({"logic_mode": "custom", "custom_expression": "item.a", "operator": "exists"}),
            &[],
            &[("E-EXPRESSION", "/config/custom_expression")],
        ),
        (
            json!({"logic_mode": "custom", "custom_expression": "value | frob", "operator": "exists"}),
            &[],
            &[("E-EXPRESSION", "/config/custom_expression")],
        ),
        (json!({"logic_mode": "custom", "custom_expression": "c9"}), &["conditions"], &[]),
        (
            json!({"logic_mode": "custom", "custom_expression": "c1 or value.n > params.limit", "operator": "exists"}),
            &[],
            &[],
        ),
    ] {
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let problems = Conditions::check(&keys(&config), "/config", &unknown);
        let found: Vec<(&str, &str)> =
            problems.iter().map(|problem| (problem.code.as_str(), problem.pointer.as_str())).collect();
        assert_eq!(found, expected, "{config}: {problems:?}");
    }
    assert!(Conditions::parse(&Map::new(), "").unwrap().is_none());
    assert_eq!(
        Conditions::parse(&keys(&json!({"field": "a"})), "").unwrap().unwrap().list()[0].operator(),
        Operator::IsTrue
    );
}
