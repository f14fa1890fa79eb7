//! Enqueue, claim, complete: each job once, in order, under a token.

use std::collections::BTreeSet;

use serde_json::json;
use sightflow_store::{
    ClaimRequest, ExecutionLease, FailureClass, JobFilter, JobLease, NewExecution, NewJob, PageRequest, StoreError,
};
use sightflow_types::{JobId, JobStatus, TenantId};

use crate::harness::{Backend, TENANT, World, claim_of, completed, failure_of, inline_run, new_job, result_of};

pub(crate) async fn enqueue_twice_adds_nothing<B: Backend>(world: &mut World<B>) {
    let (lease, first) = world.with_jobs(3).await;
    let events = world.kinds(lease).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    let again = world.store.enqueue_jobs(lease, vec![new_job("0"), new_job("1"), new_job("2")]).await.expect("again");
    assert_eq!(again.iter().map(|job| job.id).collect::<Vec<_>>(), first.iter().map(|job| job.id).collect::<Vec<_>>());
    assert_eq!(
        (again[0].status, again[0].result.clone()),
        (JobStatus::Completed, Some(json!({"count": 1, "score": 0.1})))
    );
    assert_eq!(world.kinds(lease).await.len(), events.len() + 2, "job.running and job.completed only");
    let summaries = world.store.job_summaries(TENANT, lease.execution_id, Some("detect")).await.expect("jobs");
    assert_eq!(
        summaries.iter().map(|job| (job.id, job.item_path.as_str(), job.queue_ms)).collect::<Vec<_>>(),
        [(again[0].id, "0", Some(0)), (again[1].id, "1", None), (again[2].id, "2", None)]
    );
    assert_eq!(world.store.job_summaries(TENANT, lease.execution_id, None).await.expect("jobs"), summaries);
    assert_eq!(world.store.job_summaries(TENANT, lease.execution_id, Some("other")).await.expect("jobs"), []);
}

/// Thousands of jobs of many nodes are one transaction of few statements, and still one event each.
pub(crate) async fn thousands_are_enqueued_at_once<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let job = |n: usize| NewJob { node_id: format!("n{}", n % 50), ..new_job(&(n / 50).to_string()) };
    let before = world.store.statistics();
    let jobs = world.store.enqueue_jobs(lease, (0..5_000).map(job).collect()).await.expect("enqueue");
    let after = world.store.statistics();
    assert_eq!((after.commits - before.commits, after.transactions - before.transactions), (1, 1));
    let names: Vec<_> = jobs.iter().map(|job| (job.node_id.clone(), job.item_path.clone())).collect();
    let expected: Vec<_> = (0..5_000).map(|n| (format!("n{}", n % 50), (n / 50).to_string())).collect();
    assert_eq!(names, expected);
    assert_eq!(world.count("SELECT count(*) FROM wf_execution_events WHERE kind = 'job.queued'").await, 5_000);
    assert_eq!(world.count("SELECT count(*) FROM wf_ready_jobs").await, 5_000);
    assert_eq!(world.store.ended_jobs(jobs.iter().map(|job| job.id).collect()).await.expect("none"), []);
}

/// Results are asked for by id: what has ended, in the order of the question.
pub(crate) async fn ended_jobs_are_found_by_id<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(5).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 3).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    world.store.fail_jobs(worker, vec![failure_of(&claimed[1], FailureClass::Poison)]).await.expect("fail");
    let all: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let asked = |ids: &[JobId]| {
        let (store, ids) = (world.store.clone(), ids.to_vec());
        async move {
            let ended = store.ended_jobs(ids).await.expect("ended");
            ended.into_iter().map(|job| (job.item_path, job.status, job.result.is_some())).collect::<Vec<_>>()
        }
    };
    let (completed, failed) =
        (("0".to_owned(), JobStatus::Completed, true), ("1".to_owned(), JobStatus::Failed, false));
    for (ids, expected) in [
        (vec![], vec![]),
        (all.clone(), vec![completed.clone(), failed.clone()]),
        (vec![all[1], JobId::new(), all[4], all[0]], vec![failed.clone(), completed]),
        (vec![JobId::new()], vec![]),
    ] {
        assert_eq!(asked(&ids).await, expected, "{ids:?}");
    }
    world.store.cancel(TENANT, lease.execution_id).await.expect("cancel");
    assert_eq!(asked(&all[1..3]).await, [failed, ("2".to_owned(), JobStatus::Cancelled, false)]);
}

pub(crate) async fn enqueue_needs_a_live_lease<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let stale = ExecutionLease { token: lease.token - 1, ..lease };
    assert!(matches!(world.store.enqueue_jobs(stale, vec![new_job("")]).await, Err(StoreError::StaleLease)));
    world.store.finish(lease, completed()).await.expect("finish");
    assert!(matches!(world.store.enqueue_jobs(lease, vec![new_job("")]).await, Err(StoreError::StaleLease)));
    assert_eq!(world.count("SELECT count(*) FROM wf_inference_jobs").await, 0);
}

pub(crate) async fn loop_items_are_separate<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let jobs = vec![new_job("0"), new_job("0/1"), new_job("#0"), NewJob { node_id: "other".into(), ..new_job("0") }];
    let jobs = world.store.enqueue_jobs(lease, jobs).await.expect("enqueue");
    assert_eq!(jobs.iter().map(|job| job.id).collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(world.store.execution(TENANT, lease.execution_id).await.expect("get").jobs.pending, 4);
}

/// Enqueues one job in an execution of this priority and answers its item path.
async fn one<B: Backend>(world: &World<B>, priority: u8, vt: i64, item: &str) -> ExecutionLease {
    world.store.submit(NewExecution { priority, ..inline_run() }).await.expect("submit");
    let engine = world.engine().await;
    let lease = world.store.start_executions(engine, 1).await.expect("start")[0].lease();
    world.store.enqueue_jobs(lease, vec![NewJob { vt, ..new_job(item) }]).await.expect("enqueue");
    lease
}

pub(crate) async fn claims_follow_rank_vt_id<B: Backend>(world: &mut World<B>) {
    for (priority, vt, item) in [(1, 0, "e"), (5, 7, "d"), (5, 3, "b"), (5, 3, "c"), (10, 9, "a")] {
        one(world, priority, vt, item).await;
    }
    let worker = world.worker().await;
    let mut order = Vec::new();
    for count in [2, 2, 9] {
        order.extend(world.claim(worker, count).await.into_iter().map(|claimed| claimed.job.item_path));
    }
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
}

pub(crate) async fn two_claimers_share_nothing<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(60).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, worker) = (world.store.clone(), world.worker().await);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let batch = store.claim_jobs(worker, claim_of(7)).await.expect("claim");
                if batch.is_empty() {
                    return mine;
                }
                mine.extend(batch.into_iter().map(|claimed| claimed.job.id));
            }
        });
    }
    let claimed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), jobs.len());
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), jobs.iter().map(|job| job.id).collect());
}

pub(crate) async fn the_pixel_budget_holds<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let sized = |item: &str, pixels| NewJob { pixels, ..new_job(item) };
    let jobs = vec![sized("a", 900), sized("b", 40), sized("c", 50), sized("d", 20), sized("e", 0)];
    world.store.enqueue_jobs(lease, jobs).await.expect("enqueue");
    let worker = world.worker().await;
    let request = ClaimRequest { pixel_budget: 100, ..claim_of(10) };
    let mut batches = Vec::new();
    for _ in 0..4 {
        let batch = world.store.claim_jobs(worker, request.clone()).await.expect("claim");
        batches.push(batch.into_iter().map(|claimed| claimed.job.item_path).collect::<String>());
    }
    assert_eq!(batches, ["a", "bc", "de", ""], "an oversized first job is taken alone");
}

pub(crate) async fn capped_tenants_are_passed_over<B: Backend>(world: &mut World<B>) {
    world.with_jobs(2).await;
    let worker = world.worker().await;
    let request = ClaimRequest { capped_tenants: vec![TENANT], ..claim_of(5) };
    assert!(world.store.claim_jobs(worker, request).await.expect("claim").is_empty());
    let request = ClaimRequest { capped_tenants: vec![TenantId::new()], ..claim_of(5) };
    assert_eq!(world.store.claim_jobs(worker, request).await.expect("claim").len(), 2);
}

pub(crate) async fn an_urgent_late_arrival_is_found<B: Backend>(world: &mut World<B>) {
    world.with_jobs(5).await;
    let worker = world.worker().await;
    world.claim(worker, 2).await;
    one(world, 10, 0, "urgent").await;
    assert_eq!(world.claim(worker, 1).await[0].job.item_path, "urgent");
}

pub(crate) async fn a_claim_sets_everything<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(1).await;
    world.clock.advance(250);
    let worker = world.worker().await;
    let claimed = world.claim(worker, 5).await.remove(0);
    let job = world.job(&jobs[0]).await;
    assert_eq!(claimed.job, job);
    assert_eq!((job.status, job.attempt, job.lease_token, job.worker_id), (JobStatus::Running, 1, 1, Some(worker)));
    assert_eq!((job.queue_ms, job.started_at, job.max_attempts), (Some(250), Some(world.store.now()), 4));
    assert_eq!(claimed.deadline_at, Some(world.store.now().plus_millis(60_000)));
    assert_eq!(world.kinds(lease).await, ["execution.started", "job.queued", "job.running"]);
    let event = world.store.events_after(TENANT, lease.execution_id, 2, 10).await.expect("events").remove(0);
    assert_eq!(event.payload, json!({"job_id": job.id, "node_id": "detect", "item": "0", "attempt": 1}));
}

pub(crate) async fn completion_is_one_commit<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    world.clock.advance(10);
    let recorded = world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    assert_eq!(recorded, [jobs[0].id]);
    let job = world.job(&jobs[0]).await;
    assert_eq!((job.status, job.progress, job.completed_at), (JobStatus::Completed, 100, Some(world.store.now())));
    assert_eq!((job.load_ms, job.compute_ms, job.duration_ms, job.batch_size), (Some(3), Some(7), Some(10), Some(2)));
    assert_eq!((job.result, job.metadata), (Some(json!({"count": 1, "score": 0.1})), json!({"cached": true})));
    let execution = world.store.execution(TENANT, lease.execution_id).await.expect("get");
    assert_eq!((execution.jobs.pending, execution.jobs.completed), (0, 1));
    assert_eq!(world.kinds(lease).await.last().map(String::as_str), Some("job.completed"));
}

pub(crate) async fn stale_completions_are_named<B: Backend>(world: &mut World<B>) {
    let (_, jobs) = world.with_jobs(1).await;
    let (worker, other) = (world.worker().await, world.worker().await);
    let claimed = world.claim(worker, 1).await;
    let mut older = result_of(&claimed[0]);
    older.lease = JobLease { token: older.lease.token - 1, ..older.lease };
    assert!(world.store.complete_jobs(worker, vec![older]).await.expect("older token").is_empty());
    assert!(world.store.complete_jobs(other, vec![result_of(&claimed[0])]).await.expect("other worker").is_empty());
    assert_eq!(world.job(&jobs[0]).await.status, JobStatus::Running);
    assert_eq!(world.store.complete_jobs(worker, vec![result_of(&claimed[0]); 2]).await.expect("first").len(), 1);
    assert!(world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("twice").is_empty());
}

pub(crate) async fn a_mixed_batch_records_what_is_valid<B: Backend>(world: &mut World<B>) {
    world.with_jobs(3).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 3).await;
    let mut results: Vec<_> = claimed.iter().map(result_of).collect();
    results[1].lease.token += 5;
    let recorded = world.store.complete_jobs(worker, results).await.expect("complete");
    assert_eq!(recorded.into_iter().collect::<BTreeSet<_>>(), [claimed[0].job.id, claimed[2].job.id].into());
}

pub(crate) async fn complete_and_claim_is_one_step<B: Backend>(world: &mut World<B>) {
    world.with_jobs(3).await;
    let worker = world.worker().await;
    let first = world.claim(worker, 2).await;
    let (recorded, next) = world
        .store
        .complete_and_claim(worker, first.iter().map(result_of).collect(), claim_of(2))
        .await
        .expect("complete and claim");
    assert_eq!((recorded.len(), next.len(), next[0].job.item_path.as_str()), (2, 1, "2"));
}

pub(crate) async fn heads_name_each_model_once<B: Backend>(world: &mut World<B>) {
    assert!(world.store.job_heads().await.expect("heads").is_empty());
    let lease = world.running().await.lease();
    let of = |model: &str, vt, item: &str| NewJob { model_id: model.into(), vt, ..new_job(item) };
    world
        .store
        .enqueue_jobs(lease, vec![of("b", 5, "1"), of("a", 9, "2"), of("b", 2, "3"), of("c", 4, "4")])
        .await
        .expect("enqueue");
    let heads = world.store.job_heads().await.expect("heads");
    let heads: Vec<_> = heads.iter().map(|head| (head.model_id.as_str(), head.rank, head.vt)).collect();
    assert_eq!(heads, [("b", 6, 2), ("c", 6, 4), ("a", 6, 9)]);
}

pub(crate) async fn lists_by_status<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(4).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 3).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    let poison = crate::harness::failure_of(&claimed[1], sightflow_store::FailureClass::Poison);
    world.store.fail_jobs(worker, vec![poison]).await.expect("fail");
    use JobStatus::{Cancelled, Completed, Failed, Pending, Queued, Running};
    for (statuses, expected) in [
        (vec![], vec!["3", "2", "1", "0"]),
        (vec![Completed], vec!["0"]),
        (vec![Failed], vec!["1"]),
        (vec![Running], vec!["2"]),
        (vec![Queued], vec!["3"]),
        (vec![Queued, Failed], vec!["3", "1"]),
        (vec![Queued, Completed], vec!["3", "0"]),
        (vec![Pending], vec![]),
        (vec![Cancelled], vec![]),
    ] {
        for execution_id in [None, Some(lease.execution_id)] {
            let filter = JobFilter { statuses: statuses.clone(), execution_id, ..JobFilter::default() };
            let page = world.store.jobs(TENANT, filter.clone(), PageRequest::default()).await.expect("list");
            assert_eq!(world.store.count_jobs(TENANT, filter).await.expect("count"), page.items.len() as u64);
            assert_eq!(
                page.items.iter().map(|job| job.item_path.as_str()).collect::<Vec<_>>(),
                expected,
                "{statuses:?}"
            );
        }
    }
    let none = JobFilter { model_id: Some("other".into()), ..JobFilter::default() };
    assert!(world.store.jobs(TENANT, none, PageRequest::default()).await.expect("list").items.is_empty());
    let filter =
        JobFilter { error_code: Some("E-TEST".into()), node_id: Some("detect".into()), ..JobFilter::default() };
    assert_eq!(world.store.jobs(TENANT, filter, PageRequest::default()).await.expect("list").items[0].id, jobs[1].id);
}
