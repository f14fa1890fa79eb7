//! What becomes of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use sightflow_store::ClaimRequest;
use sightflow_types::error::code;
use sightflow_types::{Digest, JobStatus};
use sightflow_worker::Faults;

use crate::fleet::{Fleet, Gate, Reached, once};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_run_and_say_how() {
    let fleet = Fleet::new().await;
    let worker = fleet.worker(Faults::default()).await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 5).await;
    fleet.all_completed(&jobs).await;
    let job = fleet.job(jobs[0]).await;
    assert_eq!(job.metadata["model_digest"], json!(fleet.model));
    let health = worker.health();
    assert_eq!((health.alive, health.failed), (true, None));
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_that_fails_as_a_whole_is_split() {
    let fleet = Fleet::new().await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 4).await;
    // The first computation is that of all four; its panic is none of theirs.
    let worker = fleet.worker(once("worker.compute")).await;
    fleet.all_completed(&jobs).await;
    let mut sizes = Vec::new();
    for id in jobs {
        sizes.push(fleet.job(id).await.batch_size);
    }
    assert_eq!(sizes, [Some(2); 4]);
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_of_one_job_alone_fails_it_and_the_slot_goes_on() {
    let fleet = Fleet::new().await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
    let worker = fleet.worker(once("worker.compute")).await;
    let job = fleet.ended(jobs[0]).await;
    assert_eq!((job.status, job.error_code.as_deref()), (JobStatus::Failed, Some(code::JOB_FAILED)));
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 2).await;
    fleet.all_completed(&jobs).await;
    worker.shutdown().await;
}

/// An execution keeps the weights that it started with, or fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_model_is_never_replaced_by_another() {
    let fleet = Fleet::new().await;
    let (_, old) = fleet.enqueue("finder", fleet.model, 2).await;
    // The same network with a note in it (field 6 of the file, `doc_string`): it runs, and is another file.
    let mut bytes = fleet.blobs.get(&fleet.model).await.unwrap().to_vec();
    bytes.extend(b"\x32\x04note");
    let replacement = fleet.blobs.put(Bytes::from(bytes)).await.unwrap();
    let spec = fleet.store.model(crate::fleet::TENANT, "finder").await.unwrap().spec;
    fleet.register("finder", replacement, spec).await;
    let (_, new) = fleet.enqueue("finder", replacement, 2).await;
    let (_, foreign) = fleet.enqueue("finder", Digest::from_bytes([1; 32]), 1).await;
    let worker = fleet.worker(Faults::default()).await;
    for id in old.into_iter().chain(foreign) {
        let job = fleet.ended(id).await;
        assert_eq!((job.status, job.error_code.as_deref()), (JobStatus::Failed, Some(code::MODEL_UNAVAILABLE)));
        assert!(job.error_message.unwrap().contains("not those that the execution started with"));
        assert_eq!(job.result, None);
    }
    fleet.all_completed(&new).await;
    for id in new {
        assert_eq!(fleet.job(id).await.metadata["model_digest"], json!(replacement));
    }
    worker.shutdown().await;
}

/// Loading, decoding and inference block for long: on an async thread they would stop everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_computes_does_so_on_the_compute_thread() {
    let fleet = Fleet::new().await;
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let record = Arc::clone(&seen);
    let worker = fleet
        .worker(Faults::new(move |point| {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            let is_async = tokio::runtime::Handle::try_current().is_ok();
            record.lock().unwrap().entry(point).or_insert_with(BTreeSet::new).insert((name, is_async));
        }))
        .await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 3).await;
    fleet.all_completed(&jobs).await;
    worker.shutdown().await;
    let seen = seen.lock().unwrap();
    for point in ["worker.load", "worker.decode", "worker.compute", "worker.computed"] {
        assert_eq!(seen.get(point), Some(&BTreeSet::from([("compute-0".to_owned(), false)])), "{point}");
    }
    // The question can be answered with yes.
    assert!(seen["worker.slot"].iter().all(|(_, is_async)| *is_async), "{:?}", seen["worker.slot"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_can_never_run_fails_its_jobs_at_once() {
    let fleet = Fleet::new().await;
    let broken = fleet.blobs.put(Bytes::from_static(b"version https://git-lfs.github.com/spec/v1\n")).await.unwrap();
    let spec = fleet.store.model(crate::fleet::TENANT, "finder").await.unwrap().spec;
    fleet.register("broken", broken, spec).await;
    let worker = fleet.worker(Faults::default()).await;
    let (_, jobs) = fleet.enqueue("broken", broken, 2).await;
    for id in jobs {
        let job = fleet.ended(id).await;
        assert_eq!((job.status, job.error_code.as_deref()), (JobStatus::Failed, Some(code::MODEL_UNAVAILABLE)));
        assert!(job.error_message.unwrap().contains("does not load"));
    }
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_reaches_the_computation_and_frees_its_slot() {
    let fleet = Fleet::new().await;
    let (faults, gate) = Gate::at("worker.compute");
    let (faults, reached) = Reached::after(faults);
    let worker = fleet.worker(faults).await;
    let (lease, cancelled) = fleet.enqueue("finder", fleet.model, 1).await;
    gate.reached();
    fleet.store.cancel(crate::fleet::TENANT, lease.execution_id).await.unwrap();
    reached.next_of(&["worker.cancelled"]);
    gate.open();
    assert_eq!(reached.next_of(&["worker.computed", "worker.stopped"]), "worker.stopped");
    let (_, next) = fleet.enqueue("finder", fleet.model, 1).await;
    fleet.all_completed(&next).await;
    assert_eq!(reached.next_of(&["worker.computed", "worker.stopped"]), "worker.computed");
    assert_eq!(fleet.job(cancelled[0]).await.status, JobStatus::Cancelled);
    worker.shutdown().await;
}

/// A claim whose answer was lost is nobody's work, and has no deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_that_no_slot_knows_is_given_back() {
    let fleet = Fleet::new().await;
    let (faults, gate) = Gate::at("worker.slot");
    let worker = fleet.worker(faults).await;
    let (_, first) = fleet.enqueue("finder", fleet.model, 1).await;
    gate.reached();
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
    let request = ClaimRequest {
        model_id: "finder".into(),
        max_count: 1,
        pixel_budget: u64::MAX,
        capped_tenants: Vec::new(),
        begin: false,
    };
    // Taken under the worker's name, as if the answer had been lost on its way.
    let claimed = fleet.store.claim_jobs(worker.id(), request).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), jobs);
    gate.open();
    fleet.all_completed(&first).await;
    fleet.all_completed(&jobs).await;
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiting_for_a_model_is_no_attempt() {
    let fleet = Fleet::new().await;
    let (faults, gate) = Gate::at("worker.load");
    let worker = fleet.worker(faults).await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
    gate.reached();
    let waiting = fleet.job(jobs[0]).await;
    assert_eq!((waiting.status, waiting.attempt), (JobStatus::Running, 0));
    gate.open();
    fleet.all_completed(&jobs).await;
    worker.shutdown().await;
}
