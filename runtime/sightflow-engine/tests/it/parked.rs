//! Executions that only wait: they take no place, and lose nothing but pixels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sightflow_engine::{EngineConfig, Faults, Restarts};
use sightflow_store::Store;
use sightflow_types::{ExecutionId, ExecutionStatus};

use crate::fleet::{Mortal, Parked, parking};
use crate::loops::{PHOTO, finding, input};
use crate::server::{Server, TENANT, definition};

fn logic() -> Value {
    json!({"nodes": [{"id": "n", "type": "number", "config": {"is": 3}}]})
}

async fn waiting(server: &Server, count: usize) -> Vec<ExecutionId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(server.submit(definition(), json!({"image_url": PHOTO})).await);
    }
    ids
}

async fn all_complete(server: &Server, ids: &[ExecutionId]) {
    for &id in ids {
        let execution = server.ended(id).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
        assert_eq!(execution.outputs.expect("outputs")["count"], 50, "as `confidence` is by default");
        let jobs = server.jobs_of(id).await;
        assert_eq!(jobs.iter().map(|job| job.attempt).collect::<Vec<_>>(), [1], "one job, run once");
    }
}

#[tokio::test]
async fn those_that_wait_keep_nobody_waiting() {
    let server = Server::new().await;
    let parked = Arc::new(Parked::default());
    let engine = server.engine_with(parking(&parked)).await;
    let ids = waiting(&server, 300).await;
    parked.reached(300).await;
    let began = Instant::now();
    let id = server.submit(logic(), json!({})).await;
    assert_eq!(server.ended(id).await.status, ExecutionStatus::Completed);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    server.answer_all(300).await;
    all_complete(&server, &ids).await;
    assert!(server.store.leases_of(engine.id()).await.unwrap().is_empty());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_parked_run_can_be_cancelled() {
    let server = Server::new().await;
    let parked = Arc::new(Parked::default());
    let engine = server.engine_with(parking(&parked)).await;
    let ids = waiting(&server, 3).await;
    parked.reached(3).await;
    server.store.cancel(TENANT, ids[1]).await.unwrap();
    assert_eq!(server.ended(ids[1]).await.status, ExecutionStatus::Cancelled);
    server.answer_all(2).await;
    all_complete(&server, &[ids[0], ids[2]]).await;
    assert_eq!(server.events(ids[1]).await.last().map(String::as_str), Some("execution.cancelled"));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_parked_run_ends_when_its_time_is_over() {
    // Small values, and large ones that are let go while there is time.
    for (bytes, seconds) in [(10, 1), (400 << 10, 1), (400 << 10, 7)] {
        let server = Server::new().await;
        let parked = Arc::new(Parked::default());
        let engine = server.engine_with(parking(&parked)).await;
        let mut definition = finding(json!({}), json!({}));
        large(&mut definition, bytes);
        let began = Instant::now();
        let id = server.submit_for(seconds, definition, input(json!([1, 2]))).await;
        parked.reached(1).await;
        let execution = server.ended(id).await;
        let after = began.elapsed().as_millis();
        let limit = 1_000 * u128::from(seconds);
        assert!((limit..limit + 1_000).contains(&after), "{bytes}: it ended after {after} ms, not {limit}");
        let error = execution.error.expect("an error");
        assert_eq!((execution.status, error.code.as_str()), (ExecutionStatus::Failed, "E-TIMEOUT"));
        let kept = json!({"counts": null, "errors": null, "late": null, "width": 8});
        assert_eq!(execution.outputs, Some(kept), "what resolved is kept");
        let walks = server.host.calls.lock().unwrap()["text"];
        assert_eq!(walks, if seconds > 5 { 2 } else { 1 }, "{bytes} bytes, {seconds} s");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_node_of_a_parked_run_has_its_limit() {
    // Small values and large ones: measured time is not begun anew.
    for bytes in [10, 400 << 10] {
        let server = Server::new().await;
        let parked = Arc::new(Parked::default());
        let engine = server.engine_with(parking(&parked)).await;
        let mut definition = finding(json!({"on_error": "skip"}), json!({"timeout_ms": 700}));
        large(&mut definition, bytes);
        let began = Instant::now();
        let id = server.submit_for(20, definition, input(json!([1]))).await;
        parked.reached(1).await;
        let execution = server.ended(id).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
        assert_eq!(execution.outputs.expect("outputs")["errors"][0]["code"], "E-TIMEOUT");
        assert!(began.elapsed() < Duration::from_secs(3), "{bytes}: {:?}", began.elapsed());
        engine.shutdown().await;
    }
}

/// Adds a large value that is needed after the loop.
fn large(definition: &mut Value, bytes: usize) {
    let nodes = definition["nodes"].as_array_mut().expect("nodes");
    nodes.push(json!({"id": "text", "type": "echo", "inputs": {"value": 1}, "config": {"text": "x".repeat(bytes)}}));
    nodes.push(
        json!({"id": "late", "type": "echo", "inputs": {"value": "$nodes.c.results", "extra": "$nodes.text.value"}}),
    );
    let outputs = definition["outputs"].as_array_mut().expect("outputs");
    outputs.push(json!({"name": "late", "source": "$nodes.late.value"}));
}

#[tokio::test]
async fn large_values_are_made_again() {
    let server = Server::new().await;
    let parked = Arc::new(Parked::default());
    let engine = server.engine_with(parking(&parked)).await;
    let mut definition = finding(json!({}), json!({}));
    large(&mut definition, 400 << 10);
    let id = server.submit(definition, input(json!([3, 1, 2]))).await;
    for count in 1..=3 {
        parked.reached(count).await;
        server.answer_all(1).await;
        server.until(id, |execution| execution.jobs.completed == count as u32).await;
    }
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    let outputs = execution.outputs.expect("outputs");
    assert_eq!((outputs["counts"].clone(), outputs["late"].clone()), (json!([3, 1, 2]), json!([3, 1, 2])));
    let calls = server.host.calls.lock().unwrap().clone();
    assert!(calls["text"] >= 2 && calls["late"] == 1, "{calls:?}");
    let jobs = server.jobs_of(id).await;
    assert_eq!(jobs.iter().map(|job| job.attempt).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(execution.resume_count, 0, "nobody had to take it over");
    engine.shutdown().await;
}

#[tokio::test]
async fn pixels_are_made_again() {
    let wire = |source: &str, output: &str, target: &str, port: &str| json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": port});
    let definition = json!({
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "p", "type": "paint", "config": {"width": 9}},
                  {"id": "find", "type": "detection", "config": {"model_id": "finder"}}, {"id": "draw", "type": "draw_boxes"}],
        "edges": [wire("photo", "image", "find", "image"), wire("p", "image", "draw", "image"), wire("find", "detections", "draw", "detections")],
        "outputs": [{"name": "drawn", "source": "$nodes.draw.image"}],
    });
    let mut drawn = Vec::new();
    for grace in [Duration::from_secs(60), Duration::from_millis(1)] {
        let server = Server::new().await;
        let parked = Arc::new(Parked::default());
        let engine = server.engine_with(EngineConfig { grace, ..parking(&parked) }).await;
        let id = server.submit(definition.clone(), json!({"image_url": PHOTO})).await;
        server.pending(id, 1).await;
        let parks = grace < Duration::from_secs(1);
        if parks {
            parked.reached(1).await;
        }
        assert_eq!(server.host.painted.alive(), usize::from(!parks), "pixels of a run that waits");
        server.answer_all(1).await;
        let execution = server.ended(id).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
        drawn.push(execution.outputs.expect("outputs")["drawn"]["$image"].clone());
        let calls = server.host.calls.lock().unwrap().clone();
        assert_eq!((calls["p"], calls.get("paint").copied()), (1, Some(1).filter(|_| parks)), "{calls:?}");
        engine.shutdown().await;
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_eq!(drawn[0]["width"], 9);
}

#[tokio::test]
async fn a_lost_wake_up_is_found() {
    let server = Server::new().await;
    let parked = Arc::new(Parked::default());
    let counted = parked.faults();
    let deaf = Arc::new(AtomicBool::new(false));
    let deafened = Arc::clone(&deaf);
    // From then on the engine hears nothing, and what would hear again comes much later.
    let faults = Faults::new(move |point| {
        assert!(point != "engine.listen" || !deafened.load(Ordering::SeqCst), "deaf");
        counted.at(point);
    });
    let restarts = Restarts { pause: Duration::from_secs(3_600), ..Restarts::default() };
    let config = EngineConfig { faults, restarts, heartbeat: Duration::from_millis(20), ..parking(&parked) };
    let engine = server.engine_with(config).await;
    let ids = waiting(&server, 5).await;
    let mut definition = finding(json!({}), json!({}));
    large(&mut definition, 400 << 10);
    let cold = server.submit(definition, input(json!([1]))).await;
    parked.reached(6).await;
    // Looks that find nothing walk nothing again, once it is parked.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let walks = || (parked.count(), server.host.calls.lock().unwrap()["text"]);
    let before = walks();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(walks(), before);
    deaf.store(true, Ordering::SeqCst);
    server.answer_all(6).await;
    all_complete(&server, &ids).await;
    assert_eq!(server.ended(cold).await.status, ExecutionStatus::Completed);
    assert_eq!(walks().1, before.1 + 1);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_engine_goes_on_with_what_was_parked() {
    for killed in [false, true] {
        let server = Server::new().await;
        let parked = Arc::new(Parked::default());
        let first = Mortal::start(&server, parking(&parked)).await;
        let ids = waiting(&server, 20).await;
        parked.reached(20).await;
        server.answer_all(5).await;
        match killed {
            true => {
                first.kill();
                server.silence().await;
            }
            false => first.stop().await,
        }
        let again = Arc::new(Parked::default());
        let second = server.engine_with(EngineConfig { heartbeat: Duration::from_millis(20), ..parking(&again) }).await;
        server.answer_all(15).await;
        all_complete(&server, &ids).await;
        assert!(parked.count() >= 20);
        second.shutdown().await;
    }
}
