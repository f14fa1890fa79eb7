//! Items that fail.

use serde_json::{Value, json};
use sightflow_engine::{End, RunOutcome};

use super::{case, numbers, statuses};

fn failed(outcome: &RunOutcome) -> (String, String, String) {
    let End::Failed(error) = &outcome.end else { panic!("it ended with {:?}", outcome.end) };
    (error.code.clone(), error.node_id.clone().unwrap_or_default(), error.item.clone().unwrap_or_default())
}

fn skip() -> Value {
    json!({"on_error": "skip"})
}

#[tokio::test]
async fn a_loop_that_skips_goes_on_without_the_item() {
    let refused = |index: u32, value: &str| json!({"index": index, "node": "x1", "code": "E-BLOCK-FAILED", "message": format!("{value} is refused")});
    let two = json!({"is": 2});
    let cases = [
        case(
            "null, and an error with its index",
            "l1 f1 x1 c1",
            "l1>f1 f1>x1 x1>c1",
            json!({"l1": [1, 2, 3]}),
            json!({"c1.results": [1, null, 3], "c1.errors": [refused(1, "2")], "c1.indexes": [0, 1, 2], "x1.value": [1, null, 3]}),
        )
        .with("x1", "config", two.clone()),
        case(
            "the index is that of the list",
            "l1 f1 x1 c1",
            "l1>f1 f1>x1 x1>c1",
            json!({"l1": [0, 1, 2, 3]}),
            json!({"c1.results": [1, 3], "c1.errors": [refused(2, "2")], "c1.indexes": [1, 3], "c1.count": 2}),
        )
        .with("x1", "config", two.clone())
        .with("f1", "config", json!({"on_error": "skip", "start_index": 1}))
        .with("c1", "config", json!({"filter_nulls": true})),
        case(
            "all of them",
            "l1 f1 x1 c1 e9",
            "l1>f1 f1>x1 x1>c1 c1.count>e9",
            json!({"l1": [2, 2]}),
            json!({"c1.results": [null, null], "c1.errors": [refused(0, "2"), refused(1, "2")], "e9.value": 2}),
        )
        .with("x1", "config", two.clone()),
        case(
            "nothing of a lost item is seen",
            "l1 f1 e1 x1 c1 c2",
            "l1>f1 f1>e1 e1>x1 e1>c1 x1>c2",
            json!({"l1": [1, 2, 3]}),
            json!({"c1.results": [1, null, 3], "c2.results": [1, null, 3], "e1.value": [1, null, 3], "f1.index": [0, null, 2]}),
        )
        .with("x1", "config", two.clone()),
        case(
            "in the inner loop, of which the outer one hears nothing",
            "l1 f1 f2 x1 c2 c1",
            "l1>f1 f1>f2 f2>x1 x1>c2 c2>c1",
            json!({"l1": [[1, 2], [2, 3]]}),
            json!({"c1.results": [[1, null], [null, 3]], "c1.errors": [], "c2.errors": [[refused(1, "2")], [refused(0, "2")]]}),
        )
        .with("f1", "config", json!({}))
        .with("f2", "config", skip())
        .with("x1", "config", two.clone()),
        case(
            "the outer loop, when the inner one fails",
            "l1 f1 f2 x1 c2 c1",
            "l1>f1 f1>f2 f2>x1 x1>c2 c2>c1",
            json!({"l1": [[1, 2, 4], [3, 4]]}),
            json!({"c1.results": [null, [3, 4]], "c1.errors": [refused(0, "2")], "x1.value": [null, [3, 4]], "c2.count": [null, 2]}),
        )
        .with("x1", "config", two.clone()),
        case(
            "an item that is null",
            "l1 f1 x1 c1",
            "l1>f1 f1>x1 x1>c1",
            json!({"l1": [1, null]}),
            json!({"c1.results": [1, null], "c1.errors": [{"index": 1, "node": "x1", "code": "E-BAD-INPUT",
                   "message": "the required input `value` is null (it comes from `f1.item`)"}]}),
        ),
        case(
            "an item that is no list",
            "l1 f1 f2 c2 c1",
            "l1>f1 f1>f2 f2>c2 c2>c1",
            json!({"l1": [[1], 2]}),
            json!({"c1.results": [[1], null], "c1.errors": [{"index": 1, "node": "f2", "code": "E-BAD-INPUT", "message": "the input `items` is not a list"}]}),
        ),
    ];
    for case in cases {
        let own = case.changes.iter().any(|(id, key, _)| (*id, *key) == ("f1", "config"));
        let case = if own { case } else { case.with("f1", "config", skip()) };
        case.check().await;
    }
}

#[tokio::test]
async fn a_node_that_continues_costs_its_item_nothing_but_its_value() {
    let cases = [
        case(
            "absent is null in a collect",
            "l1 f1 x1 c1",
            "l1>f1 f1>x1 x1>c1",
            json!({"l1": [1, 2, 3]}),
            json!({"c1.results": [1, null, 3], "c1.errors": [], "x1.value": [1, null, 3], "x1.*": [{"value": 1}, null, {"value": 3}]}),
        ),
        case(
            "what needs it is skipped, the rest runs",
            "l1 f1 x1 e1 e2 c1",
            "l1>f1 f1>x1 x1>e1 f1>e2 x1>e2.extra e1>c1 e2>c1",
            json!({"l1": [1, 2]}),
            json!({"c1.results": [{"e1": 1, "e2": 1}, {"e2": 2}]}),
        ),
    ];
    for case in cases {
        case.with("x1", "config", json!({"is": 2})).with("x1", "on_error", json!("continue")).check().await;
    }
}

#[tokio::test]
async fn a_loop_that_fails_takes_the_run_with_it() {
    let two = json!({"is": 2});
    let nested = || {
        case(
            "",
            "l1 f1 f2 x1 c2 c1",
            "l1>f1 f1>f2 f2>x1 x1>c2 c2>c1",
            json!({"l1": [[1], [3, 2]]}),
            json!({"c1.results": null, "x1.value": null, "l1.value": [[1], [3, 2]]}),
        )
    };
    let cases = [
        (
            case("", "l1 f1 x1 c1", "l1>f1 f1>x1 x1>c1", json!({"l1": [1, 3, 2]}), json!({"c1.results": null})).with(
                "x1",
                "config",
                two.clone(),
            ),
            ("E-BLOCK-FAILED", "x1", "2"),
        ),
        (nested().with("x1", "config", two.clone()), ("E-BLOCK-FAILED", "x1", "1/1")),
        (
            nested().with("x1", "config", two.clone()).with("f1", "config", json!({"iteration_mode": "sequential"})),
            ("E-BLOCK-FAILED", "x1", "1/1"),
        ),
        (
            case("not a list", "l1 f1 c1", "l1>f1 f1>c1", json!({"l1": 5}), json!({"c1.results": null})),
            ("E-BAD-INPUT", "f1", ""),
        ),
    ];
    for (case, (code, node, item)) in cases {
        case.check().await;
        assert_eq!(failed(&case.run().await), (code.to_owned(), node.to_owned(), item.to_owned()), "{}", case.name);
    }
}

#[tokio::test]
async fn a_foreach_may_fail_and_the_run_goes_on() {
    let case = case(
        "",
        "l1 f1 x1 c1 e1 e9",
        "l1>f1 f1>x1 x1>c1 c1>e1 l1>e9 c1.count>e9.extra",
        json!({"l1": [1, 2]}),
        json!({"c1.results": null, "e1.value": null, "x1.value": null, "e9.value": [1, 2]}),
    )
    .with("x1", "config", json!({"is": 2}))
    .with("f1", "on_error", json!("continue"));
    case.check().await;
    let outcome = case.run().await;
    let statuses = statuses(&outcome);
    let of = |node: &str| statuses[node].as_str().unwrap_or_default().to_owned();
    assert_eq!(["f1", "c1", "e1", "e9"].map(of), ["failed", "skipped", "skipped", "completed"]);
    let foreach = outcome.report.records.iter().find(|record| record.node_id == "f1").expect("a record");
    assert_eq!(
        (foreach.record["error"]["node_id"].clone(), foreach.record["error"]["item"].clone()),
        (json!("x1"), json!("1"))
    );
}

#[tokio::test]
async fn a_list_may_be_too_long() {
    let long = |count: usize, config: Value| {
        case("", "l1 f1 c1", "l1>f1 f1>c1", json!({"l1": numbers(count)}), json!({"c1.count": null}))
            .with("f1", "config", config)
    };
    let outcome = long(10_001, json!({})).run().await;
    assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), "f1".into(), String::new()));
    assert!(outcome.end != End::Completed && outcome.outputs["c1.count"].is_null());
    for (count, config, expected) in [
        (10_000, json!({}), 10_000),
        (10_001, json!({"max_items": 10_000}), 10_000),
        (10_005, json!({"start_index": 10_000}), 5),
    ] {
        let outcome = long(count, config).run().await;
        assert_eq!((outcome.end, outcome.outputs["c1.count"].clone()), (End::Completed, json!(expected)));
    }
}
