//! Stops and panics of the worker itself.

use futures::FutureExt;
use sightflow_types::JobStatus;

use crate::fleet::{Fleet, Gate, Reached, once};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_hands_back_what_was_only_claimed() {
    // Claimed and not looked at yet; and waiting for the model.
    for point in ["worker.slot", "worker.load"] {
        let fleet = Fleet::new().await;
        let (faults, gate) = Gate::at(point);
        let worker = fleet.worker(faults).await;
        let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
        gate.reached();
        let mut stopping = Box::pin(worker.shutdown());
        assert!(stopping.as_mut().now_or_never().is_none(), "it was told, and the slot stands at the gate");
        // A load goes on by itself, and nobody waits for it.
        if point == "worker.slot" {
            gate.open();
        }
        stopping.await;
        gate.open();
        let job = fleet.job(jobs[0]).await;
        assert_eq!((job.status, job.attempt), (JobStatus::Queued, 0), "{point}");
        // Nothing was lost: the next worker runs it, as its first attempt.
        let next = fleet.worker(sightflow_worker::Faults::default()).await;
        fleet.all_completed(&jobs).await;
        next.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_waits_for_what_computes() {
    let fleet = Fleet::new().await;
    let (faults, gate) = Gate::at("worker.compute");
    let worker = fleet.worker(faults).await;
    let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
    gate.reached();
    let mut stopping = Box::pin(worker.shutdown());
    assert!(stopping.as_mut().now_or_never().is_none(), "it was told, and computes");
    gate.open();
    stopping.await;
    fleet.all_completed(&jobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_in_a_loop_stops_nothing() {
    for point in ["worker.slot", "worker.news", "worker.heartbeat"] {
        let fleet = Fleet::new().await;
        let (faults, reached) = Reached::after(once(point));
        let worker = fleet.worker(faults).await;
        // Where it panics it has not been: the loop comes by again.
        loop {
            let (_, jobs) = fleet.enqueue("finder", fleet.model, 1).await;
            fleet.all_completed(&jobs).await;
            if reached.was(point) {
                break;
            }
        }
        assert_eq!(worker.health().failed, None, "{point}");
        worker.shutdown().await;
    }
}
