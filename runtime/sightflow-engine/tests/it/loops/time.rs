//! What happens when: order, concurrency, and timers of items.

use std::time::Duration;

use serde_json::json;
use sightflow_engine::End;
use tokio::time::Instant;

use super::runs::{numbers, runnable};
use crate::script::Stage;

#[tokio::test]
async fn one_by_one_is_in_order() {
    for config in [json!({"iteration_mode": "sequential"}), json!({"max_concurrency": 1})] {
        let changes = [("f1", "config", config), ("f2", "config", json!({"max_concurrency": 1}))];
        let definition =
            runnable("l1 f1 e1 f2 e2 c2 c1", "l1>f1 f1>f2 f1.index>e1 f2>e2 e1>e2.extra e2>c2 c2>c1", &changes);
        let stage = Stage::new();
        stage.run(definition, json!({"l1": [[1, 2], [3], [4, 5]]}), json!({})).await;
        let diary = stage.diary.0.lock().unwrap().clone();
        let told: Vec<&str> =
            diary.iter().filter_map(|told| told.strip_prefix("node.").filter(|told| told.contains(" e"))).collect();
        let expected = [
            "started e1 0",
            "completed e1 0",
            "started e2 0/0",
            "completed e2 0/0",
            "started e2 0/1",
            "completed e2 0/1",
            "started e1 1",
            "completed e1 1",
            "started e2 1/0",
            "completed e2 1/0",
            "started e1 2",
            "completed e1 2",
            "started e2 2/0",
            "completed e2 2/0",
            "started e2 2/1",
            "completed e2 2/1",
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_items_run_at_once() {
    // Each item waits a second for its second attempt.
    for (config, items, seconds) in [
        (json!({}), 16, 1),
        (json!({}), 17, 2),
        (json!({"max_concurrency": 3}), 7, 3),
        (json!({"max_concurrency": 256}), 200, 1),
        (json!({"iteration_mode": "sequential"}), 4, 4),
        (json!({"iteration_mode": "sequential", "max_concurrency": 4}), 4, 4),
    ] {
        let changes = [("f1", "config", config.clone()), ("z1", "retry", json!({"max": 1, "backoff_ms": 1000}))];
        let definition = runnable("l1 f1 z1 c1", "l1>f1 f1>z1 z1>c1", &changes);
        let began = Instant::now();
        let outcome = Stage::new().run(definition, json!({"l1": numbers(items)}), json!({})).await;
        assert_eq!((outcome.end, outcome.outputs["c1"]["results"].clone()), (End::Completed, numbers(items)));
        assert_eq!(began.elapsed().as_secs(), seconds, "{config} {items}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_has_no_timers() {
    // When the item is lost, another node of it waits a minute for its next attempt.
    let changes = [
        ("f1", "config", json!({"on_error": "skip"})),
        ("x1", "config", json!({"is": 2})),
        ("z1", "retry", json!({"max": 1, "backoff_ms": 60_000})),
    ];
    let definition = runnable("l1 f1 z1 y1 x1 c1", "l1>f1 f1>z1 f1>y1 y1>x1 x1>c1", &changes);
    let began = Instant::now();
    let outcome = Stage::new().run(definition, json!({"l1": [2]}), json!({})).await;
    assert_eq!((outcome.end, outcome.outputs["c1"]["results"].clone()), (End::Completed, json!([null])));
    assert!(began.elapsed() < Duration::from_secs(1), "the run waited {:?} for an item that was lost", began.elapsed());
}

#[tokio::test]
async fn what_waits_for_others_begins_beside_what_computes() {
    // A loop that computes for a long time; beside it a model node, and a node that is repeated after a pause.
    let changes = [("z2", "retry", json!({"max": 1, "backoff_ms": 1}))];
    let mut definition = runnable("l1 f1 y1 c1 y2 z2 y3 n1", "l1>f1 f1>y1 y1>c1 n1>y2 y2>z2 n1>y3", &changes);
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes.push(json!({"id": "p", "type": "paint", "config": {"width": "{{ nodes.y3.value + 5 }}"}}));
    nodes.push(json!({"id": "find", "type": "detection", "config": {"model_id": "finder"}, "inputs": {"image": "$nodes.p.image"}}));
    let stage = Stage::new();
    let outcome = stage.run(definition, json!({"l1": numbers(300)}), json!({})).await;
    assert_eq!(outcome.end, End::Completed);
    let diary = stage.diary.0.lock().unwrap().clone();
    let at = |told: &str| diary.iter().position(|entry| entry == told).unwrap_or_else(|| panic!("no {told}"));
    for early in ["node.completed find", "node.completed z2"] {
        assert!(at(early) < at("node.completed y1 200"), "{early} came at {} of {}", at(early), diary.len());
    }
}
