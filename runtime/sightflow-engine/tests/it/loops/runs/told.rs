//! What others hear of a loop: records of items, sums, events, errors.

use serde_json::{Value, json};

use super::{case, runnable, statuses};
use crate::script::Stage;

#[tokio::test]
async fn every_item_has_its_records_and_every_node_its_sum() {
    let case = case(
        "",
        "l1 f1 f2 k2 e2 c2 c1",
        "l1>f1 f1>f2 f2>k2 k2.true>e2 e2>c2 c2>c1",
        json!({"l1": [[1, 0], [], [3]]}),
        json!({}),
    );
    let outcome = case.run().await;
    let expected = json!({
        "l1": "completed", "f1": "completed", "c1": "completed",
        "f2": "completed", "f2 0": "completed", "f2 1": "completed", "f2 2": "completed",
        "c2": "completed", "c2 0": "completed", "c2 1": "completed", "c2 2": "completed",
        "k2": "completed", "k2 0/0": "completed", "k2 0/1": "completed", "k2 2/0": "completed",
        "e2": "completed", "e2 0/0": "completed", "e2 0/1": "skipped", "e2 2/0": "completed",
    });
    assert_eq!(Value::Object(statuses(&outcome)), expected);
    let items = |node: &str, item: &str| {
        let record = outcome.report.records.iter().find(|record| record.node_id == node && record.item_path == item);
        record.expect("a record").record["items"].clone()
    };
    assert_eq!(items("f1", ""), json!({"total": 3, "ended": 3, "failed": 0}));
    assert_eq!(items("f2", "0"), json!({"total": 2, "ended": 2, "failed": 0}));
    assert_eq!(items("e2", ""), json!({"total": 3, "completed": 2, "skipped": 1, "failed": 0, "cancelled": 0}));
    assert_eq!(items("e2", "0/0"), Value::Null);
    assert_eq!(outcome.report.progress["percent"], 100);
}

#[tokio::test]
async fn events_and_errors_name_their_item() {
    let definition = |mode: &str| {
        let changes =
            [("f1", "config", json!({"on_error": mode, "start_index": 3})), ("x2", "config", json!({"is": 8}))];
        runnable("l1 f1 f2 x2 c2 c1", "l1>f1 f1>f2 f2>x2 x2>c2 c2>c1", &changes)
    };
    let input = json!({"l1": [[], [], [], [7, 8]]});
    for (mode, last) in [("fail", "node.failed f1"), ("skip", "node.completed c1")] {
        let stage = Stage::new();
        stage.run(definition(mode), input.clone(), json!({})).await;
        let diary = stage.diary.0.lock().unwrap().clone();
        for wanted in [
            "node.started l1",
            "node.started f1",
            "node.started f2 3",
            "node.started x2 3/0",
            "node.started x2 3/1",
            "node.failed x2 3/1",
            "node.failed f2 3",
            last,
        ] {
            assert_eq!(diary.iter().filter(|told| *told == wanted).count(), 1, "{mode}: {wanted} in {diary:?}");
        }
        assert_eq!(diary.iter().any(|told| told == "node.completed f1"), mode == "skip", "{diary:?}");
    }
}

#[tokio::test]
async fn a_lost_item_leaves_nothing_running() {
    // Beside the node that fails one that never ends, one that waits for its next attempt, and a loop.
    let changes = [
        ("f1", "config", json!({"on_error": "skip"})),
        ("x1", "config", json!({"is": 2})),
        ("z1", "retry", json!({"max": 1, "backoff_ms": 60_000})),
        ("z2", "retry", json!({"max": 1, "backoff_ms": 60_000})),
    ];
    let mut definition =
        runnable("l1 f1 y1 x1 z1 r1 f2 z2 c2 c1", "l1>f1 f1>z1 f1>r1 f1>y1 y1>x1 r1>f2 f2>z2 z2>c2 x1>c1", &changes);
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes.push(json!({"id": "stuck", "type": "stuck", "inputs": {"value": "$nodes.f1.item"}}));
    let began = std::time::Instant::now();
    // One item: what never ends keeps one of the run's two threads.
    let outcome = Stage::new().run(definition, json!({"l1": [2]}), json!({})).await;
    assert!(began.elapsed().as_secs() < 20, "its timers went with it");
    assert_eq!(outcome.outputs["c1"]["results"], json!([null]), "{:?}", outcome.end);
    let statuses = statuses(&outcome);
    let of = |node: &str| statuses[&format!("{node} 0")].as_str().unwrap_or_default().to_owned();
    assert_eq!(of("x1"), "failed");
    for node in ["z1", "stuck", "f2", "c2"] {
        assert!(["cancelled", "skipped"].contains(&&*of(node)), "{node} is {}", of(node));
    }
}
