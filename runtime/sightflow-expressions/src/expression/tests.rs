//! What expressions give, and how they end.

use serde_json::json;

use super::*;

fn evaluate(source: &str) -> Result<Value, ExpressionError> {
    let item = json!({"area": 0.125, "name": "bottle", "tags": ["a", "b"], "n": 3});
    Expression::compile(source)?.evaluate(&Variables::new().with("item", &item).with("params", &json!({"k": 2})))
}

#[test]
fn values_keep_their_type() {
    let cases = [
        ("item.area * 100", json!(12.5)),
        ("item.n * params.k", json!(6)),
        ("item.name ~ '!'", json!("bottle!")),
        ("item.tags | length > 1 and not false", json!(true)),
        ("item.tags[-1]", json!("b")),
        ("item.missing | default('none')", json!("none")),
        ("'yes' if 'a' in item.tags else 'no'", json!("yes")),
        ("[1, 2, 3] | map('string') | list", json!(["1", "2", "3"])),
        ("{'a': item.n}", json!({"a": 3})),
        ("none", json!(null)),
        ("range(4) | sum", json!(6)),
    ];
    for (source, expected) in cases {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

#[test]
fn mistakes_are_typed() {
    let cases = [
        ("", "Syntax"),
        ("1 +", "Syntax"),
        ("item.tags | length ? 1 : 2", "Syntax"),
        ("item.name | upper && true", "Syntax"),
        ("item.name is defined; 1", "Syntax"),
        ("'a' 'b", "Syntax"),
        ("'a' \\ b", "Syntax"),
        ("item.name | upper | upper.x", "Unknown"),
        ("1, 2", "Syntax"),
        ("1) + (2", "Syntax"),
        ("item.missing", "Undefined"),
        ("item.missing.deeper | default(1)", "Undefined"),
        ("item.name | upperr", "Unknown"),
        ("item.n is primee", "Unknown"),
        ("item.n is not primee", "Unknown"),
        ("now()", "Undefined"),
        ("1 / 0", "Evaluation"),
        ("1e308 * 10", "Evaluation"),
        ("item.name * item.name", "Evaluation"),
    ];
    for (source, expected) in cases {
        let error = format!("{:?}", evaluate(source).expect_err(source));
        assert!(
            error.starts_with(expected) || (source == "now()" && error.starts_with("Unknown")),
            "{source}: {error}"
        );
    }
}

#[test]
fn hostile_expressions_end_with_an_error() {
    let mut cases = vec![
        "range(1000000000) | sum".to_owned(),
        "range(100000) | list | length".to_owned() + &" + (range(100000) | list | length)".repeat(60),
        "'x' * 1000000000".to_owned(),
        "('x' * 100000) | replace('x', 'y' * 100000)".to_owned(),
        "([0] * 1000000000) | length".to_owned(),
        "(range(100000) | join('x' * 100000)) | length".to_owned(),
        "2 ** 100000000".to_owned(),
        "'%1000000000d' | format(1)".to_owned(),
    ];
    cases.push(format!("{}1{}", "(".repeat(2000), ")".repeat(2000)));
    cases.push(format!("{}1", "-".repeat(4000)));
    cases.push(format!("{}true", "not ".repeat(1000)));
    cases.push(format!("1{}", " + 1".repeat(1000)));
    cases.push(format!("'a'{}", "|upper".repeat(600)));
    cases.push(format!("{}1{}", "[".repeat(1900), "]".repeat(1900)));
    cases.push("x".repeat(MAX_EXPRESSION_BYTES + 1));
    for source in cases {
        let started = std::time::Instant::now();
        assert!(evaluate(&source).is_err(), "{}", &source[..source.len().min(60)]);
        // Far above what any of them needs, far below what they ask for.
        assert!(started.elapsed().as_secs() < 5, "{}", &source[..source.len().min(60)]);
    }
}

#[test]
fn fuel_pays_for_every_visited_item() {
    // Two items a unit, and a few units for the instructions.
    let cases = [
        ("range(19000) | sum", true, true),
        ("range(21000) | sum", false, true),
        ("range(9000) | list | length", true, true),
        ("range(99000) | sum", false, true),
        ("range(99000) | sum + range(99000) | sum", false, true),
        ("range(99000) | sum + range(99000) | sum + range(99000) | sum", false, false),
        ("range(99000) | map('string') | list | length", false, false),
    ];
    for (source, condition, standard) in cases {
        for (fuel, expected) in [(Fuel::Condition, condition), (Fuel::Standard, standard)] {
            let found =
                Expression::compile_with(source, fuel).and_then(|expression| expression.evaluate(&Variables::new()));
            match expected {
                true => assert!(found.is_ok(), "{source}: {found:?}"),
                false => assert_eq!(found, Err(ExpressionError::Fuel(fuel.units())), "{source}"),
            }
        }
    }
}

#[test]
fn ranges_are_bounded() {
    let cases = [
        ("range(3)", Ok(json!([0, 1, 2]))),
        ("range(2, 5)", Ok(json!([2, 3, 4]))),
        ("range(0, 7, 3)", Ok(json!([0, 3, 6]))),
        ("range(5, 0, -2)", Ok(json!([5, 3, 1]))),
        ("range(-3)", Ok(json!([]))),
        ("range(3, 1)", Ok(json!([]))),
        (
            "range(9223372036854775805, 9223372036854775807)",
            Ok(json!([9223372036854775805_i64, 9223372036854775806_i64])),
        ),
        (
            "range(-9223372036854775807, 9223372036854775807, 9223372036854775807)",
            Ok(json!([-9223372036854775807_i64, 0])),
        ),
        ("range(100000) | length", Ok(json!(100_000))),
        ("range(100001)", Err("`range` makes at most 100000 numbers, not 100001")),
        ("range(9223372036854775807, -9223372036854775807, -1)", Err("at most 100000 numbers")),
        ("range(1, 2, 0)", Err("steps of 0")),
    ];
    for (source, expected) in cases {
        match (evaluate(source), expected) {
            (found, Ok(expected)) => assert_eq!(found, Ok(expected), "{source}"),
            (Err(ExpressionError::Evaluation(message)), Err(part)) => {
                assert!(message.contains(part), "{source}: {message}");
            }
            (found, Err(part)) => panic!("{source}: {found:?}, not {part}"),
        }
    }
}

#[test]
fn names_are_known_before_running() {
    let expression = Expression::compile("item.n + params.k + range(2) | sum").expect("valid");
    assert_eq!(expression.names(), ["item", "params"]);
    assert!(expression.check_names(&["item", "params"]).is_ok());
    let error = expression.check_names(&["items", "params"]).expect_err("`item` is unknown");
    assert!(matches!(error, ExpressionError::Unknown { suggestion: Some(near), .. } if near == "items"));
}

#[test]
fn a_hyphen_in_a_name_is_explained() {
    let cases = [
        ("nodes.my-node.count", "nodes['my-node']"),
        ("1 + nodes.my-node.count * 2", "nodes['my-node']"),
        ("nodes.a-b-c.count", "nodes['a-b-c']"),
        ("inputs.store-name | upper", "inputs['store-name']"),
        ("nodes.detect.class-counts", "nodes.detect['class-counts']"),
    ];
    for (source, meant) in cases {
        let error = Expression::compile(source).expect(source).check_names(&["inputs", "nodes"]).expect_err(source);
        let ExpressionError::Unknown { message, suggestion } = error else { panic!("{source}: {error:?}") };
        assert!(message.contains(meant), "{source}: {message}");
        assert_eq!(suggestion.as_deref(), Some(meant), "{source}");
    }
    // A subtraction of something unknown is no hyphen.
    for source in ["nodes.a.count - other", "nodes.a.count -other", "a-other"] {
        let error = Expression::compile(source).expect(source).check_names(&["nodes", "a"]).expect_err(source);
        assert!(error.to_string().contains("`other` is not a name here"), "{source}: {error}");
    }
}
