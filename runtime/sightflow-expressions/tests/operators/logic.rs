//! Several conditions at once.

use serde_json::{Value, json};
use sightflow_expressions::Conditions;
use sightflow_expressions::operators::Fault;

use crate::keys;

/// Conditions that are plainly true or false, combined.
fn decide(answers: &[bool], extra: &Value) -> Result<bool, (Fault, &'static str)> {
    let list: Vec<Value> =
        answers.iter().map(|answer| json!({"operator": if *answer { "exists" } else { "not_exists" }})).collect();
    let mut config = keys(&json!({"conditions": list}));
    config.extend(keys(extra));
    let parsed =
        Conditions::parse(&config, "/config").unwrap_or_else(|problems| panic!("{config:?}: {problems:?}")).unwrap();
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
    let config =
        keys(&json!({"logic_mode": "any", "conditions": [{"operator": "exists"}, {"operator": ">", "value": 1}]}));
    let parsed = Conditions::parse(&config, "").unwrap().unwrap();
    let verdict = parsed.judge(&Value::Null).ask(&json!("abc"));
    assert_eq!(verdict.answers[0], Ok(true));
    assert_eq!(verdict.answers[1].as_ref().unwrap_err().code, "not_comparable");
    assert_eq!(
        verdict.passed.unwrap_err().message,
        "`greater_than` of `.`: \"abc\" (a string) and 1 (a number) have no order"
    );
}
