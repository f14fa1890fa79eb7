//! What the database itself refuses or does, whoever writes: ends stay, tokens grow, counters and times follow.

use serde_json::json;
use sightflow_store::{Append, NewEvent, StoreError};
use sightflow_types::JobStatus;

use crate::harness::{Backend, TENANT, World, result_of};

pub(crate) async fn terminal_rows_stay<B: Backend>(world: &mut World<B>) {
    let (lease, _) = world.with_jobs(1).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    world.store.complete_jobs(worker, vec![result_of(&claimed[0])]).await.expect("complete");
    world.store.cancel(TENANT, lease.execution_id).await.expect("cancel");
    for sql in [
        "UPDATE wf_inference_jobs SET status = 'failed'",
        "UPDATE wf_inference_jobs SET status = 'queued', completed_at = NULL",
        "UPDATE wf_executions SET status = 'completed'",
        "UPDATE wf_executions SET status = 'running', completed_at = NULL",
    ] {
        assert!(world.backend.execute(sql).await.expect_err(sql).contains("cannot change"), "{sql}");
    }
    world.submit().await;
    assert!(
        world
            .backend
            .execute("UPDATE wf_executions SET status = 'completed', completed_at = 1 WHERE status = 'pending'")
            .await
            .is_err()
    );
}

pub(crate) async fn tokens_never_shrink<B: Backend>(world: &mut World<B>) {
    world.with_jobs(1).await;
    let worker = world.worker().await;
    world.claim(worker, 1).await;
    for table in ["wf_inference_jobs", "wf_executions"] {
        let error =
            world.backend.execute(&format!("UPDATE {table} SET lease_token = lease_token - 1")).await.expect_err(table);
        assert!(error.contains("cannot go back"), "{error}");
    }
}

pub(crate) async fn raw_updates_move_updated_at<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let (lease, jobs) = world.with_jobs(1).await;
    let execution = world.store.execution(TENANT, lease.execution_id).await.expect("get");
    for table in ["wf_workflows", "wf_executions", "wf_inference_jobs"] {
        let column = if table == "wf_workflows" { "description" } else { "metadata" };
        world.backend.execute(&format!("UPDATE {table} SET {column} = '{{\"by\":\"hand\"}}'")).await.expect(table);
    }
    assert!(world.store.workflow(TENANT, workflow.id).await.expect("get").updated_at > workflow.updated_at);
    assert!(world.store.execution(TENANT, execution.id).await.expect("get").updated_at > execution.updated_at);
    assert!(world.job(&jobs[0]).await.updated_at > jobs[0].updated_at);
}

pub(crate) async fn raw_updates_move_counters<B: Backend>(world: &mut World<B>) {
    let (lease, jobs) = world.with_jobs(2).await;
    let counts = async || world.store.execution(TENANT, lease.execution_id).await.expect("get").jobs;
    world
        .backend
        .execute("UPDATE wf_inference_jobs SET status = 'cancelled', completed_at = 1; DELETE FROM wf_ready_jobs")
        .await
        .expect("sql");
    let after = counts().await;
    assert_eq!((after.pending, after.cancelled), (0, 2));
    assert_eq!(world.job(&jobs[0]).await.status, JobStatus::Cancelled);
    world.check().await;
}

pub(crate) async fn oversized_events_are_refused<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let event = |size| NewEvent { kind: "node.completed".into(), payload: json!("x".repeat(size)) };
    let refused =
        world.store.append_events(lease, Append { events: vec![event(10), event(17_000)], ..Append::default() }).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(world.kinds(lease).await, ["execution.started"]);
}
