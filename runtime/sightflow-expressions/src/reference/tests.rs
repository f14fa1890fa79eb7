//! References and templates over scripted values.

use serde_json::json;

use super::*;

struct Run;

impl Resolve for Run {
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>> {
        match root.to_string().as_str() {
            "$params.k" => Some(Cow::Owned(json!(2))),
            "$params.large" => Some(Cow::Owned(json!("x".repeat(9 << 20)))),
            "$inputs.sku" => Some(Cow::Owned(json!("A7"))),
            "$nodes.detect.detections" => {
                Some(Cow::Owned(json!([{"class_name": "cat", "n": 1}, {"class_name": "dog", "n": 2}])))
            }
            "$nodes.my-node.count" => Some(Cow::Owned(json!(5))),
            "item" => Some(Cow::Owned(json!({"sku": "B2", "index": 7}))),
            "index" => Some(Cow::Owned(json!(3))),
            _ => None,
        }
    }
}

fn evaluate(text: &str) -> Result<Resolved, TemplateError> {
    match Template::parse(text)? {
        Ok(template) => template.evaluate(&Run),
        Err(literal) => Ok(Resolved::Value(Value::String(literal.into_owned()))),
    }
}

#[test]
fn templates_resolve() {
    let cases = [
        ("plain", json!("plain")),
        ("$$params", json!("$params")),
        ("costs $5", json!("costs $5")),
        ("$params.k", json!(2)),
        ("$inputs.sku", json!("A7")),
        ("$nodes.detect.detections[0].class_name", json!("cat")),
        ("$nodes.detect.detections[-1].n", json!(2)),
        ("$nodes.detect.detections.length", json!(2)),
        ("$nodes.my-node.count", json!(5)),
        ("{{ params.k * 2 }}", json!(4)),
        ("{{ nodes['my-node'].count + 1 }}", json!(6)),
        ("{{ nodes.detect.detections | map(attribute='class_name') | join(', ') }}", json!("cat, dog")),
        ("{{ {'a': {'b': params.k}} }}", json!({"a": {"b": 2}})),
        ("{{ '}}' }}", json!("}}")),
        ("{{ params.k }}{{ params.k }}", json!("22")),
        ("sku {{ inputs.sku }}: {{ [1, params.k] }}", json!("sku A7: [1,2]")),
        ("{{ nodes.skipped.value | default(3) }}", json!(3)),
        ("{{ item.sku }}", json!("B2")),
        ("{{ item.index + index }}", json!(10)),
        ("#{{ index }}", json!("#3")),
        ("{{ {'item': 1}.item }}", json!(1)),
    ];
    for (text, expected) in cases {
        assert_eq!(evaluate(text), Ok(Resolved::Value(expected)), "{text}");
    }
}

#[test]
fn what_touches_an_absent_value_is_absent() {
    for text in [
        "$nodes.skipped.value",
        "$nodes.skipped.value.deeper",
        "$params.missing",
        "{{ nodes.skipped.value }}",
        "{{ total }}",
        "{{ total + 1 }}",
        "{{ nodes.skipped.value.deeper[0] }}",
        "x {{ nodes.skipped.value + 1 }}",
        "{{ 1 - nodes.skipped.value }}",
        "{{ nodes.skipped.value * 2 }}",
        "{{ nodes.skipped.value / 2 }}",
        "{{ nodes.skipped.value // 2 }}",
        "{{ nodes.skipped.value % 2 }}",
        "{{ 2 ** nodes.skipped.value }}",
        "{{ -nodes.skipped.value }}",
        "{{ nodes.skipped.value ~ 'x' }}",
        "{{ nodes.skipped.value == 1 }}",
        "{{ nodes.skipped.value > 1 }}",
        "{{ not nodes.skipped.value }}",
        "{{ nodes.skipped.value or 1 }}",
        "{{ nodes.skipped.value and 1 }}",
        "{{ 1 if nodes.skipped.value else 2 }}",
        "{{ 1 in nodes.skipped.value }}",
        "{{ nodes.skipped.value in [1] }}",
        "{{ nodes.skipped.value[0] }}",
        "{{ nodes.skipped.value[1:] }}",
        "{{ params.k[nodes.skipped.value] }}",
        "{{ [nodes.skipped.value] }}",
        "{{ {'a': nodes.skipped.value} }}",
        "{{ nodes.skipped.value | length }}",
        "{{ nodes.skipped.value | sum }}",
        "{{ nodes.skipped.value | list }}",
        "{{ nodes.skipped.value | map('string') | list }}",
        "{{ nodes.skipped.value | upper }}",
        "{{ nodes.skipped.value | round }}",
        "{{ nodes.skipped.value | int }}",
        "{{ nodes.skipped.value | join(',') }}",
        "{{ nodes.skipped.value | first }}",
        "{{ nodes.skipped.value | sort }}",
        "{{ nodes.skipped.value | max }}",
        "{{ 'a' | replace('a', nodes.skipped.value) }}",
        "{{ range(nodes.skipped.value) }}",
    ] {
        assert_eq!(evaluate(text), Ok(Resolved::Absent), "{text}");
    }
    for (text, expected) in [
        ("{{ nodes.skipped.value | default(3) + 1 }}", json!(4)),
        ("{{ nodes.skipped.value is defined }}", json!(false)),
        ("{{ 1 if nodes.skipped.value is defined else 2 }}", json!(2)),
        ("{{ params.k or nodes.skipped.value }}", json!(2)),
        // A test answers, whatever there is.
        ("{{ nodes.skipped.value is odd }}", json!(false)),
        // An optional argument that is absent is not given.
        ("{{ 1.25 | round(nodes.skipped.value) }}", json!(1.0)),
    ] {
        assert_eq!(evaluate(text), Ok(Resolved::Value(expected)), "{text}");
    }
    // What can never work is not excused.
    for text in [
        "{{ nodes.skipped.value | frob }}",
        "{{ nodes.skipped.value() }}",
        "{{ range(99999) | map('string') | list + nodes.skipped.value }}",
    ] {
        assert_eq!(evaluate(text).map_err(|error| error.code), Err("E-EXPRESSION"), "{text}");
    }
}

#[test]
fn a_text_does_not_grow_without_end() {
    assert!(evaluate("<{{ params.large }}>").is_ok());
    let error = evaluate("{{ params.large }}{{ params.large }}").expect_err("too long");
    assert_eq!((error.code, error.message.as_str()), ("E-EXPRESSION", "the text would have more than 16777216 bytes"));
}

#[test]
fn mistakes_have_a_code() {
    let cases = [
        ("$node.a.b", "E-REFERENCE", Some("$nodes")),
        ("$params", "E-REFERENCE", None),
        ("$5", "E-REFERENCE", None),
        ("$item.sku", "E-REFERENCE", Some("{{ item.sku }}")),
        ("$index", "E-REFERENCE", Some("{{ index }}")),
        ("{{ itm.sku }}", "E-EXPRESSION", Some("item")),
        ("{{ item.colour }}", "E-REFERENCE", None),
        ("$nodes.a", "E-REFERENCE", None),
        ("$nodes.a.*.b", "E-REFERENCE", None),
        ("$params.a + 1", "E-REFERENCE", None),
        ("$nodes.detect.detections[7]", "E-REFERENCE", None),
        ("{{ nodes.detect }}", "E-REFERENCE", None),
        ("{{ params }}", "E-REFERENCE", None),
        ("{{ nodes.detect.detections[0].colour }}", "E-REFERENCE", None),
        ("{{ nodes.detect.detections[0].colour + 1 }}", "E-REFERENCE", None),
        ("{{ nodes.detect.detections[0].n / 0 }}", "E-EXPRESSION", None),
        ("{{ parms.k }}", "E-EXPRESSION", Some("params")),
        ("{{ params.k", "E-EXPRESSION", None),
        ("{% for x in params.k %}x{% endfor %}", "E-EXPRESSION", None),
        ("{{ params.k | lenght }}", "E-EXPRESSION", Some("length")),
    ];
    for (text, code, suggestion) in cases {
        let error = evaluate(text).expect_err(text);
        assert_eq!((error.code, error.suggestion.as_deref()), (code, suggestion), "{text}: {}", error.message);
    }
}

#[test]
fn what_a_template_names_is_known() {
    let roots = |text: &str| {
        let template = Template::parse(text).expect("valid").expect("a template");
        template.roots().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(roots("$nodes.a.b.c[0]"), ["$nodes.a.b"]);
    assert_eq!(roots("$nodes.a.*"), ["$nodes.a.*"]);
    assert_eq!(
        roots("{{ nodes.a.b + nodes['c-d'].e }} {{ params.p }} {{ 'nodes.x.y' }}"),
        ["$nodes.a.b", "$nodes.c-d.e", "$params.p"]
    );
    assert_eq!(roots("{{ inputs.i | map(attribute='nodes') | list }}"), ["$inputs.i"]);
    assert_eq!(roots("{{ total - index }} {{ item.index ~ params.p }}"), ["index", "total", "$params.p", "item"]);
    assert_eq!(roots("{{ params.item + params['index'] + 'total' }}"), ["$params.item", "$params.index"]);
}
