//! Panics, starvation, leases without a task, upgrades: what must not stop an engine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sightflow_blobs::digest_of;
use sightflow_engine::{Engine, EngineConfig, Faults, Restarts};
use sightflow_store::{FailureClass, JobFailure, NewBlob, SECOND_LOOK_MS, Store};
use sightflow_types::{Digest, ExecutionStatus};
use tokio::sync::Notify;

use crate::script::package;
use crate::server::{Server, TENANT, definition};

fn quick(faults: Faults) -> EngineConfig {
    let restarts = Restarts { pause: Duration::from_millis(1), ..Restarts::default() };
    EngineConfig { heartbeat: Duration::from_millis(20), restarts, faults, ..EngineConfig::default() }
}

fn number() -> Value {
    json!({"nodes": [{"id": "n", "type": "number", "config": {"is": 3}}]})
}

/// Panics the first time that `point` is reached.
fn once(point: &'static str) -> (Faults, Arc<AtomicBool>) {
    let fired = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&fired);
    let faults = Faults::new(move |reached| {
        if reached == point && !done.swap(true, Ordering::SeqCst) {
            panic!("a fault at {point}");
        }
    });
    (faults, fired)
}

#[tokio::test]
async fn a_panic_in_a_service_stops_nothing() {
    let points = [
        "engine.intake",
        "engine.heartbeat",
        "engine.watch",
        "engine.listen",
        "engine.housekeeping",
        "engine.retention",
    ];
    for point in points {
        let server = Server::new().await;
        let (faults, fired) = once(point);
        let engine = Engine::start(server.parts.clone(), quick(faults)).await.unwrap();
        // More than one: the first may be taken before the fault.
        while !fired.load(Ordering::SeqCst) {
            let id = server.submit(number(), json!({})).await;
            assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed, "{point}");
        }
        let id = server.submit(number(), json!({})).await;
        assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed, "{point}");
        let health = engine.health();
        assert_eq!((health.alive, health.failed), (true, None), "{point}");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_panic_in_an_execution_ends_it_and_frees_its_place() {
    for point in ["engine.execute", "engine.journal", "engine.finish"] {
        let server = Server::new().await;
        let (faults, _) = once(point);
        let engine =
            Engine::start(server.parts.clone(), EngineConfig { max_running: 1, ..quick(faults) }).await.unwrap();
        let id = server.submit(number(), json!({})).await;
        let execution = server.ended(id).await;
        let code = execution.error.map(|error| error.code);
        assert_eq!((execution.status, code.as_deref()), (ExecutionStatus::Failed, Some("E-INTERNAL")), "{point}");
        let next = server.submit(number(), json!({})).await;
        assert_eq!(server.ended(next).await.status, ExecutionStatus::Completed, "{point}");
        assert!(server.store.leases_of(engine.id()).await.unwrap().is_empty(), "{point}: the lease is given up");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_is_tried_again() {
    let server = Server::new().await;
    // The first two ends panic, the second one while the panic of the first is being recorded.
    let ends = AtomicU32::new(0);
    let faults = Faults::new(move |point| {
        assert!(point != "engine.finish" || ends.fetch_add(1, Ordering::SeqCst) >= 2, "a fault at the end");
    });
    let engine = Engine::start(server.parts.clone(), quick(faults)).await.unwrap();
    let id = server.submit(number(), json!({})).await;
    // Its task gives it up, and it is taken again.
    let execution = server.ended(id).await;
    assert_eq!((execution.status, execution.resume_count), (ExecutionStatus::Completed, 1), "{:?}", execution.error);
    engine.shutdown().await;
}

#[tokio::test]
async fn an_execution_that_no_engine_can_end_is_ended() {
    let server = Server::new().await;
    let walks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&walks);
    let faults = Faults::new(move |point| {
        counted.fetch_add(u32::from(point == "engine.execute"), Ordering::SeqCst);
        assert!(point != "engine.finish", "a fault at the end");
    });
    let engine = Engine::start(server.parts.clone(), quick(faults)).await.unwrap();
    let id = server.submit(number(), json!({})).await;
    let execution = server.ended(id).await;
    let code = execution.error.map(|error| error.code);
    assert_eq!((execution.status, code.as_deref()), (ExecutionStatus::Failed, Some("E-CRASH-LOOP")));
    let walks = walks.load(Ordering::SeqCst);
    assert!((6..=7).contains(&walks), "one more if the first recorded its node: {walks}");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_lease_without_a_task_is_handed_back() {
    let server = Server::new().await;
    let engine =
        Engine::start(server.parts.clone(), EngineConfig { max_running: 1, ..quick(Faults::default()) }).await.unwrap();
    let stuck =
        server.submit(json!({"nodes": [{"id": "s", "type": "stuck", "inputs": {"value": 1}}]}), json!({})).await;
    server.until(stuck, |execution| execution.node_metrics["s"]["status"] == "running").await;
    let id = server.submit(number(), json!({})).await;
    // Taken under the engine's name, as if the answer had been lost on its way.
    let taken = server.store.start_executions(engine.id(), 8).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.execution.id).collect::<Vec<_>>(), [id]);
    server.store.cancel(TENANT, stuck).await.unwrap();
    assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed);
    assert_eq!(server.ended(stuck).await.status, ExecutionStatus::Cancelled);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_fails_again_and_again_is_told() {
    let server = Server::new().await;
    let restarts = Restarts { limit: 3, pause: Duration::from_millis(1), ..Restarts::default() };
    let faults = Faults::new(|point| assert_ne!(point, "engine.heartbeat", "no heart"));
    let engine = Engine::start(server.parts.clone(), EngineConfig { restarts, ..quick(faults) }).await.unwrap();
    let reason = engine.failed().await;
    assert!(reason.starts_with("heartbeat panicked"), "{reason}");
    let health = engine.health();
    assert!(!health.alive && health.failed.as_deref() == Some(reason.as_str()), "{health:?}");
    engine.shutdown().await;
}

/// A point at which the engine stands as long as this lives.
struct Gate {
    reached: Receiver<()>,
    _open: Sender<()>,
}

impl Gate {
    fn at(point: &'static str) -> (impl Fn(&str) + Send + Sync, Self) {
        let ((tell, reached), (open, opened)) = (channel(), channel::<()>());
        let opened = Mutex::new(opened);
        let hook = move |here: &str| {
            if here == point {
                tell.send(()).ok();
                opened.lock().unwrap().recv().ok();
            }
        };
        (hook, Self { reached, _open: open })
    }

    fn reached(&self) {
        tokio::task::block_in_place(|| self.reached.recv()).expect("the engine comes by");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_heart_beats_while_looks_wait() {
    let server = Server::new().await;
    let (hook, gate) = Gate::at("engine.watch");
    let (tell, mut beats) = tokio::sync::mpsc::unbounded_channel();
    let faults = Faults::new(move |point| match point {
        "engine.heartbeat" => drop(tell.send(())),
        _ => hook(point),
    });
    let engine = Engine::start(server.parts.clone(), quick(faults)).await.unwrap();
    gate.reached();
    while beats.try_recv().is_ok() {}
    for _ in 0..3 {
        beats.recv().await.unwrap();
    }
    drop(gate);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn retries_do_not_wait_for_what_is_deleted() {
    let server = Server::new().await;
    let (hook, gate) = Gate::at("engine.retention");
    let engine = Engine::start(server.parts.clone(), quick(Faults::new(hook))).await.unwrap();
    gate.reached();
    let id = server.submit(definition(), json!({"image_url": "https://example.com/a.png"})).await;
    server.until(id, |execution| execution.jobs.pending == 1).await;
    let failure = JobFailure {
        lease: server.claim().await[0].lease(),
        class: FailureClass::Transient,
        code: "E-TEST".into(),
        message: "a cable was loose".into(),
        batch_size: 1,
        hold_ms: None,
    };
    let mut signals = server.store.subscribe();
    server.store.fail_jobs(server.worker, vec![failure]).await.unwrap();
    server.clock.advance(1_000);
    while server.work().await == 0 {
        signals.recv().await.ok();
    }
    assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed);
    drop(gate);
    engine.shutdown().await;
}

#[tokio::test]
async fn the_collector_goes_on_until_nothing_is_left() {
    let server = Server::new().await;
    let stored_at = server.store.now();
    let mut blobs = Vec::new();
    for n in 0..600_u32 {
        let digest = server.parts.blobs.put(n.to_le_bytes().to_vec().into()).await.unwrap();
        blobs.push(NewBlob { digest, size: 4, media_type: "image/png".into(), width: None, height: None, stored_at });
    }
    let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
    let id = server.submit_with(blobs).await;
    server.store.cancel(TENANT, id).await.unwrap();
    server.store.delete_execution(TENANT, id).await.unwrap();
    server.clock.advance(SECOND_LOOK_MS);
    let round = Arc::new(Notify::new());
    let ended = Arc::clone(&round);
    let faults = Faults::new(move |point| {
        if point == "engine.retained" {
            ended.notify_one();
        }
    });
    let engine = Engine::start(server.parts.clone(), quick(faults)).await.unwrap();
    round.notified().await;
    for digest in digests {
        assert!(!server.parts.blobs.exists(&digest).await.unwrap(), "{digest} is left after the first round");
    }
    assert_eq!(server.store.condemn_blobs(1).await.unwrap(), []);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_blob_that_cannot_be_deleted_ends_its_run() {
    let server = Server::new().await;
    let url = "https://example.com/a.png";
    let picture = digest_of(&server.parts.fetcher.fetch(url).await.unwrap());
    // Marked by a collector that never comes to deleting it.
    server.store.condemn_unknown(vec![picture]).await.unwrap();
    let faults = Faults::new(|point| assert_ne!(point, "engine.retention", "no collector"));
    let restarts = Restarts { limit: u32::MAX, ..Restarts::default() };
    let engine = Engine::start(server.parts.clone(), EngineConfig { restarts, ..quick(faults) }).await.unwrap();
    let id = server.submit(definition(), json!({"image_url": url})).await;
    let error = server.ended(id).await.error.unwrap();
    assert_eq!((error.code.as_str(), error.node_id.as_deref()), ("E-INTERNAL", Some("photo")), "{error}");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_wide_run_tells_its_progress() {
    let server = Server::new().await;
    let engine = Engine::start(server.parts.clone(), quick(Faults::default())).await.unwrap();
    // As many nodes as there may be, with ids as long as they may be.
    let node = |n: usize| json!({"id": format!("n{n:099}"), "type": "detection", "config": {"model_id": "finder"}, "inputs": {"image": "$nodes.photo.image"}});
    let mut nodes: Vec<Value> = (1..500).map(node).collect();
    nodes.push(json!({"id": "photo", "type": "image_input"}));
    let id = server.submit(json!({"nodes": nodes}), json!({"image_url": "https://example.com/a.png"})).await;
    let execution = server.until(id, |execution| execution.progress["running_nodes"] == 499).await;
    assert_eq!(execution.progress["running"].as_array().map(Vec::len), Some(64));
    let (mut told, mut after) = (false, 0);
    while !told {
        let events = server.store.events_after(TENANT, id, after, 1000).await.unwrap();
        after = events.last().expect("an event that tells the progress").seq;
        told = events.iter().any(|event| event.kind == "execution.progress" && event.payload == execution.progress);
    }
    server.store.cancel(TENANT, id).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heart_beats_while_walks_keep_ending() {
    let server = Server::new().await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(server.submit(number(), json!({})).await);
    }
    // Counts heartbeats by the number of ends that came before them.
    let (ends, beats) = (AtomicU32::new(0), Arc::new(Mutex::new(HashMap::<u32, u32>::new())));
    let counted = Arc::clone(&beats);
    let faults = Faults::new(move |point| match point {
        "engine.finish" => {
            ends.fetch_add(1, Ordering::SeqCst);
        }
        "engine.heartbeat" => *counted.lock().unwrap().entry(ends.load(Ordering::SeqCst)).or_default() += 1,
        _ => {}
    });
    let config = EngineConfig { heartbeat: Duration::from_millis(2), max_running: 4, ..quick(faults) };
    let engine = Engine::start(server.parts.clone(), config).await.unwrap();
    for id in ids {
        assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed);
    }
    let between: u32 = beats.lock().unwrap().iter().filter(|(ends, _)| (1..300).contains(*ends)).map(|(_, n)| n).sum();
    assert!(between >= 3, "{between} heartbeats while 300 executions ended");
    engine.shutdown().await;
}

#[tokio::test]
async fn an_upgrade_goes_on_with_what_was_running() {
    let server = Server::new().await;
    let definition = json!({"nodes": [{"id": "s", "type": "stuck", "timeout_ms": 300, "on_error": "continue", "inputs": {"value": 1}}]});
    // What the second engine has installed; how the execution ends.
    let cases = [
        (semver::Version::new(0, 2, 0), [8; 32], ExecutionStatus::Completed, Some(("0.1.0", "0.2.0"))),
        (semver::Version::new(1, 0, 0), [9; 32], ExecutionStatus::Failed, None),
    ];
    for (version, digest, status, repinned) in cases {
        let first = server.engine().await;
        let id = server.submit(definition.clone(), json!({})).await;
        server.until(id, |execution| execution.node_metrics["s"]["status"] == "running").await;
        assert!(server.store.execution(TENANT, id).await.unwrap().pins["blocks"]["stuck"].is_object());
        first.shutdown().await;
        let mut parts = server.parts.clone();
        parts.plans = server.plans_of(package("sightflow/test", version, Digest::from_bytes(digest))).1;
        let second = Engine::start(parts, EngineConfig::default()).await.unwrap();
        let execution = server.ended(id).await;
        assert_eq!(execution.status, status, "{:?}", execution.error);
        let events = server.store.events_after(TENANT, id, 0, 1000).await.unwrap();
        let told = events.iter().find(|event| event.kind == "execution.repinned");
        let told = told.map(|event| {
            let version = |key: &str| event.payload[key]["version"].as_str().unwrap_or_default().to_owned();
            assert_eq!(event.payload["block"], "stuck");
            (version("from"), version("to"))
        });
        assert_eq!(told, repinned.map(|(from, to)| (from.to_owned(), to.to_owned())));
        if status == ExecutionStatus::Completed {
            assert_eq!(execution.pins["blocks"]["stuck"]["digest"], json!(Digest::from_bytes(digest)));
        }
        second.shutdown().await;
    }
}
