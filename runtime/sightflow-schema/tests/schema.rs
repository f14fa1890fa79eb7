//! What becomes of a configuration, and what is said about it.

use serde_json::{Map, Value, json};
use sightflow_schema::ConfigSchema;

fn schema() -> ConfigSchema {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["names"],
        "x-dropped": ["antialias"],
        "x-refused": {"shadow": "draw it yourself", "glow_*": "there is none"},
        "x-rewrites": {"big": {"true": {"size": 9}, "no_limit": {"size": null}}},
        "properties": {
            "names": {"type": "array", "items": {"type": "string", "enum": ["one_two", "4:3"]}},
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "x-aliases": ["count"]},
            "way": {"enum": ["one_two", "4:3"], "default": "one_two", "x-value-aliases": {"tv": "4:3", "43": "4:3"}},
            "label": {"type": "string", "x-template": true},
        },
    });
    ConfigSchema::compile(&schema).expect("a schema")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

#[test]
fn configurations_become_canonical() {
    let names = || json!([]);
    for (given, expected, warnings) in [
        (json!({"names": []}), json!({"names": names(), "size": 3, "way": "one_two"}), vec![]),
        (json!({"names": ["One-Two"]}), json!({"names": ["one_two"], "size": 3, "way": "one_two"}), vec!["W-ALIAS"]),
        (json!({"names": [], "count": 4.0}), json!({"names": names(), "size": 4, "way": "one_two"}), vec!["W-ALIAS"]),
        (json!({"names": [], "way": "TV"}), json!({"names": names(), "size": 3, "way": "4:3"}), vec!["W-ALIAS"]),
        (json!({"names": [], "way": 43}), json!({"names": names(), "size": 3, "way": "4:3"}), vec![]),
        (json!({"names": [], "big": true}), json!({"names": names(), "size": 9, "way": "one_two"}), vec!["W-ALIAS"]),
        // The case takes the key away, and then its default holds.
        (
            json!({"names": [], "size": 5, "big": "No-Limit"}),
            json!({"names": names(), "size": 3, "way": "one_two"}),
            vec!["W-ALIAS"],
        ),
        (
            json!({"names": [], "antialias": 1}),
            json!({"names": names(), "size": 3, "way": "one_two"}),
            vec!["W-DROPPED-KEY"],
        ),
    ] {
        let canonical = schema().canonical(object(given.clone()));
        assert_eq!(Value::Object(canonical.config.clone()), expected, "{given}");
        assert_eq!(canonical.problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), warnings, "{given}");
        let again = schema().canonical(canonical.config.clone());
        assert_eq!((again.config, again.problems.len()), (canonical.config, 0), "{given}");
    }
}

#[test]
fn what_does_not_fit_is_named_where_it_was_written() {
    for (given, code, pointer, part) in [
        (json!({}), "E-CONFIG", "", "the required key `names` is missing"),
        (json!({"names": [], "size": 0}), "E-CONFIG", "/size", "the smallest allowed value is 1"),
        (json!({"names": [], "count": 10}), "E-CONFIG", "/count", "the largest allowed value is 9"),
        (json!({"names": [], "size": "3"}), "E-CONFIG", "/size", "must be of type integer"),
        (json!({"names": [], "count": 1, "size": 2}), "E-CONFIG", "/size", "mean the same key"),
        (json!({"names": [], "big": "huge"}), "E-CONFIG", "/big", "it can be"),
        (json!({"names": ["two"]}), "E-CONFIG", "/names/0", "it can be \"one_two\", \"4:3\""),
        (json!({"names": [], "szie": 1}), "E-CONFIG-KEY", "/szie", "no configuration key `szie`"),
        (json!({"names": [], "shadow": 1}), "E-CONFIG-KEY", "/shadow", "draw it yourself"),
        (json!({"names": [], "glow_red": 1}), "E-CONFIG-KEY", "/glow_red", "there is none"),
        (json!({"names": [], "a/b": 1}), "E-CONFIG-KEY", "/a~1b", "a/b"),
    ] {
        let problems = schema().canonical(object(given.clone())).problems;
        let errors: Vec<_> = problems.iter().filter(|problem| problem.code.starts_with("E-")).collect();
        let [error] = errors[..] else { panic!("{given}: {problems:?}") };
        assert_eq!((error.code.as_str(), error.pointer.as_str()), (code, pointer), "{given}");
        assert!(error.message.contains(part), "{given}: {}", error.message);
    }
    let near = schema().canonical(object(json!({"names": [], "cuont": 1}))).problems;
    assert_eq!(near[0].suggestion.as_deref(), Some("size"), "an alias leads to its key");
}

#[test]
fn what_is_not_known_yet_gets_no_default_and_is_not_missed() {
    let schema = schema();
    let mut canonical = schema.canonical_keys(object(json!({"way": "tv"})));
    schema.finish(&mut canonical, &["names".to_owned(), "size".to_owned()]);
    assert_eq!(Value::Object(canonical.config), json!({"way": "4:3"}));
    assert!(canonical.problems.iter().all(|problem| problem.code == "W-ALIAS"), "{:?}", canonical.problems);
    assert!(schema.is_template("label") && !schema.is_template("way"));
}

#[test]
fn a_schema_that_is_none_is_refused() {
    let error = ConfigSchema::compile(&json!({"type": "objekt"})).expect_err("refused").to_string();
    assert!(error.starts_with("the configuration schema is not valid"), "{error}");
}
