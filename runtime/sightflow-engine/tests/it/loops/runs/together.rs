//! Items whose calls share an instance.

use serde_json::{Value, json};

use super::{numbers, runnable};
use crate::script::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn items_share_calls_and_come_out_as_if_they_did_not() {
    let stage = Stage::new();
    let changes = [
        ("f1", "config", json!({"on_error": "skip"})),
        ("a1", "config", json!({"by": 1})),
        ("x1", "config", json!({"is": 21})),
    ];
    let mut definition = runnable("l1 f1 a1 x1 c1", "l1>f1 f1>a1 a1>x1 x1>c1", &changes);
    definition["outputs"] = json!([{"name": "results", "source": "$nodes.c1.results"}]);
    let outcome = stage.run(definition, json!({"l1": numbers(100)}), json!({})).await;
    let results = outcome.outputs["results"].as_array().cloned().unwrap_or_default();
    // 20 + 1 is refused by the second block; every other item is one more.
    let expected: Vec<Value> = (1..=100).map(|value| if value == 21 { Value::Null } else { json!(value) }).collect();
    assert_eq!(results, expected, "{:?}", outcome.end);
    let together = stage.host.together.lock().unwrap().clone();
    assert!(together.iter().all(|count| (2..=16).contains(count)), "{together:?}");
    assert!(together.iter().sum::<usize>() >= 100, "{together:?}");
    // What was to be together with 13 was called alone: nothing was called twice that had an answer.
    let calls = stage.host.calls.lock().unwrap().clone();
    assert_eq!((calls["a1"], calls["x1"]), (100, 100));
}
