//! What leaves a loop.

use serde_json::json;

use super::{case, numbers, runnable};
use crate::script::Stage;

#[tokio::test]
async fn values_leave_in_item_order() {
    let sums = json!([[0, 1, 2], [], [10, 11, 12]]);
    let cases = [
        case(
            "one",
            "l1 f1 e1 c1",
            "l1>f1 f1>e1 e1>c1",
            json!({"l1": ["a", "b", 7]}),
            json!({"c1.results": ["a", "b", 7], "c1.count": 3, "c1.indexes": [0, 1, 2], "c1.errors": []}),
        ),
        case(
            "items as they are",
            "l1 f1 c1",
            "l1>f1 f1>c1",
            json!({"l1": [1, [2], {"a": 3}]}),
            json!({"c1.results": [1, [2], {"a": 3}]}),
        ),
        case(
            "nothing to do",
            "l1 f1 e1 c1",
            "l1>f1 f1>e1 e1>c1",
            json!({"l1": []}),
            json!({"c1.results": [], "c1.count": 0, "c1.indexes": [], "c1.errors": [], "e1.value": [], "f1.item": []}),
        ),
        case(
            "outputs without a collect",
            "l1 f1 e1",
            "l1>f1 f1>e1",
            json!({"l1": [5, 6]}),
            json!({"e1.value": [5, 6], "e1.*": [{"value": 5}, {"value": 6}], "f1.index": [0, 1], "f1.is_last": [false, true]}),
        ),
        case(
            "a part of the list",
            "l1 f1 c1",
            "l1>f1 f1>c1",
            json!({"l1": [5, 6, 7, 8, 9]}),
            json!({"c1.results": [6, 7], "c1.indexes": [1, 2], "f1.*": [
                {"item": 6, "index": 1, "total": 2, "is_first": true, "is_last": false},
                {"item": 7, "index": 2, "total": 2, "is_first": false, "is_last": true}]}),
        )
        .with("f1", "config", json!({"start_index": 1, "max_items": 2})),
        case(
            "behind the end",
            "l1 f1 c1",
            "l1>f1 f1>c1",
            json!({"l1": [5, 6]}),
            json!({"c1.results": [], "c1.count": 0}),
        )
        .with("f1", "config", json!({"start_index": 7})),
        case(
            "nested",
            "l1 f1 f2 e2 c2 c1",
            "l1>f1 f1>f2 f2>e2 e2>c2 c2>c1",
            json!({"l1": [[1, 2], [], [3]]}),
            json!({"c1.results": [[1, 2], [], [3]], "c2.count": [2, 0, 1], "e2.value": [[1, 2], [], [3]], "f2.total": [[2, 2], [], [1]]}),
        ),
        case(
            "nested and flat",
            "l1 f1 f2 c2 c1",
            "l1>f1 f1>f2 f2>c2 c2>c1",
            json!({"l1": [[1, [2]], [], [3]]}),
            json!({"c1.results": [1, [2], 3], "c1.indexes": [0, 0, 2]}),
        )
        .with("c1", "config", json!({"flatten": true})),
        case(
            "four deep",
            "l1 f1 f2 f3 f4 a4 c4 c3 c2 c1",
            "l1>f1 f1>f2 f2>f3 f3>f4 f4>a4 f1.index>a4.extra a4>c4 c4>c3 c3>c2 c2>c1",
            json!({"l1": [[[[10, 20], []]], [[[30]], []]]}),
            json!({"c1.results": [[[[10, 20], []]], [[[31]], []]], "a4.value": [[[[10, 20], []]], [[[31]], []]], "c4.count": [[[2, 0]], [[1], []]]}),
        ),
        case(
            "several collects",
            "l1 f1 e1 a1 c1 c2",
            "l1>f1 f1>e1 e1>a1 e1>c1 a1>c2",
            json!({"l1": [1, 2]}),
            json!({"c1.results": [1, 2], "c2.results": [11, 12]}),
        )
        .with("a1", "config", json!({"by": 10})),
        case(
            "side by side",
            "l1 l2 f1 e1 c1 f2 e2 c2 i1",
            "l1>f1 l2>f2 f1>e1 e1>c1 f2>e2 e2>c2 c1>i1 c2>i1",
            json!({"l1": [1, 2], "l2": ["x"]}),
            json!({"i1.items": [[1, 2], ["x"]]}),
        ),
        case(
            "in sequence",
            "l1 f1 a1 c1 f2 a2 c2",
            "l1>f1 f1>a1 a1>c1 c1>f2 f2>a2 a2>c2",
            json!({"l1": [1, 2]}),
            json!({"c1.results": [2, 3], "c2.results": [4, 5]}),
        )
        .with("a1", "config", json!({"by": 1}))
        .with("a2", "config", json!({"by": 2})),
        case(
            "in sequence inside of a loop",
            "l1 f1 f2 c2 f3 a3 c3 c1",
            "l1>f1 f1>f2 f2>c2 c2>f3 f3>a3 c2.count>a3.extra a3>c3 c3>c1",
            json!({"l1": [[1, 1], [5]]}),
            json!({"c1.results": [[3, 3], [6]]}),
        ),
        case(
            "context",
            "l1 n1 f1 e1 c1",
            "l1>f1 n1>f1.context f1.context>e1 e1>c1",
            json!({"l1": [1, 2]}),
            json!({"c1.results": [4, 4], "f1.context": [4, 4]}),
        )
        .with("n1", "config", json!({"is": 4})),
        case(
            "the outer item in the inner loop",
            "l1 f1 r1 f2 a2 c2 c1",
            "l1>f1 f1>r1 r1>f2 f2>a2 f1>a2.extra a2>c2 c2>c1",
            json!({"l1": [10, 0, 20]}),
            json!({"c1.results": [[10, 11, 12], [], [20, 21, 22]]}),
        ),
        case(
            "what is outside of all loops, in the innermost",
            "l1 n1 f1 f2 a2 c2 c1",
            "l1>f1 f1>f2 f2>a2 n1>a2.extra a2>c2 c2>c1",
            json!({"l1": sums}),
            json!({"c1.results": [[100, 101, 102], [], [110, 111, 112]]}),
        )
        .with("n1", "config", json!({"is": 100})),
        case("by reference", "l1 f1 e1 a1 c1", "l1>f1 f1>e1", json!({"l1": [1, 2]}), json!({"c1.results": [2, 4]}))
            .with("a1", "inputs", json!({"value": "$nodes.e1.value", "extra": "$nodes.f1.item"}))
            .with("c1", "inputs", json!({"item": "$nodes.a1.value"})),
        case(
            "a record by source",
            "l1 f1 e1 a1 c1",
            "l1>f1 f1>e1 f1>a1 e1>c1 a1>c1",
            json!({"l1": [1, 2]}),
            json!({"c1.results": [{"e1": 1, "a1": 6}, {"e1": 2, "a1": 7}]}),
        )
        .with("a1", "config", json!({"by": 5})),
        case(
            "a record with a source that is wired twice",
            "l1 f1 n1 c1",
            "l1>f1 f1>c1 f1.index>c1 n1>c1",
            json!({"l1": ["a"]}),
            json!({"c1.results": [{"f1.item": "a", "f1.index": 0, "n1": 0}]}),
        ),
        case(
            "once each",
            "l1 f1 c1",
            "l1>f1 f1>c1",
            json!({"l1": [1, 2, 1, "1"]}),
            json!({"c1.results": [1, 2, "1"], "c1.indexes": [0, 1, 3]}),
        )
        .with("c1", "config", json!({"unique": true})),
        case(
            "where an item is",
            "l1 f1 f2 e1 e2 c2 c1",
            "l1>f1 f1>f2 f1.index>e1 f2.index>e2 e2>c2 c2>c1 e1>c1",
            json!({"l1": [[7, 8], [9]]}),
            json!({"c1.results": [{"c2": ["0 of 2", "1 of 2"], "e1": "0 of 2"}, {"c2": ["0 of 1"], "e1": "1 of 2"}]}),
        )
        .with("e1", "config", json!({"text": "{{ index }} of {{ total }}"}))
        .with("e2", "config", json!({"text": "{{ index }} of {{ total }}"})),
    ];
    for case in cases {
        case.check().await;
    }
}

#[tokio::test]
async fn without_declared_outputs_they_are_automatic() {
    let cases = [
        (
            "terminal nodes, and keys that one node has",
            "l1 f1 e1 c1",
            "l1>f1 f1>e1 e1>c1",
            json!({"c1": {"results": [1, 2], "count": 2, "errors": [], "indexes": [0, 1]}, "results": [1, 2], "count": 2}),
        ),
        (
            "keys that two nodes have",
            "l1 f1 c1 c2",
            "l1>f1 f1>c1 f1.index>c2",
            json!({"c1": {"results": [1, 2], "count": 2, "errors": [], "indexes": [0, 1]},
                   "c2": {"results": [0, 1], "count": 2, "errors": [], "indexes": [0, 1]}}),
        ),
        ("in a body", "l1 f1 e1", "l1>f1 f1>e1", json!({"e1": [{"value": 1}, {"value": 2}]})),
        (
            "a branch in a body",
            "l1 f1 k1 e1",
            "l1>f1 f1>k1 k1.true>e1",
            json!({"e1": [null, {"value": 2}], "result": [false, true]}),
        ),
    ];
    for (name, nodes, edges, outputs) in cases {
        let mut case =
            case(name, nodes, edges, json!({"l1": [1, 2]}), json!({})).with("k1", "config", json!({"value": 1}));
        assert_eq!(case.run().await.outputs, outputs, "{name}");
        // The model reads a definition without `outputs`.
        case.outputs = json!(null);
        let outcome = case.run().await;
        let model = crate::model::Model::run(&case.definition(), &case.input);
        assert_eq!(crate::model::compare(&model, &outcome), Ok(()), "{name}");
    }
}

/// What the model does not read: expressions.
#[tokio::test]
async fn expressions_see_their_item() {
    let collected =
        case("", "l1 f1 a1 c1", "l1>f1 f1>a1", json!({"l1": [3, 4]}), json!({"c1.results": [[0, 6, 2], [1, 8, 2]]}))
            .with("a1", "inputs", json!({"value": "{{ item * 2 }}"}))
            .with("c1", "inputs", json!({"item": "{{ [index, nodes.a1.value, total] }}"}));
    let limited = case(
        "",
        "l1 f1 f2 c2 c1",
        "l1>f1 f1>f2 f2>c2 c2>c1",
        json!({"l1": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}),
        json!({"c1.results": [[1], [4, 5], [7, 8, 9]]}),
    )
    .with("f2", "config", json!({"max_items": "{{ index + 1 }}"}));
    for case in [collected, limited] {
        let outcome = case.run().await;
        assert_eq!(outcome.outputs, case.outputs, "{:?}", outcome.end);
    }
    let long = case("", "l1 f1 c1", "l1>f1 f1>c1", json!({"l1": numbers(300)}), json!({"c1.results": numbers(300)}));
    long.check().await;
}

/// Four loops in sequence, each of which collects 300 KiB that nobody reads in the end.
#[tokio::test]
async fn what_was_collected_is_given_back() {
    let changes: Vec<_> =
        ["e1", "e2", "e3", "e4"].map(|id| (id, "config", json!({"text": "x".repeat(100 << 10)}))).into();
    let loops = "l1>f1 f1>e1 e1>c1 l1>f2 c1.count>f2.context f2>e2 e2>c2 l1>f3 c2.count>f3.context f3>e3 e3>c3 \
                 l1>f4 c3.count>f4.context f4>e4 e4>c4";
    let mut definition = runnable("l1 f1 e1 c1 f2 e2 c2 f3 e3 c3 f4 e4 c4", loops, &changes);
    definition["outputs"] = json!([{"name": "last", "source": "$nodes.c4.count"}]);
    let mut stage = Stage::new();
    stage.limits.values = 1 << 20;
    let outcome = stage.run(definition, json!({"l1": [1, 2, 3]}), json!({})).await;
    assert_eq!(outcome.outputs, json!({"last": 3}), "{:?}", outcome.end);
}
