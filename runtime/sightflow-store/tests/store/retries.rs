//! Failed attempts: what is tried again, when, how often, and whose fault it was.

use sightflow_store::{FailureClass, JobFailure, JobLease, ModelState, NewModel};
use sightflow_types::{JobStatus, ModelSource, Task};

use crate::harness::{Backend, TENANT, World, failure_of, new_job};

pub(crate) async fn a_retry_waits_for_its_time<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    let outcome = world
        .store
        .fail_jobs(worker, vec![failure_of(&claimed[0], FailureClass::Transient)])
        .await
        .expect("fail")
        .remove(0);
    let run_at = outcome.run_at.expect("again");
    assert_eq!((outcome.status, world.store.next_due().await.expect("due")), (JobStatus::Pending, Some(run_at)));
    let wait = run_at.millis_since(world.store.now());
    assert!((0..250).contains(&wait), "{wait}");
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.attempt, job.worker_id, job.error_code.as_deref()), (1, None, Some("E-TEST")));
    world.check().await;
    if wait > 0 {
        world.clock.advance(wait - 1);
        assert_eq!(world.store.promote_due(10).await.expect("early"), 0);
        world.clock.advance(1);
    }
    assert!(world.claim(worker, 1).await.is_empty());
    assert_eq!(world.store.promote_due(10).await.expect("due"), 1);
    assert_eq!(world.claim(worker, 1).await[0].job.attempt, 2);
    assert_eq!(world.kinds(lease).await[3..], ["job.retrying", "job.running"]);
}

/// Fails the only job over and over; the statuses it goes through.
async fn fail_until_it_ends<B: Backend>(
    world: &World<B>,
    failure: impl Fn(JobFailure) -> JobFailure,
    times: usize,
) -> Vec<JobStatus> {
    let worker = world.worker().await;
    let mut statuses = Vec::new();
    for _ in 0..times {
        let Some(claimed) = world.claim(worker, 1).await.pop() else {
            break;
        };
        let outcome = world
            .store
            .fail_jobs(worker, vec![failure(failure_of(&claimed, FailureClass::Transient))])
            .await
            .expect("fail")
            .remove(0);
        statuses.push(outcome.status);
        world.clock.advance(30_000);
        world
            .store
            .heartbeat(sightflow_store::Heartbeat {
                worker_id: worker,
                memory_free: None,
                models: None,
                holding: Vec::new(),
            })
            .await
            .expect("beat");
        world.store.promote_due(10).await.expect("promote");
    }
    statuses
}

pub(crate) async fn attempts_end<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(1).await;
    use JobStatus::{Failed, Pending};
    assert_eq!(fail_until_it_ends(world, |failure| failure, 9).await, [Pending, Pending, Pending, Failed]);
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.attempt, job.error_class), (4, Some(FailureClass::Transient)));
    assert_eq!(world.kinds(lease).await.last().map(String::as_str), Some("job.failed"));
    assert_eq!(world.store.execution(TENANT, lease.execution_id).await.expect("get").jobs.failed, 1);
}

pub(crate) async fn oom_in_a_batch_costs_nothing<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let in_batch = |failure| JobFailure { class: FailureClass::Oom, batch_size: 9, ..failure };
    assert_eq!(fail_until_it_ends(world, in_batch, 6).await, [JobStatus::Pending; 6], "never runs out of attempts");
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.attempt, job.max_batch, job.lease_token), (0, Some(4), 6));
}

pub(crate) async fn oom_alone_costs_an_attempt<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let alone = |failure| JobFailure { class: FailureClass::Oom, batch_size: 1, ..failure };
    assert_eq!(fail_until_it_ends(world, alone, 1).await, [JobStatus::Pending]);
    assert_eq!(world.job(&jobs[0]).await.attempt, 1);
}

pub(crate) async fn poison_fails_at_once<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(2).await;
    let long = "x".repeat(5000);
    let poison = |failure| JobFailure { class: FailureClass::Poison, message: long.clone(), ..failure };
    assert_eq!(fail_until_it_ends(world, poison, 1).await, [JobStatus::Failed]);
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.attempt, job.error_message.map(|text| text.len())), (1, Some(4000)));
    assert_eq!(world.job(&jobs[1]).await.status, JobStatus::Queued);
}

async fn register<B: Backend>(world: &World<B>) {
    let new = NewModel {
        id: "m".into(),
        tenant_id: TENANT,
        source: ModelSource::Pretrained,
        task: Task::Detection,
        name: "Model".into(),
        digest: None,
        size: None,
        format: "onnx".into(),
        spec: serde_json::json!({}),
    };
    assert_eq!(world.store.upsert_model(new).await.expect("model").state, ModelState::Available);
}

pub(crate) async fn a_broken_model_holds_its_jobs<B: Backend>(world: &mut World<B>) {
    register(world).await;
    let (lease, jobs) = world.with_jobs(3).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    let broken = JobFailure { hold_ms: Some(5000), ..failure_of(&claimed[0], FailureClass::Model) };
    world.store.fail_jobs(worker, vec![broken]).await.expect("fail");
    let until = world.store.now().plus_millis(5000);
    assert_eq!(world.store.model(TENANT, "m").await.expect("model").blocked_until, Some(until));
    let late = world.store.enqueue_jobs(lease, vec![new_job("late")]).await.expect("enqueue").remove(0);
    for job in jobs.iter().chain([&late]) {
        let job = world.job(job).await;
        assert_eq!((job.status, job.run_at, job.attempt), (JobStatus::Pending, Some(until), 0), "{}", job.item_path);
    }
    world.check().await;
    world.clock.advance(4999);
    assert_eq!(world.store.promote_due(10).await.expect("early"), 0);
    world.clock.advance(1);
    assert_eq!(world.store.promote_due(10).await.expect("due"), 4);
    assert_eq!(world.claim(worker, 9).await.len(), 4);
    assert_eq!(world.job(&jobs[0]).await.attempt, 1);
    world.store.close_breaker("m").await.expect("close");
    assert_eq!(world.store.model(TENANT, "m").await.expect("model").blocked_until, None);
}

pub(crate) async fn a_mended_model_frees_its_jobs<B: Backend>(world: &mut World<B>) {
    register(world).await;
    world.with_jobs(3).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 2).await;
    let broken = JobFailure { hold_ms: Some(300_000), ..failure_of(&claimed[0], FailureClass::Model) };
    world.store.fail_jobs(worker, vec![broken]).await.expect("fail");
    world.clock.advance(1);
    world.store.complete_jobs(worker, vec![crate::harness::result_of(&claimed[1])]).await.expect("it works again");
    world.store.close_breaker("m").await.expect("close");
    assert_eq!(world.store.next_due().await.expect("due"), Some(world.store.now()));
    assert_eq!(world.store.promote_due(10).await.expect("promote"), 2);
}

pub(crate) async fn a_model_that_stays_broken_fails_them<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let held = |failure| JobFailure { class: FailureClass::Model, hold_ms: Some(30_000), ..failure };
    let statuses = fail_until_it_ends(world, held, 99).await;
    // Ten minutes of half-minute pauses: the attempt after the window is the last.
    assert_eq!((statuses.len(), statuses.last()), (21, Some(&JobStatus::Failed)));
    assert_eq!(world.job(&jobs[0]).await.error_code.as_deref(), Some("E-MODEL-UNAVAILABLE"));
}

pub(crate) async fn release_keeps_attempt_and_token<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(2).await;
    let (worker, other) = (world.worker().await, world.worker().await);
    let lease = world.claim(worker, 1).await[0].lease();
    let older = JobLease { token: lease.token - 1, ..lease };
    let queued = JobLease { job_id: jobs[1].id, token: 0 };
    assert!(world.store.release_jobs(other, vec![lease, queued]).await.expect("not theirs").is_empty());
    assert!(world.store.release_jobs(worker, vec![older]).await.expect("an older lease").is_empty());
    assert_eq!(world.store.release_jobs(worker, vec![lease, queued]).await.expect("release"), [jobs[0].id]);
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.status, job.attempt, job.lease_token, job.worker_id), (JobStatus::Queued, 0, 1, None));
    assert_eq!(world.claim(other, 1).await[0].job.lease_token, 2);
}
