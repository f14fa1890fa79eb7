//! Lost workers and engines: what they held is taken by others, and what they still say is stale.

use serde_json::json;
use sightflow_store::{
    Append, ClaimRequest, ClaimedJob, FailureClass, Heartbeat, JobFailure, JobLease, RescuedJob, StoreError,
};
use sightflow_types::{ExecutionStatus, JobStatus, WorkerId};

use crate::harness::{Backend, TENANT, World, claim_of, completed, failure_of, new_job, result_of};

fn beat(worker_id: WorkerId) -> Heartbeat {
    Heartbeat { worker_id, memory_free: None, models: None, holding: Vec::new() }
}

pub(crate) async fn silence_is_fifteen_seconds<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    world.claim(worker, 1).await;
    world.clock.advance(14_000);
    assert!(world.store.rescue().await.expect("early").is_empty());
    world.clock.advance(1_000);
    let rescued = world.store.rescue().await.expect("rescue");
    assert_eq!(rescued, [RescuedJob { job_id: jobs[0].id, status: JobStatus::Queued, code: "E-WORKER-LOST".into() }]);
    assert_eq!(world.job(&jobs[0]).await.attempt, 1);
}

pub(crate) async fn overdue_jobs_have_their_own_code<B: Backend>(world: &mut World<B>) {
    world.with_jobs(1).await;
    let worker = world.worker().await;
    world.claim(worker, 1).await;
    for _ in 0..6 {
        world.clock.advance(10_000);
        assert!(world.store.heartbeat(beat(worker)).await.expect("beat").alive);
    }
    let rescued = world.store.rescue().await.expect("rescue");
    assert_eq!(rescued.iter().map(|job| job.code.as_str()).collect::<Vec<_>>(), ["E-JOB-TIMEOUT"]);
}

pub(crate) async fn rescue_is_bounded<B: Backend>(world: &mut World<B>) {
    world.with_jobs(250).await;
    let worker = world.worker().await;
    world.claim(worker, 250).await;
    world.store.retire_worker(worker).await.expect("retire");
    assert_eq!(world.store.rescue().await.expect("first").len(), 200);
    world.check().await;
    assert_eq!(world.store.rescue().await.expect("second").len(), 50);
    assert!(world.store.rescue().await.expect("third").is_empty());
}

/// Whoever lost the answer to a claim learns of it with its signs of life.
pub(crate) async fn claims_that_have_not_begun_are_named<B: Backend>(world: &mut World<B>) {
    world.with_jobs(3).await;
    let (worker, other) = (world.worker().await, world.worker().await);
    let waiting = ClaimRequest { begin: false, ..claim_of(1) };
    let claimed = world.store.claim_jobs(worker, waiting.clone()).await.expect("claim").remove(0).lease();
    world.claim(worker, 1).await;
    world.store.claim_jobs(other, waiting).await.expect("another's");
    let named = async || world.store.heartbeat(beat(worker)).await.expect("beat").not_begun;
    assert_eq!(named().await, [claimed]);
    world.store.begin_jobs(worker, vec![claimed]).await.expect("begin");
    assert_eq!(named().await, []);
}

pub(crate) async fn gone_workers_are_told<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(2).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 2).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    let holding = vec![jobs[0].id, jobs[1].id];
    let answer = world.store.heartbeat(Heartbeat { holding: holding.clone(), ..beat(worker) }).await.expect("beat");
    assert_eq!((answer.alive, answer.lost), (true, vec![jobs[0].id]));
    world.clock.advance(15_000);
    world.store.rescue().await.expect("rescue");
    let answer = world.store.heartbeat(Heartbeat { holding: holding.clone(), ..beat(worker) }).await.expect("beat");
    assert_eq!((answer.alive, answer.lost), (false, holding));
    assert!(!world.store.heartbeat(beat(WorkerId::new())).await.expect("unknown").alive);
}

pub(crate) async fn late_results_are_stale<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    world.clock.advance(15_000);
    world.store.rescue().await.expect("rescue");
    assert!(world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("late").is_empty());
    let other = world.worker().await;
    let again = world.claim(other, 1).await;
    assert!(world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("later").is_empty());
    assert_eq!(world.store.complete_jobs(other, vec![result_of(&again[0])]).await.expect("valid"), [jobs[0].id]);
}

pub(crate) async fn a_suspect_runs_alone<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(8).await;
    for (attempt, max_batch) in [(1, Some(4)), (2, Some(1))] {
        let worker = world.worker().await;
        assert_eq!(world.claim(worker, 8).await.len(), 8);
        world.store.retire_worker(worker).await.expect("retire");
        world.store.rescue().await.expect("rescue");
        let job = world.job(&jobs[0]).await;
        assert_eq!((job.attempt, job.max_batch), (attempt, max_batch));
    }
    assert_eq!(world.job(&jobs[0]).await.metadata["suspect"], true);
}

pub(crate) async fn takeover_fences_the_old_engine<B: Backend>(world: &mut World<B>) {
    let old = world.running().await;
    world.clock.advance(15_000);
    world.store.rescue().await.expect("declare gone");
    let engine = world.engine().await;
    let new = world.store.take_over(engine, 10).await.expect("take over").remove(0);
    assert_eq!((new.execution.id, new.lease().token), (old.execution.id, old.lease().token + 1));
    assert_eq!((new.execution.resume_count, new.definition_digest), (1, old.definition_digest));
    assert!(matches!(world.store.append_events(old.lease(), Append::default()).await, Err(StoreError::StaleLease)));
    assert!(matches!(world.store.finish(old.lease(), completed()).await, Err(StoreError::StaleLease)));
    assert!(matches!(world.store.hand_back(old.lease()).await, Err(StoreError::StaleLease)));
    assert_eq!(world.store.lost_leases(vec![old.lease(), new.lease()]).await.expect("lost"), [old.execution.id]);
    assert_eq!(world.kinds(new.lease()).await, ["execution.started", "execution.resumed"]);
    assert_eq!(world.store.leases_of(engine).await.expect("leases"), [new.lease()]);
    world.store.finish(new.lease(), completed()).await.expect("the new one may");
    assert_eq!(world.store.leases_of(engine).await.expect("leases"), []);
}

pub(crate) async fn two_engines_one_takeover<B: Backend>(world: &mut World<B>) {
    world.running().await;
    world.clock.advance(15_000);
    world.store.rescue().await.expect("declare gone");
    let (one, two) = (world.engine().await, world.engine().await);
    let (first, second) = tokio::join!(world.store.take_over(one, 10), world.store.take_over(two, 10));
    assert_eq!(first.expect("one").len() + second.expect("two").len(), 1);
}

pub(crate) async fn ended_executions_are_not_taken_over<B: Backend>(world: &mut World<B>) {
    let run = world.running().await;
    world.store.finish(run.lease(), completed()).await.expect("finish");
    world.clock.advance(15_000);
    world.store.rescue().await.expect("declare gone");
    let engine = world.engine().await;
    assert!(world.store.take_over(engine, 10).await.expect("take over").is_empty());
}

pub(crate) async fn a_dead_process_is_taken_over_at_once<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    world.claim(worker, 1).await;
    world.reopen().await;
    let engine = world.engine().await;
    let resumed = world.store.take_over(engine, 10).await.expect("take over");
    assert_eq!(resumed.iter().map(|run| run.execution.id).collect::<Vec<_>>(), [lease.execution_id]);
    assert_eq!(world.store.rescue().await.expect("rescue").len(), 1);
    let same = world.store.enqueue_jobs(resumed[0].lease(), vec![new_job("0")]).await.expect("enqueue");
    assert_eq!((same[0].id, same[0].status), (jobs[0].id, JobStatus::Queued));
}

pub(crate) async fn handed_back_executions_resume<B: Backend>(world: &mut World<B>) {
    let run = world.running().await;
    world.store.hand_back(run.lease()).await.expect("hand back");
    assert!(matches!(world.store.hand_back(run.lease()).await, Err(StoreError::StaleLease)), "once");
    world.check().await;
    let engine = world.engine().await;
    let again = world.store.start_executions(engine, 10).await.expect("start").remove(0);
    assert_eq!((again.execution.status, again.execution.resume_count), (ExecutionStatus::Running, 1));
    assert_eq!((again.lease().token, again.execution.deadline_at), (2, run.execution.deadline_at));
    assert_eq!(world.kinds(run.lease()).await, ["execution.started", "execution.resumed"]);
}

/// What the execution's end says, and the events that led to it.
async fn end<B: Backend>(world: &World<B>, id: sightflow_types::ExecutionId) -> (ExecutionStatus, String, Vec<String>) {
    let ended = world.store.execution(TENANT, id).await.expect("get");
    let events = world.store.events_after(TENANT, id, 0, 1000).await.expect("events");
    let code = ended.error.map(|error| error.code).unwrap_or_default();
    (ended.status, code, events.into_iter().map(|event| event.kind).collect())
}

pub(crate) async fn time_runs_from_acceptance<B: Backend>(world: &mut World<B>) {
    let (accepted, engine) = (world.store.now(), world.engine().await);
    let (lease, jobs) = world.with_jobs(1).await;
    let running = lease.execution_id;
    world.clock.advance(1_000);
    let waiting = world.submit().await;
    assert_eq!(waiting.deadline_at, Some(accepted.plus_millis(301_000)));
    // Past the deadline of the one that runs: its engine has its time to end it.
    for (pass, expected) in [(299_000, vec![]), (9_999, vec![waiting.id]), (1, vec![running]), (1, vec![])] {
        world.clock.advance(pass);
        assert_eq!(world.store.expire_executions(10).await.expect("expire"), expected, "after {pass} ms");
    }
    let (status, code, events) = end(world, waiting.id).await;
    assert_eq!((status, code.as_str()), (ExecutionStatus::Failed, "E-TIMEOUT"));
    assert_eq!(events, ["execution.failed"]);
    let (status, code, events) = end(world, running).await;
    assert_eq!((status, code.as_str()), (ExecutionStatus::Failed, "E-TIMEOUT"));
    assert_eq!(events[2..], ["job.failed", "execution.failed"]);
    assert_eq!(world.job(&jobs[0]).await.error_code.as_deref(), Some("E-EXECUTION-ENDED"));
    assert!(
        matches!(world.store.finish(lease, completed()).await, Err(StoreError::StaleLease)),
        "its engine is fenced"
    );
    assert!(world.store.start_executions(engine, 10).await.expect("start").is_empty());
}

pub(crate) async fn a_crash_loop_ends<B: Backend>(world: &mut World<B>) {
    let first = world.running().await.lease();
    let id = first.execution_id;
    // Each engine is lost; one of them got a node further, which starts the count anew.
    for takeover in 1..=8 {
        world.clock.advance(15_000);
        world.store.rescue().await.expect("declare gone");
        let engine = world.engine().await;
        let taken = world.store.take_over(engine, 10).await.expect("take over");
        assert_eq!(taken.len(), 1, "takeover {takeover}");
        assert_eq!(taken[0].execution.resume_count, takeover);
        if takeover == 3 {
            let append = Append { progress: Some(json!({"completed_nodes": 1})), ..Append::default() };
            world.store.append_events(taken[0].lease(), append).await.expect("append");
        }
    }
    world.clock.advance(15_000);
    world.store.rescue().await.expect("declare gone");
    let engine = world.engine().await;
    assert!(world.store.take_over(engine, 10).await.expect("take over").is_empty());
    let (status, code, events) = end(world, id).await;
    assert_eq!((status, code.as_str()), (ExecutionStatus::Failed, "E-CRASH-LOOP"));
    assert_eq!(events.last().map(String::as_str), Some("execution.failed"));
}

/// An engine that lives but cannot go on gives up, again and again; one that stops hands back, which costs nothing.
pub(crate) async fn giving_up_again_and_again_ends<B: Backend>(world: &mut World<B>) {
    let engine = world.engine().await;
    let id = world.submit().await.id;
    for round in 0..8 {
        let run = world.store.start_executions(engine, 10).await.expect("start").remove(0);
        world.store.hand_back(run.lease()).await.expect("hand back");
        let run = world.store.start_executions(engine, 10).await.expect("start").remove(0);
        if round == 2 {
            let append = Append { progress: Some(json!({"completed_nodes": 1})), ..Append::default() };
            world.store.append_events(run.lease(), append).await.expect("append");
        }
        world.store.give_up(run.lease()).await.expect("give up");
        assert!(matches!(world.store.give_up(run.lease()).await, Err(StoreError::StaleLease)), "once");
        world.check().await;
        let found = world.store.execution(TENANT, id).await.expect("get").status;
        let expected = if round < 7 { ExecutionStatus::Running } else { ExecutionStatus::Failed };
        assert_eq!(found, expected, "round {round}");
    }
    let (status, code, events) = end(world, id).await;
    assert_eq!((status, code.as_str()), (ExecutionStatus::Failed, "E-CRASH-LOOP"));
    assert_eq!(events.last().map(String::as_str), Some("execution.failed"));
    assert!(world.store.start_executions(engine, 10).await.expect("start").is_empty());
}

/// Claimed, but its model is still loading: no deadline, no attempt, no suspicion.
pub(crate) async fn loading_costs_no_attempt<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(3).await;
    let loading = ClaimRequest { begin: false, ..claim_of(2) };
    let worker = world.worker().await;
    let claimed = world.store.claim_jobs(worker, loading.clone()).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| (job.job.attempt, job.deadline_at)).collect::<Vec<_>>(), [(0, None); 2]);
    for _ in 0..9 {
        world.clock.advance(14_000);
        world.store.heartbeat(beat(worker)).await.expect("beat");
        assert!(world.store.rescue().await.expect("rescue").is_empty(), "it loads for two minutes");
    }
    let leases: Vec<_> = claimed.iter().map(ClaimedJob::lease).collect();
    let stale = JobLease { token: leases[1].token - 1, ..leases[1] };
    assert_eq!(world.store.begin_jobs(worker, vec![leases[0], stale]).await.expect("begin"), [jobs[0].id]);
    assert_eq!(world.store.begin_jobs(worker, vec![leases[0]]).await.expect("again"), [jobs[0].id]);
    assert_eq!((world.job(&jobs[0]).await.attempt, world.job(&jobs[1]).await.attempt), (1, 0), "counted once");
    world.store.retire_worker(worker).await.expect("lost");
    assert_eq!(world.store.rescue().await.expect("rescue").len(), 2);
    let (begun, claimed) = (world.job(&jobs[0]).await, world.job(&jobs[1]).await);
    assert_eq!((begun.attempt, begun.max_batch, begun.metadata["suspect"].as_bool()), (1, Some(1), Some(true)));
    assert_eq!((claimed.attempt, claimed.max_batch, claimed.metadata["suspect"].as_bool()), (0, None, None));
    // The deadline runs from the beginning.
    let worker = world.worker().await;
    let again = world.store.claim_jobs(worker, loading).await.expect("claim");
    let leases: Vec<_> = again.iter().map(ClaimedJob::lease).collect();
    world.clock.advance(5_000);
    world.store.begin_jobs(worker, leases.clone()).await.expect("begin");
    let deadlines = "SELECT DISTINCT deadline_at FROM wf_job_leases";
    assert_eq!(world.count(deadlines).await, world.store.now().plus_millis(60_000).millis());
    assert_eq!(world.store.release_jobs(worker, leases).await.expect("release").len(), 2);
    assert_eq!(world.job(&jobs[1]).await.attempt, 0, "handed back, not counted");
    assert_eq!(world.kinds(lease).await.len(), 10);
}

/// Reports about jobs that never began count as an attempt of their own.
pub(crate) async fn reports_without_a_beginning_count<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(3).await;
    let worker = world.worker().await;
    let claimed = world.store.claim_jobs(worker, ClaimRequest { begin: false, ..claim_of(3) }).await.expect("claim");
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    let failures = vec![
        failure_of(&claimed[1], FailureClass::Transient),
        JobFailure { hold_ms: Some(5_000), ..failure_of(&claimed[2], FailureClass::Model) },
    ];
    world.store.fail_jobs(worker, failures).await.expect("fail");
    let mut attempts = Vec::new();
    for job in &jobs {
        attempts.push(world.job(job).await.attempt);
    }
    assert_eq!(attempts, [1, 1, 0]);
}
