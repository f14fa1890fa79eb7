//! Lost workers and engines: cases 30-35, 39-41.

use sightflow_store::{ExecutionLease, Heartbeat, RescuedJob, StoreError};
use sightflow_types::{ExecutionStatus, JobStatus, WorkerId};

use crate::harness::{Backend, TENANT, World, completed, new_job, result_of};

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
    assert_eq!((new.execution.resume_count, &new.definition), (1, &old.definition));
    assert!(matches!(world.store.append_events(old.lease(), Vec::new(), None).await, Err(StoreError::StaleLease)));
    assert!(matches!(world.store.finish(old.lease(), completed()).await, Err(StoreError::StaleLease)));
    assert!(matches!(world.store.set_pins(old.lease(), serde_json::json!({})).await, Err(StoreError::StaleLease)));
    assert!(matches!(world.store.hand_back(old.lease()).await, Err(StoreError::StaleLease)));
    assert_eq!(world.store.lost_leases(vec![old.lease(), new.lease()]).await.expect("lost"), [old.execution.id]);
    assert_eq!(world.kinds(new.lease()).await, ["execution.started", "execution.resumed"]);
    world.store.finish(new.lease(), completed()).await.expect("the new one may");
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

pub(crate) async fn deadlines_are_found<B: Backend>(world: &mut World<B>) {
    world.submit().await;
    let engine = world.engine().await;
    let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
    assert_eq!(run.execution.deadline_at, Some(world.store.now().plus_millis(300_000)));
    world.clock.advance(299_999);
    assert!(world.store.overdue_executions(engine, 10).await.expect("early").is_empty());
    world.clock.advance(1);
    let overdue: Vec<ExecutionLease> = world.store.overdue_executions(engine, 10).await.expect("overdue");
    assert_eq!(overdue, [run.lease()]);
    assert_eq!(world.store.execution(TENANT, run.execution.id).await.expect("get").status, ExecutionStatus::Running);
}
