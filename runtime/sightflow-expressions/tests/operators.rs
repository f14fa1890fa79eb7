//! The operator table, case by case.

use serde_json::{Map, Value, json};
use sightflow_expressions::operators::{Fault, OPERATORS, Operand};
use sightflow_expressions::raw::RawItem;
use sightflow_expressions::{Condition, Conditions, Operator};

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
        assert_eq!(answer(&json!({"operator": operator, "value": value}), item), *expected, "{item} {operator} {value}");
    }
}

fn check_keys(cases: &[(Value, Value, Result<bool, &str>)]) {
    for (item, condition, expected) in cases {
        assert_eq!(answer(condition, item), *expected, "{condition} on {item}");
    }
}

#[test]
fn the_vectors_of_the_reference() {
    check_keys(&[
        (json!([1, 2, 3, 4, 5]), json!({"field": "length", "operator": ">", "value": 0}), T),
        (json!([]), json!({"field": "length", "operator": ">", "value": 0}), F),
        (json!(0.7), json!({"operator": "gte", "value": "0.70"}), T),
        (json!("10"), json!({"operator": ">", "value": "9"}), T),
        (json!({}), json!({"field": "confidence", "operator": ">", "value": 0.5}), F),
        (json!({}), json!({"field": "confidence", "operator": "not_equals", "value": 3}), T),
        (json!("abc"), json!({"operator": ">", "value": 5}), NOT_COMPARABLE),
    ]);
}

#[test]
fn equality() {
    check(&[
        (json!(1), "equals", json!(1.0), T),
        (json!(1), "==", json!("1"), T),
        (json!("1.50"), "=", json!(1.5), T),
        (json!(" 7 "), "eq", json!(7), T),
        (json!("1"), "is", json!("1.0"), F),
        (json!("1"), "equals", json!("1"), T),
        (json!(9_007_199_254_740_993_i64), "equals", json!(9_007_199_254_740_992_i64), F),
        (json!(u64::MAX), "equals", json!(u64::MAX), T),
        (json!(true), "equals", json!("true"), T),
        (json!("false"), "equals", json!(false), T),
        (json!(true), "equals", json!("TRUE"), F),
        (json!(true), "equals", json!(1), F),
        (json!("inf"), "equals", json!(1), F),
        (json!("a"), "equals", json!("A"), F),
        (json!([1, {"a": "2"}]), "equals", json!([1.0, {"a": 2}]), T),
        (json!([1, 2]), "equals", json!([2, 1]), F),
        (json!({"a": 1}), "equals", json!({"a": 1, "b": 2}), F),
        (json!({"a": 1, "b": null}), "equals", json!({"b": null, "a": 1}), T),
        (json!([]), "equals", json!({}), F),
        (json!(null), "equals", json!(null), T),
        (json!(0), "equals", json!(null), F),
        (json!(1), "!=", json!(2), T),
        (json!(1), "<>", json!(1), F),
        (json!(1), "ne", json!("1"), F),
        (json!(null), "neq", json!(null), F),
        (json!(null), "not_equals", json!(0), T),
    ]);
}

#[test]
fn order() {
    check(&[
        (json!(2), "greater_than", json!(1), T),
        (json!(1), "gt", json!(1), F),
        (json!(1), ">=", json!(1.0), T),
        (json!(1), "ge", json!(2), F),
        (json!(1), "greater_than_or_equal", json!(1), T),
        (json!(1), "greater_or_equal", json!(2), F),
        (json!(1), "<", json!(2), T),
        (json!(2), "lt", json!(2), F),
        (json!(2), "<=", json!(2), T),
        (json!(3), "le", json!(2), F),
        (json!(2), "less_than_or_equal", json!(2), T),
        (json!(2), "less_or_equal", json!(1), F),
        (json!(2), "lte", json!(2), T),
        (json!(-1), "<", json!("-0.5"), T),
        (json!("1e3"), ">", json!(999), T),
        (json!(9_007_199_254_740_993_i64), ">", json!(9_007_199_254_740_992_i64), T),
        (json!("b"), ">", json!("a"), T),
        (json!("Z"), "<", json!("a"), T),
        (json!("10"), "<", json!("9a"), T),
        (json!("é"), ">", json!("z"), T),
        (json!(""), "<", json!("a"), T),
        (json!(true), ">", json!(0), NOT_COMPARABLE),
        (json!(5), "<", json!("x"), NOT_COMPARABLE),
        (json!("nan"), ">", json!(1), NOT_COMPARABLE),
        (json!("infinity"), ">", json!(1), NOT_COMPARABLE),
        (json!([1]), ">", json!(0), NOT_COMPARABLE),
        (json!({}), ">", json!(0), NOT_COMPARABLE),
    ]);
}

#[test]
fn ranges_and_lists() {
    check(&[
        (json!(1), "between", json!([1, 2]), T),
        (json!(2), "in_range", json!({"min": 1, "max": 2}), T),
        (json!(2.1), "range", json!("1, 2"), F),
        (json!("1.5"), "between", json!("1,2"), T),
        (json!(9.5), "between", json!("9,10"), T),
        (json!(5), "between", json!([5, 5]), T),
        (json!("m"), "between", json!("a, z"), T),
        (json!("é"), "between", json!(["a", "z"]), F),
        (json!(0), "not_between", json!([1, 2]), T),
        (json!(1), "not_in_range", json!([1, 2]), F),
        (json!("x"), "between", json!([1, 2]), NOT_COMPARABLE),
        (json!("x"), "not_between", json!([1, 2]), NOT_COMPARABLE),
        (json!(5), "between", json!("a,z"), NOT_COMPARABLE),
        (json!("can"), "in", json!(["bottle", "can"]), T),
        (json!("can"), "in_array", json!("bottle , can"), T),
        (json!(5), "in_list", json!("1, 5"), T),
        (json!(5), "one_of", json!([1, "5"]), T),
        (json!("Can"), "in", json!(["can"]), F),
        (json!("a"), "in", json!([]), F),
        (json!(""), "in", json!(""), F),
        (json!([1]), "in", json!([[1], 2]), T),
        (json!(null), "in", json!([null]), F),
        (json!("x"), "nin", json!(["y"]), T),
        (json!("x"), "not_in_array", json!(["x"]), F),
        (json!(null), "not_in_list", json!("a"), T),
    ]);
}

#[test]
fn contents() {
    check(&[
        (json!(["a", 1]), "contains", json!("1"), T),
        (json!(["a"]), "has", json!("b"), F),
        (json!([[1, 2]]), "array_contains", json!([1, 2]), T),
        (json!("bottle"), "includes", json!("ttl"), T),
        (json!("bottle"), "contains", json!(""), T),
        (json!("Bottle"), "contains", json!("bottle"), F),
        (json!({"mask": null}), "contains", json!("mask"), T),
        (json!({"a": {"mask": 1}}), "contains", json!("mask"), F),
        (json!("abc1"), "contains", json!(1), BAD_TYPE),
        (json!({"1": 1}), "contains", json!(1), BAD_TYPE),
        (json!(12), "contains", json!("1"), BAD_TYPE),
        (json!(true), "not_contains", json!("t"), BAD_TYPE),
        (json!(["a"]), "not_contains", json!("b"), T),
        (json!(null), "not_contains", json!("b"), T),
        (json!(["a", "b"]), "contains_any", json!(["x", "b"]), T),
        (json!(["a", "b"]), "contains_any", json!([]), F),
        (json!(["a", "b"]), "contains_all", json!(["b", "a"]), T),
        (json!(["a", "b"]), "contains_all", json!(["b", "c"]), F),
        (json!([]), "contains_all", json!([]), T),
        (json!("ab"), "contains_any", json!(["a"]), BAD_TYPE),
        (json!({}), "contains_all", json!(["a"]), BAD_TYPE),
    ]);
}

#[test]
fn text() {
    check(&[
        (json!("bottle"), "starts_with", json!("bot"), T),
        (json!("bottle"), "startswith", json!("tle"), F),
        (json!("bottle"), "ends_with", json!("tle"), T),
        (json!("bottle"), "endswith", json!("bot"), F),
        (json!(12), "starts_with", json!("1"), BAD_TYPE),
        (json!([]), "ends_with", json!("1"), BAD_TYPE),
        (json!("sku-0042"), "regex", json!(r"\d{4}$"), T),
        (json!("sku-42"), "matches", json!(r"^\d"), F),
        (json!("Größe"), "regex_match", json!(r"^\p{Lu}\w+ß\p{L}$"), T),
        (json!("x"), "regex", json!(r"(?i)X"), T),
        (json!("a\nb"), "regex", json!(r"(?m)^b$"), T),
        (json!("λ"), "regex", json!(r"\p{Greek}"), T),
        (json!("x"), "not_regex", json!("y"), T),
        (json!("x"), "not_matches", json!("x"), F),
        (json!(5), "regex", json!("5"), BAD_TYPE),
        (json!(5), "not_regex", json!("5"), BAD_TYPE),
    ]);
}

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
    let items = [json!(null), json!(1), json!("a"), json!("1.5"), json!(["a"]), json!({"a": 1}), json!(true), json!([]), json!("")];
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
fn conversions() {
    check_keys(&[
        (json!(10), json!({"operator": "equals", "value": "10.0", "type": "number"}), T),
        (json!("10"), json!({"operator": "equals", "value": "10.0", "type": "number"}), T),
        (json!("10"), json!({"operator": "equals", "value": "10.0", "type": "string"}), F),
        (json!(10), json!({"operator": "<", "value": 9, "type": "string"}), T),
        (json!(10), json!({"operator": "starts_with", "value": 1, "type": "string"}), T),
        (json!(true), json!({"operator": "contains", "value": "ru", "type": "String"}), T),
        (json!(true), json!({"operator": ">", "value": 0, "type": "number"}), T),
        (json!("yes"), json!({"operator": "equals", "value": 1, "type": "boolean"}), T),
        (json!("0"), json!({"operator": "equals", "value": "No", "type": "boolean"}), T),
        (json!(["1", 2]), json!({"operator": "contains", "value": "2.0", "type": "number"}), T),
        (json!("3"), json!({"operator": "in", "value": "1, 3.0", "type": "number"}), T),
        (json!("7"), json!({"operator": "between", "value": ["5", "10"], "type": "number"}), T),
        (json!("7"), json!({"operator": "between", "value": ["10", "8"], "type": "string"}), T),
        (json!("x"), json!({"operator": ">", "value": 0, "type": "number"}), BAD_TYPE),
        (json!({}), json!({"operator": "equals", "value": 0, "type": "number"}), BAD_TYPE),
        (json!(["x"]), json!({"operator": "contains", "value": 1, "type": "number"}), BAD_TYPE),
        (json!("maybe"), json!({"operator": "is_true", "type": "boolean"}), BAD_TYPE),
        (json!({}), json!({"field": "a", "operator": ">", "value": 0, "type": "number"}), F),
        (json!({"a": null}), json!({"field": "a", "operator": "not_equals", "value": 0, "type": "string"}), T),
    ]);
}

#[test]
fn without_case() {
    check_keys(&[
        (json!("Bottle"), json!({"operator": "equals", "value": "bOTTLE", "ignore_case": true}), T),
        (json!("STRASSE"), json!({"operator": "equals", "value": "straße", "ignore_case": true}), F),
        (json!("ÉTÉ"), json!({"operator": "equals", "value": "été", "ignore_case": true}), T),
        (json!("Can"), json!({"operator": "in", "value": "bottle, CAN", "ignore_case": true}), T),
        (json!(["A"]), json!({"operator": "contains", "value": "a", "ignore_case": true}), T),
        (json!({"Mask": 1}), json!({"operator": "contains", "value": "mASK", "ignore_case": true}), T),
        (json!("Bottle"), json!({"operator": "starts_with", "value": "BOT", "ignore_case": true}), T),
        (json!("Bottle"), json!({"operator": "ends_with", "value": "TLE", "ignore_case": true}), T),
        (json!("Bottle"), json!({"operator": "regex", "value": "^bot", "ignore_case": true}), T),
        (json!("B"), json!({"operator": ">", "value": "a", "ignore_case": true}), T),
        (json!("B"), json!({"operator": ">", "value": "a"}), F),
        (json!(true), json!({"operator": "equals", "value": "True", "ignore_case": true}), T),
    ]);
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

/// The first problem of a condition: code, pointer, part of the message, suggestion.
fn check_problem(condition: &Value, expected: (&str, &str, &str, Option<&str>)) {
    let problems = Condition::parse(condition, "/config").expect_err(&condition.to_string());
    assert_eq!(problems.len(), 1, "{condition}: {problems:?}");
    let problem = &problems[0];
    let (code, pointer, message, suggestion) = expected;
    assert_eq!((problem.code.as_str(), problem.pointer.as_str(), problem.suggestion.as_deref()), (code, pointer, suggestion), "{condition}: {problem:?}");
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
        (json!({"operator": ">", "value": null}), ("E-CONFIG", "/config/value", "a number or a string, not null", None)),
        (json!({"operator": ">", "value": [1]}), ("E-CONFIG", "/config/value", "not an array", None)),
        (json!({"operator": "between", "value": [2, 1]}), ("E-CONFIG", "/config/value", "the low end 2 is above the high end 1", None)),
        (json!({"operator": "between", "value": [1]}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": "1,2,3"}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": {"min": 1}}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": {"min": 1, "max": 2, "x": 3}}), ("E-CONFIG", "/config/value", "`[low, high]`", None)),
        (json!({"operator": "between", "value": [1, "x"]}), ("E-CONFIG", "/config/value", "cannot be compared", None)),
        (json!({"operator": "in", "value": 5}), ("E-CONFIG", "/config/value", "an array or a comma-separated string", None)),
        (json!({"operator": "contains", "value": null}), ("E-CONFIG", "/config/value", "a value to look for", None)),
        (json!({"operator": "contains_any", "value": "a,b"}), ("E-CONFIG", "/config/value", "an array, not a string", None)),
        (json!({"operator": "starts_with", "value": 1}), ("E-CONFIG", "/config/value", "a string, not a number", None)),
        (json!({"operator": "regex", "value": "("}), ("E-CONFIG", "/config/value", "unclosed group", None)),
        (json!({"operator": "regex", "value": "a".repeat(1025)}), ("E-CONFIG", "/config/value", "1025 bytes", None)),
        (json!({"operator": "regex", "value": r"\w{500}"}), ("E-CONFIG", "/config/value", "too large", None)),
        (json!({"operator": "regex", "value": r"(?=x)"}), ("E-CONFIG", "/config/value", "look-around", None)),
        (json!({"operator": "is_type", "value": "int"}), ("E-CONFIG", "/config/value", "there is no type `int`", Some("integer"))),
        (json!({"operator": "is_type", "value": 1}), ("E-CONFIG", "/config/value", "a type name, not a number", None)),
        (json!({"operator": "length_less", "value": "x"}), ("E-CONFIG", "/config/value", "a number", None)),
        (json!({"operator": "equals", "value": "x", "type": "number"}), ("E-CONFIG", "/config/value", "cannot be converted to number", None)),
        (json!({"operator": "equals", "value": 1, "type": "numbr"}), ("E-CONFIG", "/config/type", "there is no type", Some("number"))),
        (json!({"operator": "equals", "value": 1, "type": 1}), ("E-CONFIG", "/config/type", "not a number", None)),
        (json!({"operator": "exists", "type": "string"}), ("E-CONFIG", "/config/type", "no effect", None)),
        (json!({"operator": "exists", "type": "field"}), ("E-CONFIG", "/config/type", "no effect", None)),
        (json!({"operator": "length_less", "value": 1, "ignore_case": true}), ("E-CONFIG", "/config/ignore_case", "no effect", None)),
        (json!({"operator": "equals", "value": 1, "type": "field"}), ("E-CONFIG", "/config/value", "the value is a path", None)),
        (json!({"operator": "equals", "value": null, "type": "field"}), ("E-CONFIG", "/config/value", "the value is a path", None)),
        (json!({"operator": "equals", "value": "a[*]", "type": "field"}), ("E-CONFIG", "/config/value", "wildcards", None)),
        (json!({"operator": "equals", "value": 1, "ignore_case": "yes"}), ("E-CONFIG", "/config/ignore_case", "a boolean", None)),
        (json!({"field": "a.*", "operator": "exists"}), ("E-CONFIG", "/config/field", "wildcards", None)),
        (json!({"field": 5, "operator": "exists"}), ("E-CONFIG", "/config/field", "a path, not a number", None)),
        (json!({"fields": "a", "operator": "exists"}), ("E-CONFIG-KEY", "/config/fields", "no key `fields`", Some("field"))),
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
        let codes: Vec<String> = Condition::check(&condition, "", unknown).into_iter().map(|problem| problem.code).collect();
        assert_eq!(codes, expected, "{condition} without {unknown:?}");
    }
}

fn keys(config: &Value) -> Map<String, Value> {
    config.as_object().unwrap().clone()
}

/// Conditions that are plainly true or false, combined.
fn decide(answers: &[bool], extra: &Value) -> Result<bool, (Fault, &'static str)> {
    let list: Vec<Value> = answers.iter().map(|answer| json!({"operator": if *answer { "exists" } else { "not_exists" }})).collect();
    let mut config = keys(&json!({"conditions": list}));
    config.extend(keys(extra));
    let parsed = Conditions::parse(&config, "/config").unwrap_or_else(|problems| panic!("{config:?}: {problems:?}")).unwrap();
    let verdict = parsed.judge(&json!({"limit": 3, "name": "AND"})).ask(&json!({"n": 2, "s": "c1 && !c2"}));
    assert_eq!(verdict.answers.len(), answers.len());
    verdict.passed.map_err(|error| (error.fault, error.code))
}

#[test]
fn logic_and_custom_expressions() {
    for (mode, answers, expected) in [
        ("all", &[true, false][..], false),
        ("and", &[true, true], true),
        ("or", &[false, true], true),
        ("none", &[false, false], true),
        ("NOR", &[false, true], false),
        ("xor", &[true, true, false], false),
        ("xor", &[true, false, false], true),
        ("nand", &[true, true], false),
        ("nand", &[true, false], true),
    ] {
        assert_eq!(decide(answers, &json!({"logic_mode": mode})), Ok(expected), "{mode} {answers:?}");
    }
    let bad_config = |code| Err((Fault::BadConfig, code));
    let bad_input = |code| Err((Fault::BadInput, code));
    for (expression, expected) in [
        ("(c1 AND NOT c2) OR c3", Ok(true)),
        ("(c1 && !c2) || c3", Ok(true)),
        ("c1 or c2 and not c3", Ok(false)),
        ("c1 or value.n < params.limit", Ok(true)),
        ("value.s == 'c1 && !c2' and c3", Ok(true)),
        ("params.name == \"AND\"", Ok(true)),
        ("[c1, c2, c3] | select | list | length == 2", Ok(true)),
        ("value.n", bad_config("not_boolean")),
        ("value.missing > 3", bad_input("undefined")),
        ("value.n + 'x' == 3", bad_input("expression")),
        ("range(9000) | map('string') | list | length > 0", bad_config("fuel")),
    ] {
        let extra = json!({"logic_mode": "custom", "custom_expression": expression});
        assert_eq!(decide(&[false, true, true], &extra), expected, "{expression}");
    }
}

#[test]
fn every_condition_is_asked() {
    let config = keys(&json!({"logic_mode": "any", "conditions": [{"operator": "exists"}, {"operator": ">", "value": 1}]}));
    let parsed = Conditions::parse(&config, "").unwrap().unwrap();
    let verdict = parsed.judge(&Value::Null).ask(&json!("abc"));
    assert_eq!(verdict.answers[0], Ok(true));
    assert_eq!(verdict.answers[1].as_ref().unwrap_err().code, "not_comparable");
    assert_eq!(verdict.passed.unwrap_err().message, "`greater_than` of `.`: \"abc\" (a string) and 1 (a number) have no order");
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
        (json!({"conditions": [{"operator": ">"}, {"operator": ">"}]}), &["/conditions/0/value"], &[("E-CONFIG", "/config/conditions/1/value")]),
        (json!({"conditions": [null]}), &["/conditions/0"], &[]),
        (json!({"logic_mode": "both", "operator": "exists"}), &[], &[("E-CONFIG", "/config/logic_mode")]),
        (json!({"logic_mode": "custom", "operator": "exists"}), &[], &[("E-CONFIG", "/config/custom_expression")]),
        (json!({"custom_expression": "c1", "operator": "exists"}), &[], &[("E-CONFIG", "/config/custom_expression")]),
        (json!({"logic_mode": "custom", "custom_expression": "c1 and", "operator": "exists"}), &[], &[("E-EXPRESSION", "/config/custom_expression")]),
        (json!({"logic_mode": "custom", "custom_expression": "c2", "operator": "exists"}), &[], &[("E-EXPRESSION", "/config/custom_expression")]),
        (json!({"logic_mode": "custom", "custom_expression": "item.a", "operator": "exists"}), &[], &[("E-EXPRESSION", "/config/custom_expression")]),
        (json!({"logic_mode": "custom", "custom_expression": "value | frob", "operator": "exists"}), &[], &[("E-EXPRESSION", "/config/custom_expression")]),
        (json!({"logic_mode": "custom", "custom_expression": "c9"}), &["conditions"], &[]),
        (json!({"logic_mode": "custom", "custom_expression": "c1 or value.n > params.limit", "operator": "exists"}), &[], &[]),
    ] {
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let problems = Conditions::check(&keys(&config), "/config", &unknown);
        let found: Vec<(&str, &str)> = problems.iter().map(|problem| (problem.code.as_str(), problem.pointer.as_str())).collect();
        assert_eq!(found, expected, "{config}: {problems:?}");
    }
    assert!(Conditions::parse(&Map::new(), "").unwrap().is_none());
    assert_eq!(Conditions::parse(&keys(&json!({"field": "a"})), "").unwrap().unwrap().list()[0].operator(), Operator::IsTrue);
}

/// Nothing that a client can send makes the parser or an evaluation panic.
#[test]
fn odd_values_never_panic() {
    let values = [
        json!(null), json!(true), json!(0), json!(-1), json!(1e308), json!(u64::MAX), json!(i64::MIN), json!(""), json!("a,b"), json!("1,2"), json!("🦀"),
        json!([]), json!([null]), json!([1, "a", null]), json!({}), json!({"min": null, "max": 1}), json!({"min": 1, "max": 2}), json!([[[]]]),
    ];
    let mut asked = 0;
    for row in OPERATORS {
        for value in &values {
            for cast in ["auto", "string", "number", "boolean", "field"] {
                for case in [false, true] {
                    let condition = json!({"operator": row.name, "value": value, "type": cast, "ignore_case": case});
                    let Ok(condition) = Condition::parse(&condition, "") else { continue };
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
