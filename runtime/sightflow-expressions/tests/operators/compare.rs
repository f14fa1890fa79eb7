//! Operators that compare contents.

use serde_json::json;

use crate::{BAD_TYPE, F, NOT_COMPARABLE, T, check, check_keys};

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
