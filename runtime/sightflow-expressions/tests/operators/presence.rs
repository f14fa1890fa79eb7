//! Presence, types, lengths, and what a missing field means.

use serde_json::{Value, json};
use sightflow_expressions::Condition;
use sightflow_expressions::operators::{OPERATORS, Operand};

use crate::{BAD_TYPE, F, NOT_COMPARABLE, T, answer, check, check_keys};

#[test]
fn presence_and_truth() {
    let cases: [(Value, [bool; 6]); 22] = [
        // exists, not_exists, empty, not_empty, is_true, is_false
        (json!({}), [false, true, true, false, false, false]),
        (json!({"a": null}), [false, true, true, false, false, false]),
        (json!({"a": ""}), [true, false, true, false, false, false]),
        (json!({"a": []}), [true, false, true, false, false, false]),
        (json!({"a": {}}), [true, false, true, false, false, false]),
        (json!({"a": [null]}), [true, false, false, true, false, false]),
        (json!({"a": " "}), [true, false, false, true, false, false]),
        (json!({"a": 0}), [true, false, false, true, false, true]),
        (json!({"a": 0.0}), [true, false, false, true, false, true]),
        (json!({"a": 1}), [true, false, false, true, true, false]),
        (json!({"a": 1.0}), [true, false, false, true, true, false]),
        (json!({"a": 2}), [true, false, false, true, false, false]),
        (json!({"a": true}), [true, false, false, true, true, false]),
        (json!({"a": false}), [true, false, false, true, false, true]),
        (json!({"a": "true"}), [true, false, false, true, true, false]),
        (json!({"a": "1"}), [true, false, false, true, true, false]),
        (json!({"a": "yes"}), [true, false, false, true, true, false]),
        (json!({"a": "false"}), [true, false, false, true, false, true]),
        (json!({"a": "0"}), [true, false, false, true, false, true]),
        (json!({"a": "no"}), [true, false, false, true, false, true]),
        (json!({"a": "maybe"}), [true, false, false, true, false, false]),
        (json!({"a": "Yes"}), [true, false, false, true, false, false]),
    ];
    for (item, expected) in cases {
        let operators = ["exists", "not_exists", "empty", "not_empty", "is_true", "is_false"];
        let answers = operators.map(|operator| answer(&json!({"field": "a", "operator": operator}), &item).unwrap());
        assert_eq!(answers, expected, "{item}");
    }
    check_keys(&[
        (json!({"a": 1}), json!({"field": "a"}), T),
        (json!({"a": "no"}), json!({"field": "a"}), F),
        (json!(true), json!({}), T),
        (json!({"a": "YES"}), json!({"field": "a", "operator": "is_true", "ignore_case": true}), T),
        (json!({"a": "No"}), json!({"field": "a", "operator": "is_false", "ignore_case": true}), T),
        (json!({"a": 1}), json!({"field": "a", "operator": "exists", "value": null}), T),
    ]);
}

#[test]
fn types_and_lengths() {
    let values = [json!("a"), json!(1.5), json!(2), json!(640.0), json!(true), json!([]), json!({}), json!(null)];
    for (name, expected) in [
        ("string", [true, false, false, false, false, false, false, false]),
        ("number", [false, true, true, true, false, false, false, false]),
        ("integer", [false, false, true, true, false, false, false, false]),
        ("boolean", [false, false, false, false, true, false, false, false]),
        ("array", [false, false, false, false, false, true, false, false]),
        ("object", [false, false, false, false, false, false, true, false]),
        ("null", [false, false, false, false, false, false, false, true]),
        ("NULL", [false, false, false, false, false, false, false, true]),
    ] {
        for (value, expected) in values.iter().zip(expected) {
            assert_eq!(answer(&json!({"operator": "is_type", "value": name}), value), Ok(expected), "{value} {name}");
        }
    }
    check_keys(&[
        (json!({}), json!({"field": "a", "operator": "type", "value": "null"}), F),
        (json!({"a": null}), json!({"field": "a", "operator": "type", "value": "null"}), T),
    ]);
    check(&[
        (json!([1, 2]), "length_equals", json!(2), T),
        (json!("é€"), "array_length_equals", json!("2"), T),
        (json!({"a": 1}), "length_greater", json!(0), T),
        (json!([]), "array_length_greater", json!(0), F),
        (json!([1]), "length_less", json!(1.5), T),
        (json!("abc"), "array_length_less", json!(3), F),
        (json!(null), "length_less", json!(3), F),
        (json!(5), "length_equals", json!(1), BAD_TYPE),
        (json!(true), "length_greater", json!(1), BAD_TYPE),
    ]);
}

/// A missing or null field: false everywhere, except where the reference says otherwise.
#[test]
fn missing_fields() {
    for row in OPERATORS {
        let value = match row.operand {
            Operand::None => Value::Null,
            Operand::Range => json!([1, 2]),
            Operand::List | Operand::Array => json!(["a"]),
            Operand::TypeName => json!("string"),
            Operand::Number => json!(1),
            Operand::Any | Operand::Ordered | Operand::Text | Operand::Pattern => json!("a"),
        };
        let condition = json!({"field": "a", "operator": row.name, "value": value});
        let expected = row.name.starts_with("not_") && row.name != "not_empty" || row.name == "empty";
        for item in [json!({}), json!({"a": null}), json!([]), json!("text")] {
            assert_eq!(answer(&condition, &item), Ok(expected), "{} on {item}", row.name);
        }
    }
}

/// Every `not_` operator is the exact negation of its twin, on errors too.
#[test]
fn negations() {
    let items = [
        json!(null),
        json!(1),
        json!("a"),
        json!("1.5"),
        json!(["a"]),
        json!({"a": 1}),
        json!(true),
        json!([]),
        json!(""),
    ];
    for row in OPERATORS.iter().filter(|row| row.negates.is_some()) {
        let twin = row.negates.unwrap().name();
        let value = match row.operand {
            Operand::None => Value::Null,
            Operand::Range => json!([1, 2]),
            Operand::List => json!(["a", 1]),
            _ => json!("a"),
        };
        for item in &items {
            let (not, plain) = (
                answer(&json!({"operator": row.name, "value": value}), item),
                answer(&json!({"operator": twin, "value": value}), item),
            );
            assert_eq!(not, plain.map(|answer| !answer), "{} on {item}", row.name);
        }
    }
}

#[test]
fn another_field() {
    let item = json!({"a": 5, "b": 5, "c": "x", "range": [1, 10], "list": ["x"], "bad": [9, 1], "pattern": "^x$", "open": "(", "null": null});
    let field = |field: &str, operator: &str, value: &str| json!({"field": field, "operator": operator, "value": value, "type": "field"});
    check_keys(&[
        (item.clone(), field("a", "equals", "b"), T),
        (item.clone(), field("a", ">", "list.length"), T),
        (item.clone(), field("a", "between", "range"), T),
        (item.clone(), field("c", "in", "list"), T),
        (item.clone(), field("c", "regex", "pattern"), T),
        (item.clone(), field("a", "equals", "nowhere"), F),
        (item.clone(), field("a", "not_equals", "nowhere"), T),
        (item.clone(), field("null", "equals", "nowhere"), T),
        (item.clone(), field("a", ">", "null"), F),
        (item.clone(), field("a", "not_between", "null"), T),
        (item.clone(), field("a", "between", "bad"), BAD_TYPE),
        (item.clone(), field("c", "in", "a"), BAD_TYPE),
        (item.clone(), field("c", "regex", "open"), BAD_TYPE),
        (item, field("a", ">", "c"), NOT_COMPARABLE),
    ]);
}

/// Nothing that a client can send makes the parser or an evaluation panic.
#[test]
fn odd_values_never_panic() {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("a,b"),
        json!("1,2"),
        json!("🦀"),
        json!([]),
        json!([null]),
        json!([1, "a", null]),
        json!({}),
        json!({"min": null, "max": 1}),
        json!({"min": 1, "max": 2}),
        json!([[[]]]),
    ];
    let mut asked = 0;
    for row in OPERATORS {
        for value in &values {
            for cast in ["auto", "string", "number", "boolean", "field"] {
                for case in [false, true] {
                    let condition = json!({"operator": row.name, "value": value, "type": cast, "ignore_case": case});
                    let Ok(condition) = Condition::parse(&condition, "") else {
                        continue;
                    };
                    for item in &values {
                        let _ = condition.evaluate(item);
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 10_000, "{asked}");
}
