//! Blocks that reach the outside: what they came to is asked for once, however often a run is walked.

use serde_json::{Value, json};
use sightflow_store::{EffectState, Store};
use sightflow_types::error::code;
use sightflow_types::{ExecutionId, ExecutionStatus};

use crate::server::{Server, TENANT};

const PHOTO: &str = "https://example.com/a.png";

/// A node of a block that reaches out, beside a model that keeps the run waiting.
fn definition(block: &str, config: &Value) -> Value {
    json!({
        "nodes": [
            {"id": "photo", "type": "image_input"},
            {"id": "find", "type": "detection", "config": {"model_id": "finder"}},
            {"id": "out", "type": block, "inputs": {"value": 1}, "config": config, "retry": {"max": 2, "backoff_ms": 1}},
            {"id": "shout", "type": "echo", "inputs": {"value": "$nodes.out.value", "extra": "$nodes.find.count"}},
        ],
        "edges": [{"source": "photo", "target": "find"}],
        "outputs": [{"name": "said", "source": "$nodes.shout.value"}, {"name": "picture", "source": "$nodes.out.image"}],
    })
}

async fn states(server: &Server, id: ExecutionId) -> Vec<(EffectState, u32)> {
    let effects = server.store.effects(TENANT, id).await.expect("listed");
    effects.into_iter().map(|effect| (effect.state, effect.attempt)).collect()
}

/// Waits until the call of `out` is this far.
async fn reached(server: &Server, id: ExecutionId, state: EffectState) {
    while states(server, id).await.first().is_none_or(|found| found.0 != state) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn calls(server: &Server) -> u32 {
    server.host.calls.lock().unwrap()["out"]
}

#[tokio::test]
async fn an_answer_is_asked_for_once_whoever_goes_on() {
    let server = Server::new().await;
    let first = server.engine().await;
    let id = server.submit(definition("ask", &json!({})), json!({"image_url": PHOTO})).await;
    reached(&server, id, EffectState::Done).await;
    server.until(id, |execution| execution.jobs.pending == 1).await;
    first.shutdown().await;
    let second = server.engine().await;
    server.until(id, |execution| execution.resume_count == 1).await;
    assert_eq!(server.work().await, 1);
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    let outputs = execution.outputs.expect("outputs");
    assert_eq!(outputs["said"], "answer 1");
    assert_eq!(outputs["picture"]["$image"]["format"], "png", "its picture was kept, too");
    assert_eq!((calls(&server), states(&server, id).await), (1, vec![(EffectState::Done, 1)]));
    second.shutdown().await;
}

#[tokio::test]
async fn a_call_that_may_have_arrived_is_repeated_only_where_it_changes_nothing() {
    for (block, repeated) in [("ask", true), ("post", false)] {
        let server = Server::new().await;
        let first = server.engine().await;
        let id = server.submit(definition(block, &json!({"stuck": true})), json!({"image_url": PHOTO})).await;
        reached(&server, id, EffectState::Sending).await;
        while server.host.calls.lock().unwrap().get("out").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        first.shutdown().await;
        assert_eq!(states(&server, id).await, [(EffectState::Sending, 1)], "{block}: nobody knows");
        let second = server.engine().await;
        server.until(id, |execution| execution.jobs.pending == 1 || execution.status.is_terminal()).await;
        server.work().await;
        let execution = server.ended(id).await;
        if repeated {
            assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
            assert_eq!(execution.outputs.expect("outputs")["said"], "answer 2");
            assert_eq!((calls(&server), states(&server, id).await), (2, vec![(EffectState::Done, 2)]));
        } else {
            assert_eq!(execution.error.expect("an error").code, code::EFFECT_UNKNOWN);
            assert_eq!((calls(&server), states(&server, id).await), (1, vec![(EffectState::Failed, 1)]));
        }
        second.shutdown().await;
    }
}

#[tokio::test]
async fn only_a_block_that_says_so_is_called_again() {
    for (block, config, expected) in [
        ("post", json!({"retry": true}), (2, EffectState::Done)),
        ("post", json!({"late": true}), (1, EffectState::Failed)),
        ("ask", json!({"late": true}), (2, EffectState::Done)),
    ] {
        let server = Server::new().await;
        let engine = server.engine().await;
        let id = server.submit(definition(block, &config), json!({"image_url": PHOTO})).await;
        reached(&server, id, expected.1).await;
        assert_eq!(
            (calls(&server), states(&server, id).await),
            (expected.0, vec![(expected.1, expected.0)]),
            "{block} {config}"
        );
        engine.shutdown().await;
    }
}
