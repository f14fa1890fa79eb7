//! Branches, joins and what is skipped, inside of loops and around them.

use serde_json::{Value, json};

use super::{case, statuses};

/// The input above which a condition takes its first branch.
fn above(limit: u32) -> Value {
    json!({"value": limit})
}

#[tokio::test]
async fn each_item_takes_its_own_branches() {
    let two_cases = json!({"cases": [{"name": "one", "value": 1}, {"name": "two", "value": 2}]});
    let cases = [
        case(
            "a join",
            "l1 f1 k1 a1 e2 e3 c1",
            "l1>f1 f1>k1 k1.true>a1 k1.false>e2 a1>e3 e2>e3 e3>c1",
            json!({"l1": [1, 6, 2, 7]}),
            json!({"c1.results": [1, 106, 2, 107], "a1.value": [null, 106, null, 107], "e2.value": [1, null, 2, null]}),
        )
        .with("k1", "config", above(5))
        .with("a1", "config", json!({"by": 100})),
        case(
            "one branch is collected",
            "l1 f1 k1 e1 c1",
            "l1>f1 f1>k1 k1.true>e1 e1>c1",
            json!({"l1": [1, 6]}),
            json!({"c1.results": [6], "c1.indexes": [1], "k1.result": [false, true]}),
        )
        .with("k1", "config", above(5))
        .with("c1", "config", json!({"filter_nulls": true})),
        case(
            "both branches in one record",
            "l1 f1 k1 c1",
            "l1>f1 f1>k1 k1.true>c1 k1.false>c1",
            json!({"l1": [1, 6]}),
            json!({"c1.results": [{"k1.false_output": 1}, {"k1.true_output": 6}]}),
        )
        .with("k1", "config", above(5)),
        case(
            "three cases of a switch",
            "l1 f1 s1 a1 a2 e3 e4 c1",
            "l1>f1 f1>s1 s1.one>a1 s1.two>a2 s1.default>e3 a1>e4 a2>e4 e3>e4 e4>c1",
            json!({"l1": [1, 2, 3]}),
            json!({"c1.results": [11, 22, 3], "s1.two": [null, 2, null]}),
        )
        .with("s1", "config", two_cases)
        .with("a1", "config", json!({"by": 10}))
        .with("a2", "config", json!({"by": 20})),
        case(
            "a loop on a branch, and a value without it",
            "l1 f1 k1 r1 f2 c2 e1 i1 c1",
            "l1>f1 f1>k1 k1.true>r1 r1>f2 f2>c2 k1.false>e1 c2>i1 e1>i1 i1>c1",
            json!({"l1": [0, 2]}),
            json!({"c1.results": [[0], [[0, 1]]], "c2.results": [null, [0, 1]], "f2.item": [null, [0, 1]]}),
        ),
        case(
            "a branch as context",
            "l1 n1 k1 f1 c1 f2 c2 e9",
            "n1>k1 l1>f1.items k1.true>f1.context l1>f2.items k1.false>f2.context f1>c1 f2>c2 c1>e9 c2.count>e9.extra",
            json!({"l1": [3]}),
            json!({"c1.results": [3], "c2.results": [3], "f1.context": [null], "f2.context": [0], "e9.value": [3]}),
        ),
        case(
            "nothing arrives",
            "l1 n1 k1 r1 f1 e1 c1 e8 e9",
            "n1>k1 k1.true>r1 r1>f1 f1>e1 e1>c1 c1>e8 l1>e9 c1.count>e9.extra",
            json!({"l1": [3]}),
            json!({"c1.results": null, "c1.count": null, "e1.value": null, "e8.value": null, "e9.value": [3]}),
        ),
        case(
            "a loop of either branch",
            "n1 k1 r1 f1 c1 r2 f2 c2 e9",
            "n1>k1 k1.true>r1 r1>f1 f1>c1 k1.false>r2 r2>f2 f2.total>c2 c1>e9 c2>e9",
            json!({}),
            json!({"e9.value": [0, 1], "c1.results": [0, 1], "c2.results": null}),
        )
        .with("n1", "config", json!({"is": 2})),
        case(
            "body nodes that reach no collect",
            "l1 f1 e1 k1 e2 c1",
            "l1>f1 f1>e1 f1>k1 k1.true>e2 f1>c1",
            json!({"l1": [1, 0]}),
            json!({"e1.value": [1, 0], "e2.value": [1, null], "e2.*": [{"value": 1}, null]}),
        ),
    ];
    for case in cases {
        case.check().await;
    }
}

#[tokio::test]
async fn an_edge_with_a_condition_waits_for_its_branch() {
    let case = case(
        "",
        "l1 f1 k1 e1 e2 c1",
        "l1>f1 f1>k1 e1>c1 e2>c1",
        json!({"l1": [1, 6]}),
        json!({"c1.results": [{"e2": false}, {"e1": true}]}),
    )
    .with("k1", "config", above(5));
    let mut definition = case.definition();
    for (side, target) in [("true", "e1"), ("false", "e2")] {
        let edge = json!({"source": "k1", "sourceHandle": "passed", "condition": side, "target": target, "targetHandle": "value"});
        definition["edges"].as_array_mut().expect("edges").push(edge);
    }
    let outcome = crate::script::Stage::new().run(definition.clone(), case.input.clone(), json!({})).await;
    assert_eq!(outcome.outputs, case.outputs);
    let model = crate::model::Model::run(&definition, &case.input);
    assert_eq!(crate::model::compare(&model, &outcome), Ok(()));
}

/// The status of a node, or of one item of it, and why it was skipped.
async fn reason(case: &super::Case, node: &str, item: &str) -> (Value, Value) {
    let outcome = case.run().await;
    let record = outcome.report.records.iter().find(|record| record.node_id == node && record.item_path == item);
    let record = record.unwrap_or_else(|| panic!("no record of {node} {item}: {:?}", statuses(&outcome)));
    (record.record["status"].clone(), record.record["skip_reason"].clone())
}

#[tokio::test]
async fn what_did_not_run_says_why() {
    let branch = case("", "l1 f1 k1 e1 c1", "l1>f1 f1>k1 k1.true>e1 e1>c1", json!({"l1": [0]}), json!({}));
    let empty = case("", "l1 f1 e1 c1", "l1>f1 f1>e1 e1>c1", json!({"l1": []}), json!({}));
    let none = case("", "n1 k1 r1 f1 e1 c1", "n1>k1 k1.true>r1 r1>f1 f1>e1 e1>c1", json!({}), json!({}));
    let absent = "the required input `value` is absent: it comes from `k1.true_output`";
    for (case, node, item, expected) in [
        (&branch, "e1", "0", absent),
        (&branch, "e1", "", "it was skipped for every item"),
        (&empty, "e1", "", "its loop ran for no item"),
        (&none, "f1", "", "the required input `items` is absent: it comes from `r1.items`"),
        (&none, "e1", "", "its loop ran for no item"),
        (&none, "c1", "", "its loop did not run"),
    ] {
        assert_eq!(reason(case, node, item).await, (json!("skipped"), json!(expected)), "{node} {item}");
    }
}
