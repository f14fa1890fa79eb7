//! Definitions that are refused: which code, where, and what is suggested.

use serde_json::{Value, json};
use sightflow_engine::{DefinitionLimits, compile, validate, validate_run};

use crate::script::{Host, catalog, models, plan};

fn node(id: &str, block_type: &str) -> Value {
    json!({"id": id, "type": block_type})
}

fn edge(source: &str, target: &str) -> Value {
    json!({"source": source, "target": target})
}

/// Every error as `code pointer` or `code pointer → suggestion`.
fn errors(definition: &Value) -> Vec<String> {
    let compiled = compile(definition, &catalog(), &models(), &DefinitionLimits::default());
    assert_eq!(compiled.plan.is_some(), compiled.errors.is_empty());
    let text = |problem: &sightflow_types::Problem| match &problem.suggestion {
        Some(near) => format!("{} {} → {near}", problem.code, problem.pointer),
        None => format!("{} {}", problem.code, problem.pointer),
    };
    compiled.errors.iter().map(text).collect()
}

#[test]
fn each_problem_has_a_code_and_a_place() {
    let number = node("n", "number");
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("empty", json!({}), vec![]),
        ("not an object", json!([]), vec!["E-CONFIG "]),
        ("version", json!({"version": "2.0"}), vec!["E-VERSION /version → 1.0"]),
        ("id", json!({"nodes": [node("1a", "number")]}), vec!["E-NODE-ID /nodes/0/id"]),
        ("duplicate", json!({"nodes": [number, number]}), vec!["E-NODE-DUPLICATE /nodes/1/id"]),
        (
            "hyphens in expressions",
            json!({"nodes": [
                {"id": "my-node", "type": "number", "config": {"is": 1}},
                {"id": "e", "type": "echo", "inputs": {"value": "{{ nodes.my-node.number }}"}},
                {"id": "node-1", "type": "number", "config": {"is": 1}},
                {"id": "f", "type": "echo", "inputs": {"value": "{{ nodes.node-1.number }}"}}]}),
            vec![
                "E-EXPRESSION /nodes/1/inputs/value → nodes['my-node']",
                "E-REFERENCE /nodes/3/inputs/value → nodes['node-1']",
            ],
        ),
        ("type", json!({"nodes": [node("a", "ecko")]}), vec!["E-TYPE-UNKNOWN /nodes/0/type → echo"]),
        ("later type", json!({"nodes": [node("a", "webhook")]}), vec!["E-TYPE-UNKNOWN /nodes/0/type"]),
        (
            "version requirement",
            json!({"nodes": [node("a", "number@^9")]}),
            vec!["E-TYPE-UNKNOWN /nodes/0/type → number@^0.1.0"],
        ),
        (
            "key",
            json!({"nodes": [{"id": "n", "type": "number", "config": {"ist": 1}}]}),
            vec!["E-CONFIG-KEY /nodes/0/config/ist → is"],
        ),
        (
            "type of value",
            json!({"nodes": [{"id": "n", "type": "number", "config": {"is": "0.5"}}]}),
            vec!["E-CONFIG /nodes/0/config/is"],
        ),
        (
            "range and enum",
            json!({"nodes": [{"id": "e", "type": "echo", "config": {"times": 10, "style": "rounde"}, "inputs": {"value": 1}}]}),
            vec!["E-CONFIG /nodes/0/config/times", "E-CONFIG /nodes/0/config/style → rounded"],
        ),
        (
            "alias and canonical",
            json!({"nodes": [{"id": "e", "type": "echo", "config": {"factor": 1, "times": 2}, "inputs": {"value": 1}}]}),
            vec!["E-CONFIG /nodes/0/config/times → factor"],
        ),
        (
            "edge ends",
            json!({"nodes": [number], "edges": [edge("m", "n"), edge("n", "x")]}),
            vec!["E-EDGE-SOURCE /edges/0/source", "E-EDGE-TARGET /edges/1/target"],
        ),
        (
            "port",
            json!({"nodes": [number, node("e", "echo")], "edges": [{"source": "n", "target": "e", "targetHandle": "valeu"}]}),
            vec!["E-PORT-UNKNOWN /edges/0/targetHandle → value", "E-PORT-REQUIRED /nodes/1 → value"],
        ),
        (
            "port type",
            json!({"nodes": [number, node("d", "detection")], "edges": [{"source": "n", "sourceHandle": "number", "target": "d", "targetHandle": "image"}]}),
            vec!["E-CONFIG /nodes/1/config", "E-PORT-TYPE /edges/0"],
        ),
        (
            "ambiguous",
            json!({"nodes": [node("a", "parameter_input"), node("e", "echo")], "edges": [edge("a", "e")]}),
            vec!["E-HANDLE-AMBIGUOUS /edges/0", "E-PORT-REQUIRED /nodes/1 → value"],
        ),
        (
            "conflict",
            json!({"nodes": [number, node("m", "number"), node("e", "echo")], "edges": [
            {"source": "n", "target": "e", "targetHandle": "value"}, {"source": "m", "target": "e", "targetHandle": "value"}]}),
            vec!["E-PORT-CONFLICT /nodes/2"],
        ),
        (
            "cycle",
            json!({"nodes": [node("a", "echo"), node("b", "echo")], "edges": [
            {"source": "a", "target": "b", "targetHandle": "value"}, {"source": "b", "target": "a", "targetHandle": "value"}]}),
            vec!["E-CYCLE /nodes/0"],
        ),
        (
            "cycle by reference",
            json!({"nodes": [{"id": "a", "type": "echo", "inputs": {"value": "$nodes.a.value"}}]}),
            vec!["E-CYCLE /nodes/0"],
        ),
        (
            "references",
            json!({"nodes": [number, {"id": "e", "type": "echo", "inputs": {"value": "$nodes.n.nummer"}, "config": {"text": "{{ params.x }}"}}],
            "outputs": [{"name": "o", "source": "$nodes.m.number"}, {"name": "p", "source": "n.number"}]}),
            vec![
                "E-REFERENCE /nodes/1/inputs/value → number",
                "E-REFERENCE /nodes/1/config/text",
                "E-REFERENCE /outputs/0/source",
                "E-REFERENCE /outputs/1/source",
            ],
        ),
        (
            "expression",
            json!({"nodes": [{"id": "e", "type": "echo", "inputs": {"value": "{{ 1 + }}"}, "config": {"text": "{% for x in y %}{% endfor %}"}}]}),
            vec!["E-EXPRESSION /nodes/0/config/text", "E-EXPRESSION /nodes/0/inputs/value"],
        ),
        (
            "model",
            json!({"nodes": [{"id": "i", "type": "image_input"}, {"id": "d", "type": "detection", "config": {"model_id": "fnder"}}], "edges": [edge("i", "d")]}),
            vec!["E-MODEL-UNKNOWN /nodes/1/config/model_id → finder"],
        ),
        (
            "model of another task",
            json!({"nodes": [{"id": "i", "type": "image_input"}, {"id": "d", "type": "detection", "config": {"model_id": "sorter"}}], "edges": [edge("i", "d")]}),
            vec!["E-MODEL-UNKNOWN /nodes/1/config/model_id"],
        ),
        (
            "model that is off",
            json!({"nodes": [{"id": "i", "type": "image_input"}, {"id": "d", "type": "detection", "config": {"model_id": "broken"}}], "edges": [edge("i", "d")]}),
            vec!["E-MODEL-UNKNOWN /nodes/1/config/model_id"],
        ),
        (
            "class of a model",
            json!({"nodes": [{"id": "i", "type": "image_input"}, {"id": "d", "type": "detection", "config": {"model_id": "finder", "classes": ["cow"]}}], "edges": [edge("i", "d")]}),
            vec!["E-CONFIG /nodes/1/config/classes"],
        ),
        (
            "tiles",
            json!({"nodes": [{"id": "i", "type": "image_input"}, {"id": "d", "type": "detection", "config": {"model_id": "finder", "tiled_inference": true}}], "edges": [edge("i", "d")]}),
            vec!["E-CONFIG-KEY /nodes/1/config/tiled_inference"],
        ),
        ("limits", json!({"nodes": vec![json!({}); 501]}), vec!["E-LIMIT /nodes"]),
        (
            "expressions in a text",
            json!({"nodes": [node("n", "number"), {"id": "e", "type": "echo", "inputs": {"value": "{{1}}".repeat(257)}}]}),
            vec!["E-LIMIT /nodes/1"],
        ),
        (
            "expressions",
            json!({"nodes": [{"id": "e", "type": "echo", "inputs": {"value": vec!["{{ params.x }}"; 4_001]}}]}),
            vec!["E-LIMIT /nodes"],
        ),
        (
            "references",
            json!({"nodes": [{"id": "e", "type": "echo", "inputs": {"value": vec!["$params.x"; 4_001]}}]}),
            vec!["E-LIMIT /nodes"],
        ),
        (
            "node bounds",
            json!({"nodes": [{"id": "n", "type": "number", "timeout_ms": 0, "on_error": "stop", "retry": {"max": 99}}]}),
            vec!["E-CONFIG /nodes/0/on_error", "E-LIMIT /nodes/0/timeout_ms", "E-LIMIT /nodes/0/retry"],
        ),
        (
            "parameters",
            json!({"parameters": [{"name": "a", "type": "number", "default": "x"}, {"name": "a", "type": "numbre"}]}),
            vec!["E-CONFIG /parameters/0/default", "E-CONFIG /parameters/1"],
        ),
    ];
    for (name, definition, expected) in cases {
        assert_eq!(errors(&definition), expected, "{name}");
    }
}

#[test]
fn as_many_expressions_as_are_allowed_compile() {
    let texts = vec!["{{1}}".repeat(200); 20];
    let compiled = compile(
        &json!({"nodes": [{"id": "e", "type": "echo", "inputs": {"value": texts}}]}),
        &catalog(),
        &models(),
        &DefinitionLimits::default(),
    );
    assert_eq!(compiled.errors, []);
    assert!(compiled.plan.unwrap().bytes > 4_000 * 9 * 1024, "each of them weighs");
}

#[test]
fn the_problems_beyond_a_hundred_are_counted() {
    let nodes = |count: usize| vec![json!({"id": "e", "type": "echo", "inputs": {"value": vec!["$params.x"; count]}})];
    let found = errors(&json!({"nodes": nodes(99)}));
    assert_eq!(found.len(), 99, "{found:?}");
    let compiled = compile(&json!({"nodes": nodes(1000)}), &catalog(), &models(), &DefinitionLimits::default());
    assert_eq!(compiled.errors.len(), 101);
    assert!(compiled.errors[..100].iter().all(|problem| problem.code == "E-REFERENCE"));
    let last = &compiled.errors[100];
    assert_eq!((last.code.as_str(), last.message.as_str()), ("E-LIMIT", "900 more, which are not shown"));
}

#[test]
fn output_names_cannot_leave_a_folder() {
    for (name, ok) in [
        ("safe_image", true),
        ("Größe 1", true),
        ("a.b", true),
        ("../escaped", false),
        ("a/b", false),
        ("a\\b", false),
        ("..", false),
        (".hidden", false),
        ("line\nbreak", false),
        ("nul\0", false),
        (&"x".repeat(100), true),
        (&"x".repeat(101), false),
    ] {
        let definition =
            json!({"nodes": [node("n", "number")], "outputs": [{"name": name, "source": "$nodes.n.number"}]});
        let expected: &[&str] = if ok { &[] } else { &["E-CONFIG /outputs/0/name"] };
        assert_eq!(errors(&definition), expected, "{name:?}");
    }
}

#[test]
fn a_cycle_names_its_nodes_in_order() {
    let nodes: Vec<Value> = ["a", "b", "c"].iter().map(|id| node(id, "echo")).collect();
    let wire = |source: &str, target: &str| json!({"source": source, "target": target, "targetHandle": "value"});
    let definition = json!({"nodes": nodes, "edges": [wire("a", "b"), wire("b", "c"), wire("c", "a")]});
    let compiled = compile(&definition, &catalog(), &models(), &DefinitionLimits::default());
    assert!(compiled.errors[0].message.ends_with("a → b → c → a"), "{}", compiled.errors[0].message);
}

#[test]
fn deep_json_is_refused() {
    let mut deep = json!(1);
    for _ in 0..70 {
        deep = json!([deep]);
    }
    assert_eq!(errors(&json!({"viewport": deep})), ["E-LIMIT "]);
}

#[test]
fn accepted_spellings_are_warned_about() {
    let definition = json!({"nodes": [
        {"id": "i", "type": "image-input"},
        {"id": "d", "type": "object_detection", "data": {"config": {"conf": 0.4}, "model_id": "finder"}},
        {"id": "c", "type": "condition", "config": {"operator": ">", "value": 1}, "inputs": {"value": 2}},
        {"id": "e", "type": "echo", "config": {"factor": 3.0}},
    ], "edges": [
        {"source": "i", "target": "d"},
        {"source": "c", "source_handle": "then", "target": "e", "target_handle": "value"},
    ]});
    let compiled = compile(&definition, &catalog(), &models(), &DefinitionLimits::default());
    assert_eq!(compiled.errors, []);
    let mut warnings: Vec<String> =
        compiled.warnings.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "W-ALIAS /edges/1/source_handle",
            "W-ALIAS /nodes/0/type",
            "W-ALIAS /nodes/1/data/config/conf",
            "W-ALIAS /nodes/1/type",
            "W-ALIAS /nodes/2/config/operator",
            "W-CONFIG-IN-DATA /nodes/1/data/config/conf",
        ]
    );
    let plan = compiled.plan.unwrap();
    assert_eq!(plan.nodes[1].config.fixed["confidence"], json!(0.4));
    assert_eq!(plan.nodes[3].config.fixed["factor"], json!(3));
    assert_eq!(plan.order(), [vec!["i", "c"], vec!["d", "e"]]);
}

#[tokio::test]
async fn blocks_are_asked_for_their_own_checks() {
    let definition =
        json!({"nodes": [{"id": "c", "type": "condition", "config": {"operator": "=>"}, "inputs": {"value": 1}}]});
    let limits = DefinitionLimits::default();
    let compiled =
        validate(&definition, &catalog(), &models(), &limits, &Host::default(), sightflow_types::TenantId::BUILT_IN)
            .await;
    assert!(compiled.plan.is_none());
    assert_eq!(
        (compiled.errors[0].code.as_str(), compiled.errors[0].pointer.as_str()),
        ("E-OPERATOR", "/nodes/0/config/operator")
    );
}

#[test]
fn run_inputs_are_checked() {
    let definition = json!({
        "nodes": [{"id": "a", "type": "image_input", "config": {"name": "before"}}, {"id": "b", "type": "image_input", "config": {"name": "after", "required": false}}],
        "parameters": [{"name": "n", "type": "integer", "min": 1, "default": 2}, {"name": "flag", "type": "boolean", "required": true}],
    });
    let plan = plan(&definition);
    let digest = format!("sha256:{}", "0".repeat(64));
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    let check = |input: Value, parameters: Value| match validate_run(&plan, &object(input), &object(parameters)) {
        Ok(run) => Ok(Value::Object(run.parameters)),
        Err(problems) => Err(problems.into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()),
    };
    let good = json!({"images": {"before": digest}});
    let cases = [
        (good.clone(), json!({"flag": "yes"}), Ok(json!({"n": 2, "flag": true}))),
        (good.clone(), json!({"flag": 0, "n": "7"}), Ok(json!({"n": 7, "flag": false}))),
        (good.clone(), json!({"flag": true, "n": 0}), Err(vec!["/parameters/n"])),
        (good.clone(), json!({"flag": true, "n": 1.5}), Err(vec!["/parameters/n"])),
        (good.clone(), json!({"flagg": true}), Err(vec!["/parameters/flagg", "/parameters/flag"])),
        (json!({"image": digest}), json!({"flag": true}), Err(vec!["/input"])),
        (
            json!({"images": {"befor": digest}}),
            json!({"flag": true}),
            Err(vec!["/input/images/befor", "/input/images/before"]),
        ),
        (
            json!({"images": {"before": 5}}),
            json!({"flag": true}),
            Err(vec!["/input/images/before", "/input/images/before"]),
        ),
    ];
    for (input, parameters, expected) in cases {
        let expected = expected.map_err(|pointers| pointers.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(check(input.clone(), parameters.clone()), expected, "{input} {parameters}");
    }
}
