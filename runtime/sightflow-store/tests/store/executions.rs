//! Cancel, finish, events: an execution ends once, whole, and with its jobs; its events are numbered without gaps.

use serde_json::json;
use sightflow_store::{Append, EndedJob, FinishedExecution, NewEvent, NewExecution, RunSource, Signal, StoreError};
use sightflow_types::error::RunError;
use sightflow_types::{ExecutionStatus, JobStatus, TenantId};

use crate::harness::{Backend, TENANT, World, claim_of, completed, failure_of, inline_run, keyed, new_job, result_of};

pub(crate) async fn cancel_reaches_every_state<B: Backend>(world: &mut World<B>) {
    let waiting = world.submit().await;
    let cancelled = world.store.cancel(TENANT, waiting.id).await.expect("pending");
    assert_eq!((cancelled.status, cancelled.duration_ms, cancelled.lease_token), (ExecutionStatus::Cancelled, None, 1));

    let (lease, jobs) = world.with_jobs(4).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 3).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    world
        .store
        .fail_jobs(worker, vec![failure_of(&claimed[1], sightflow_store::FailureClass::Transient)])
        .await
        .expect("retry");
    let cancelled = world.store.cancel(TENANT, lease.execution_id).await.expect("running");
    assert_eq!((cancelled.jobs.completed, cancelled.jobs.cancelled, cancelled.jobs.pending), (1, 3, 0));
    let job = world.job(&jobs[2]).await;
    assert_eq!((job.status, job.lease_token), (JobStatus::Cancelled, 2));
    for table in ["wf_ready_jobs", "wf_job_leases", "wf_timers", "wf_ready_executions", "wf_execution_leases"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(world.store.complete_jobs(worker, vec![result_of(&claimed[2])]).await.expect("late").is_empty());
    assert_eq!(world.store.lost_leases(vec![lease]).await.expect("lost"), [lease.execution_id]);
}

pub(crate) async fn cancel_twice<B: Backend>(world: &mut World<B>) {
    let run = world.submit().await;
    world.store.cancel(TENANT, run.id).await.expect("first");
    assert!(matches!(world.store.cancel(TENANT, run.id).await, Err(StoreError::AlreadyTerminal)));
}

/// Case 38: whatever the order, the counters, the narrow rows and the event numbers agree.
pub(crate) async fn cancel_against_claim_and_complete<B: Backend>(world: &mut World<B>) {
    let (engine, worker) = (world.engine().await, world.worker().await);
    for round in 0..125_u64 {
        world.submit().await;
        let lease = world.store.start_executions(engine, 1).await.expect("start")[0].lease();
        world.store.enqueue_jobs(lease, (0..8).map(|n| new_job(&n.to_string())).collect()).await.expect("enqueue");
        let store = world.store.clone();
        let cancel = tokio::spawn(async move {
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
            store.cancel(TENANT, lease.execution_id).await
        });
        loop {
            let claimed = world.claim(worker, 1).await;
            if claimed.is_empty() {
                break;
            }
            world.store.complete_jobs(worker, claimed.iter().map(result_of).collect()).await.expect("complete");
        }
        let cancelled = cancel.await.expect("task").expect("cancel");
        assert_eq!(cancelled.jobs.completed + cancelled.jobs.cancelled, 8, "round {round}");
    }
}

pub(crate) async fn finish_is_one_commit<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let engine = world.engine().await;
    for (duration, run_count, average) in [(100, 1, 100), (300, 2, 200)] {
        let run = NewExecution { source: RunSource::Workflow { id: workflow.id, version: None }, ..inline_run() };
        world.store.submit(run).await.expect("submit");
        let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
        let status = async |tenant| world.store.execution_status(tenant, run.execution.id).await;
        assert_eq!(status(TENANT).await.expect("known"), ExecutionStatus::Running);
        assert!(matches!(status(TenantId::new()).await, Err(StoreError::NotFound("execution"))));
        let pins = Some(json!({"blocks": {"draw": "sha256:…"}}));
        world.store.append_events(run.lease(), Append { pins, ..Append::default() }).await.expect("pins");
        world.clock.advance(duration);
        world.store.finish(run.lease(), completed()).await.expect("finish");
        let ended = world.store.execution(TENANT, run.execution.id).await.expect("get");
        assert_eq!(status(TENANT).await.expect("known"), ended.status);
        assert_eq!(
            (ended.status, ended.duration_ms, ended.completed_at),
            (ExecutionStatus::Completed, u64::try_from(duration).ok(), Some(world.store.now()))
        );
        assert_eq!(
            (ended.outputs, ended.node_metrics, ended.error),
            (Some(json!({"count": 3})), json!({"photo": {"status": "completed"}}), None)
        );
        assert_eq!(ended.pins, json!({"blocks": {"draw": "sha256:…"}}));
        let workflow = world.store.workflow(TENANT, workflow.id).await.expect("workflow");
        assert_eq!(
            (workflow.run_count, workflow.avg_duration_ms, workflow.last_run_at),
            (run_count, Some(average), Some(world.store.now()))
        );
        assert!(matches!(world.store.finish(run.lease(), completed()).await, Err(StoreError::StaleLease)), "once");
    }
}

pub(crate) async fn finish_ends_open_jobs<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(3).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 2).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    let mut error = RunError::new("E-BLOCK-FAILED", "the block said no").at_node("detect");
    error.item = Some("3".into());
    error.cause = vec!["because".into()];
    world.store.finish(lease, FinishedExecution { error: Some(error.clone()), ..completed() }).await.expect("finish");
    let ended = world.store.execution(TENANT, lease.execution_id).await.expect("get");
    assert_eq!((ended.status, ended.error), (ExecutionStatus::Failed, Some(error)));
    assert_eq!((ended.jobs.completed, ended.jobs.failed), (1, 2));
    let ids = jobs.iter().map(|job| job.id).collect();
    let codes: Vec<_> =
        world.store.ended_jobs(ids).await.expect("jobs").into_iter().map(|job| job.error_code).collect();
    assert_eq!(codes, [None, Some("E-EXECUTION-ENDED".to_owned()), Some("E-EXECUTION-ENDED".to_owned())]);
    assert_eq!(world.kinds(lease).await.last().map(String::as_str), Some("execution.failed"));
}

pub(crate) async fn finish_after_cancel_is_refused<B: Backend>(world: &mut World<B>) {
    let run = world.running().await;
    world.store.cancel(TENANT, run.execution.id).await.expect("cancel");
    assert!(matches!(world.store.finish(run.lease(), completed()).await, Err(StoreError::StaleLease)));
    assert_eq!(world.store.execution(TENANT, run.execution.id).await.expect("get").outputs, None);
}

pub(crate) async fn events_are_dense_under_appenders<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let mut tasks = tokio::task::JoinSet::new();
    for appender in 0..8 {
        let store = world.store.clone();
        tasks.spawn(async move {
            for n in 0..20 {
                let pair = (0..2)
                    .map(|k| NewEvent {
                        kind: "node.progress".into(),
                        payload: json!({"by": appender, "n": n * 2 + k}),
                    })
                    .collect();
                let append = Append { events: pair, progress: Some(json!({"percent": n})), ..Append::default() };
                store.append_events(lease, append).await.expect("append");
            }
        });
    }
    tasks.join_all().await;
    let events = world.store.events_after(TENANT, lease.execution_id, 0, 1000).await.expect("events");
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=321).collect::<Vec<_>>());
    for appender in 0..8 {
        let own: Vec<_> = events
            .iter()
            .filter(|event| event.payload["by"] == appender)
            .map(|event| event.payload["n"].as_i64())
            .collect();
        assert_eq!(own, (0..40).map(Some).collect::<Vec<_>>(), "each appender's order is kept");
    }
    let tail = world.store.events_after(TENANT, lease.execution_id, 319, 1).await.expect("tail");
    assert_eq!(tail.iter().map(|event| event.seq).collect::<Vec<_>>(), [320]);
    assert_eq!(world.store.execution(TENANT, lease.execution_id).await.expect("get").progress, json!({"percent": 19}));
}

pub(crate) async fn large_events_come_in_small_pages<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let large = json!({"text": "x".repeat(10_000)});
    for _ in 0..20 {
        let events = vec![NewEvent { kind: "node.progress".into(), payload: large.clone() }];
        world.store.append_events(lease, Append { events, ..Append::default() }).await.expect("append");
    }
    let (mut after, mut pages) = (0, Vec::new());
    loop {
        let page = world.store.events_after(TENANT, lease.execution_id, after, 1000).await.expect("events");
        let Some(last) = page.last() else { break };
        assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), (after + 1..=last.seq).collect::<Vec<_>>());
        after = last.seq;
        pages.push(page.len());
    }
    // The first page begins with the small one that says that it has started.
    assert_eq!(pages, [8, 7, 6]);
}

pub(crate) async fn deletion_takes_everything<B: Backend>(world: &mut World<B>) {
    let kept = world.submit().await;
    world.store.cancel(TENANT, kept.id).await.expect("cancel");
    let run = world.store.submit(keyed("k", 1)).await.expect("submit").value;
    assert!(matches!(world.store.delete_execution(TENANT, run.id).await, Err(StoreError::NotTerminal)));
    let (engine, worker) = (world.engine().await, world.worker().await);
    let lease = world.store.start_executions(engine, 1).await.expect("start")[0].lease();
    world.store.enqueue_jobs(lease, vec![new_job("0"), new_job("1")]).await.expect("enqueue");
    world.store.claim_jobs(worker, claim_of(1)).await.expect("claim");
    world.store.finish(lease, completed()).await.expect("finish");
    world.store.delete_execution(TENANT, run.id).await.expect("delete");
    for (table, expected) in [
        ("wf_executions", 1),
        ("wf_inference_jobs", 0),
        ("wf_failed_jobs", 0),
        ("wf_execution_events", 1),
        ("wf_node_records", 0),
        ("wf_idempotency_keys", 0),
    ] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, expected, "{table}");
    }
    let workflow = world.workflow().await;
    let of_workflow =
        || NewExecution { source: RunSource::Workflow { id: workflow.id, version: None }, ..inline_run() };
    let ended = world.store.submit(of_workflow()).await.expect("submit").value;
    world.store.cancel(TENANT, ended.id).await.expect("cancel");
    world.store.submit(of_workflow()).await.expect("submit");
    assert_eq!(world.store.clear_executions(TENANT, workflow.id).await.expect("clear"), 1);
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 2);
}

pub(crate) async fn signals_follow_the_commit<B: Backend>(world: &mut World<B>) {
    let mut signals = world.store.subscribe();
    let mut told = move || std::iter::from_fn(|| signals.try_recv().ok()).collect::<Vec<_>>();
    let run = world.submit().await;
    assert_eq!(told(), [Signal::ExecutionsReady]);
    let (engine, worker) = (world.engine().await, world.worker().await);
    let lease = world.store.start_executions(engine, 1).await.expect("start")[0].lease();
    assert_eq!(told(), [Signal::ExecutionNews(vec![run.id])]);
    let jobs = world.store.enqueue_jobs(lease, vec![new_job("0"), new_job("1")]).await.expect("enqueue");
    assert_eq!(told(), [Signal::ExecutionNews(vec![run.id]), Signal::JobsReady(vec!["m".into()])]);
    let claimed = world.claim(worker, 1).await;
    told();
    world.store.complete_jobs(worker, claimed.iter().map(result_of).collect()).await.expect("complete");
    let ended = |job_id| Signal::JobsEnded(vec![EndedJob { execution_id: run.id, job_id }]);
    assert_eq!(told(), [Signal::ExecutionNews(vec![run.id]), ended(jobs[0].id)]);
    assert!(
        world.store.complete_jobs(worker, claimed.iter().map(result_of).collect()).await.expect("stale").is_empty()
    );
    assert_eq!(told(), [], "nothing happened");
    world.store.cancel(TENANT, run.id).await.expect("cancel");
    assert_eq!(told(), [Signal::Cancelled(vec![run.id]), Signal::ExecutionNews(vec![run.id]), ended(jobs[1].id)]);
    assert!(world.store.cancel(TENANT, run.id).await.is_err());
    assert_eq!(told(), [], "a refused transaction tells nothing");
}
