//! Whoever writes under a lease names its token; under an old one nothing happens, whatever the operation.

use serde_json::json;
use sightflow_store::{
    Append, ClaimedJob, EffectEnd, ExecutionLease, FailureClass, JobFailure, JobLease, JobResult, NewEffect, NewEvent,
    SharedStore, StoreError,
};
use sightflow_types::WorkerId;

use crate::harness::{Backend, World, claim_of, completed, failure_of, new_job, result_of};

/// Operations of [`sightflow_store::Store`] that take leases; [`every_operation_is_here`] compares this with the trait.
const ON_EXECUTIONS: &[&str] =
    &["hand_back", "give_up", "append_events", "begin_effect", "end_effect", "enqueue_jobs", "finish"];
const ON_JOBS: &[&str] = &["begin_jobs", "complete_jobs", "complete_and_claim", "fail_jobs", "release_jobs"];
const READS: &[&str] = &["lost_leases"];

async fn on_execution(store: &SharedStore, operation: &str, lease: ExecutionLease) -> Result<(), StoreError> {
    match operation {
        "hand_back" => store.hand_back(lease).await,
        "give_up" => store.give_up(lease).await,
        "append_events" => {
            let event = NewEvent { kind: "node.completed".into(), payload: json!({}) };
            store.append_events(lease, Append { events: vec![event], ..Append::default() }).await
        }
        "begin_effect" => store.begin_effect(lease, call()).await.map(drop),
        "end_effect" => store.end_effect(lease, "ask", "", EffectEnd::Done(json!({}))).await,
        "enqueue_jobs" => store.enqueue_jobs(lease, vec![new_job("new")]).await.map(drop),
        "finish" => store.finish(lease, completed()).await,
        other => panic!("how is `{other}` called?"),
    }
}

fn call() -> NewEffect {
    NewEffect { node_id: "ask".into(), item_path: String::new(), repeatable: true }
}

/// How many jobs it was done to.
async fn on_job(store: &SharedStore, operation: &str, worker: WorkerId, job: &ClaimedJob, lease: JobLease) -> usize {
    let result = JobResult { lease, ..result_of(job) };
    match operation {
        "begin_jobs" => store.begin_jobs(worker, vec![lease]).await.expect(operation).len(),
        "complete_jobs" => store.complete_jobs(worker, vec![result]).await.expect(operation).len(),
        "complete_and_claim" => {
            let none = sightflow_store::ClaimRequest { model_id: "other".into(), ..claim_of(1) };
            store.complete_and_claim(worker, vec![result], none).await.expect(operation).0.len()
        }
        "fail_jobs" => {
            let failure = JobFailure { lease, ..failure_of(job, FailureClass::Poison) };
            store.fail_jobs(worker, vec![failure]).await.expect(operation).len()
        }
        "release_jobs" => store.release_jobs(worker, vec![lease]).await.expect(operation).len(),
        other => panic!("how is `{other}` called?"),
    }
}

/// Everything that such an operation could change.
async fn written<B: Backend>(world: &World<B>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for sql in [
        "SELECT status || ' ' || lease_token || ' ' || event_seq || ' ' || resume_count || ' ' || updated_at FROM wf_executions ORDER BY id",
        "SELECT status || ' ' || lease_token || ' ' || attempt || ' ' || updated_at FROM wf_inference_jobs ORDER BY id",
        "SELECT kind FROM wf_execution_events ORDER BY execution_id, seq",
        "SELECT state || ' ' || attempt || ' ' || lease_token FROM wf_effects ORDER BY id",
        "SELECT execution_id FROM wf_execution_leases ORDER BY 1",
        "SELECT execution_id FROM wf_ready_executions ORDER BY 1",
        "SELECT job_id || ' ' || lease_token || ' ' || coalesce(deadline_at, 0) FROM wf_job_leases ORDER BY 1",
        "SELECT job_id FROM wf_ready_jobs ORDER BY 1",
    ] {
        all.push(world.backend.column(sql).await);
    }
    all
}

pub(crate) async fn an_old_lease_of_an_execution_writes_nothing<B: Backend>(world: &mut World<B>) {
    for operation in ON_EXECUTIONS {
        // Another engine has it by now.
        let (old, _) = world.with_jobs(1).await;
        world.store.begin_effect(old, call()).await.expect("begun");
        world.clock.advance(15_000);
        world.store.rescue().await.expect("declare gone");
        let engine = world.engine().await;
        let new = world.store.take_over(engine, 10).await.expect("take over").remove(0).lease();
        assert_eq!(new.execution_id, old.execution_id);
        let before = written(world).await;
        let refused = on_execution(&world.store, operation, old).await;
        assert!(matches!(refused, Err(StoreError::StaleLease)), "{operation}: {refused:?}");
        assert_eq!(written(world).await, before, "{operation}");
        on_execution(&world.store, operation, new).await.expect("its holder may");
        assert_ne!(written(world).await, before, "{operation}");
        world.store.cancel(crate::harness::TENANT, new.execution_id).await.ok();
    }
}

pub(crate) async fn an_old_lease_of_a_job_writes_nothing<B: Backend>(world: &mut World<B>) {
    for operation in ON_JOBS {
        let (execution, _) = world.with_jobs(1).await;
        let worker = world.worker().await;
        let waiting = sightflow_store::ClaimRequest { begin: false, ..claim_of(1) };
        let old = world.store.claim_jobs(worker, waiting.clone()).await.expect("claim").remove(0);
        // It comes back to the same worker: only the token tells.
        world.store.release_jobs(worker, vec![old.lease()]).await.expect("release");
        let new = world.store.claim_jobs(worker, waiting).await.expect("claim").remove(0);
        assert_ne!(new.lease(), old.lease());
        let before = written(world).await;
        assert_eq!(on_job(&world.store, operation, worker, &new, old.lease()).await, 0, "{operation}");
        assert_eq!(written(world).await, before, "{operation}");
        // Nor under another's name.
        let other = world.worker().await;
        assert_eq!(on_job(&world.store, operation, other, &new, new.lease()).await, 0, "{operation}");
        assert_eq!(written(world).await, before, "{operation}");
        assert_eq!(on_job(&world.store, operation, worker, &new, new.lease()).await, 1, "{operation}");
        assert_ne!(written(world).await, before, "{operation}");
        world.store.cancel(crate::harness::TENANT, execution.execution_id).await.ok();
    }
}

/// A new operation that takes a lease has to be added above.
#[test]
fn every_operation_is_here() {
    let text = include_str!("../../src/store.rs");
    let text = text.split("pub trait Store").nth(1).expect("the trait");
    let leased: Vec<&str> = text
        .split("fn ")
        .skip(1)
        .map(|function| function.split(';').next().unwrap_or_default())
        .map(|function| function.split_once("->").map_or(function, |(parameters, _)| parameters))
        .filter(|function| ["Lease", "JobResult", "JobFailure"].iter().any(|lease| function.contains(lease)))
        .filter_map(|function| function.split('(').next())
        .collect();
    assert!(leased.iter().all(|name| [ON_EXECUTIONS, ON_JOBS, READS].concat().contains(name)), "{leased:?}");
    assert_eq!(leased.len(), ON_EXECUTIONS.len() + ON_JOBS.len() + READS.len());
}
