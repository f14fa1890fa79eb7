//! Blocks that are replaced while runs are in flight.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sightflow_engine::{Engine, EngineConfig, Faults};
use sightflow_types::{Digest, ExecutionStatus};
use tokio::sync::Notify;

use crate::script::package;
use crate::server::{Server, TENANT};

const OLD: Digest = Digest::from_bytes([1; 32]);
const NEW: Digest = Digest::from_bytes([2; 32]);

fn publish(server: &Server, major: u64, digest: Digest) {
    server.blocks.publish(TENANT, [package("acme/test", semver::Version::new(major, 0, 0), digest)]).unwrap();
}

/// first → photo → find → last: a block of the package before the model, and one after it.
fn definition(text: &str) -> Value {
    json!({
        "nodes": [
            {"id": "first", "type": "acme/test/echo", "inputs": {"value": 1}, "config": {"text": text}},
            {"id": "photo", "type": "image_input"},
            {"id": "find", "type": "detection", "config": {"model_id": "finder"}},
            {"id": "last", "type": "acme/test/list", "inputs": {"items": ["$nodes.first.value", "$nodes.find.count"]}},
        ],
        "edges": [{"source": "photo", "target": "find"}],
        "outputs": [{"name": "all", "source": "$nodes.last.items"}],
    })
}

#[tokio::test]
async fn a_run_ends_with_the_blocks_that_it_began_with() {
    // The value that the run keeps while it waits; whether it is then walked again from its beginning.
    for (text, again) in [("short".to_owned(), false), ("long".repeat(100_000), true)] {
        let server = Server::new().await;
        publish(&server, 1, OLD);
        let parked = Arc::new(Notify::new());
        let reached = Arc::clone(&parked);
        let faults = Faults::new(move |point| {
            if point == "engine.park" {
                reached.notify_one();
            }
        });
        let config = EngineConfig { grace: Duration::ZERO, faults, ..EngineConfig::default() };
        let engine = Engine::start(server.parts.clone(), config).await.unwrap();
        let image = json!({"image_url": "https://example.com/a.png"});
        let before = server.submit(definition(&text), image.clone()).await;
        server.until(before, |execution| execution.jobs.pending == 1).await;
        parked.notified().await;

        publish(&server, 2, NEW);
        assert_eq!(server.work().await, 1);
        let ended = server.ended(before).await;
        assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.error);
        assert_eq!(ended.outputs.unwrap()["all"], json!([text, 1]));
        assert_eq!(ended.pins["blocks"]["acme/test/list"]["digest"], json!(OLD));
        let resumed = server.events(before).await.contains(&"execution.resumed".to_owned());
        assert_eq!(resumed, again);
        let mut calls = vec![("first".to_owned(), OLD), ("last".to_owned(), OLD)];
        if again {
            calls.insert(0, calls[0].clone());
        }
        assert_eq!(std::mem::take(&mut *server.host.packages.lock().unwrap()), calls);

        // The same definition, hence the same digest: the plan of the old blocks is not taken for it.
        let after = server.submit(definition(&text), image).await;
        server.until(after, |execution| execution.jobs.pending == 1).await;
        assert_eq!(server.work().await, 1);
        let ended = server.ended(after).await;
        assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.error);
        assert_eq!(ended.pins["blocks"]["acme/test/list"]["digest"], json!(NEW));
        let calls = server.host.packages.lock().unwrap().clone();
        assert!(!calls.is_empty() && calls.iter().all(|(_, digest)| *digest == NEW), "{calls:?}");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_block_that_was_taken_away_is_there_for_those_who_began_with_it() {
    let server = Server::new().await;
    publish(&server, 1, OLD);
    let engine = server.engine().await;
    let image = json!({"image_url": "https://example.com/a.png"});
    let before = server.submit(definition("short"), image.clone()).await;
    server.until(before, |execution| execution.jobs.pending == 1).await;
    server.blocks.publish(TENANT, []).unwrap();
    let after = server.submit(definition("short"), image).await;
    let refused = server.ended(after).await;
    assert_eq!(refused.error.map(|error| error.code).as_deref(), Some("E-TYPE-UNKNOWN"));
    assert_eq!(server.work().await, 1);
    let ended = server.ended(before).await;
    assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.error);
    engine.shutdown().await;
}
