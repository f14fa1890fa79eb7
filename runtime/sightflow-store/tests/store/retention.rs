//! What is kept and for how long; what admission reads; what a run costs.

use std::time::Duration;

use serde_json::json;
use sightflow_store::{
    Append, BlobRef, Execution, FinishedExecution, NewBlob, NewEvent, NewExecution, Pruned, RefKind, Retention,
    RunSource, StoreError, WorkflowChange,
};
use sightflow_types::Digest;

use crate::harness::{Backend, TENANT, World, completed, inline_run, keyed};

const DAY: i64 = 86_400_000;

async fn finished<B: Backend>(world: &World<B>, new: NewExecution) -> Execution {
    world.store.submit(new).await.expect("submit");
    let engine = world.engine().await;
    let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
    world.store.finish(run.lease(), completed()).await.expect("finish");
    run.execution
}

pub(crate) async fn ended_executions_go_after_their_time<B: Backend>(world: &mut World<B>) {
    let old = finished(world, keyed("k", 1)).await;
    let open = world.running().await.execution;
    world.clock.advance(1_000);
    let young = finished(world, inline_run()).await;
    world.clock.advance(7 * DAY - 1_001);
    let pruned = world.store.prune(Retention::default(), 10).await.expect("early");
    assert_eq!((pruned.executions, pruned.keys), (0, 1), "the key had its own time");
    world.clock.advance(1);
    assert_eq!(world.store.prune(Retention::default(), 10).await.expect("prune").executions, 1);
    let found = async |run: &Execution| world.store.execution(TENANT, run.id).await;
    assert!(matches!(found(&old).await, Err(StoreError::NotFound(_))));
    assert!(found(&open).await.is_ok() && found(&young).await.is_ok());
    let kept = Retention { executions: None, ..Retention::default() };
    world.clock.advance(100 * DAY);
    assert_eq!(world.store.prune(kept, 10).await.expect("kept").executions, 0);
    for table in ["wf_execution_events", "wf_idempotency_keys"] {
        let of_old =
            format!("SELECT count(*) FROM {table} WHERE '{}' IN (SELECT id FROM wf_executions)", old.id.uuid());
        assert_eq!(world.count(&of_old).await, 0, "{table}");
    }
}

pub(crate) async fn pruning_goes_by_pages<B: Backend>(world: &mut World<B>) {
    for n in 0..7_u8 {
        finished(world, keyed(&n.to_string(), n)).await;
    }
    world.clock.advance(8 * DAY);
    let mut pages = Vec::new();
    loop {
        let Pruned { executions, more, .. } = world.store.prune(Retention::default(), 3).await.expect("prune");
        pages.push(executions);
        world.check().await;
        if !more {
            break;
        }
    }
    assert_eq!(pages, [3, 3, 1]);
}

pub(crate) async fn members_that_are_gone_are_forgotten<B: Backend>(world: &mut World<B>) {
    let (gone, alive) = (world.worker().await, world.worker().await);
    let holding = world.with_jobs(1).await;
    let holder = world.worker().await;
    world.claim(holder, 1).await;
    for member in [gone, holder] {
        world.store.retire_worker(member).await.expect("retire");
    }
    world.clock.advance(DAY);
    assert_eq!(world.store.prune(Retention::default(), 10).await.expect("prune").workers, 1);
    let left: Vec<_> = world.store.workers().await.expect("list").into_iter().map(|member| member.id).collect();
    assert!(!left.contains(&gone) && left.contains(&alive), "{left:?}");
    assert!(left.contains(&holder), "its job was not rescued yet: {}", holding.0.execution_id);
}

pub(crate) async fn old_versions_go_unless_one_runs<B: Backend>(world: &mut World<B>) {
    let id = world.workflow().await.id;
    for n in 2..=6 {
        let change = WorkflowChange { definition: Some(json!({"nodes": [n]})), ..Default::default() };
        world.store.update_workflow(TENANT, id, change).await.expect("update");
        if n == 3 {
            let run = NewExecution { source: RunSource::Workflow { id, version: Some(2) }, ..inline_run() };
            world.store.submit(run).await.expect("submit");
        }
    }
    let retention = Retention { versions: Some(2), ..Retention::default() };
    assert_eq!(world.store.prune(retention, 10).await.expect("prune").versions, 3);
    assert_eq!(world.store.prune(retention, 10).await.expect("again").versions, 0);
    let versions = world.backend.column("SELECT version FROM wf_workflow_versions ORDER BY version").await;
    assert_eq!(versions, ["2", "5", "6"]);
    let gone = NewExecution { source: RunSource::Workflow { id, version: Some(1) }, ..inline_run() };
    assert!(matches!(world.store.submit(gone).await, Err(StoreError::NotFound("workflow version"))));
}

pub(crate) async fn a_run_refers_to_its_pictures_alone<B: Backend>(world: &mut World<B>) {
    let picture = blob(world, 1);
    let run = NewExecution { new_blobs: vec![picture.clone()], input_blobs: vec![picture.digest], ..inline_run() };
    let run = finished(world, run).await;
    assert_eq!(world.backend.column("SELECT kind FROM wf_blob_refs").await, ["input"]);
    world.store.delete_execution(TENANT, run.id).await.expect("delete");
    world.clock.advance(60_000);
    assert_eq!(world.store.condemn_blobs(10).await.expect("condemn"), [picture.digest]);
}

/// The counter agrees with the rows after every step; so does the age of the oldest.
pub(crate) async fn admission_counts_exactly<B: Backend>(world: &mut World<B>) {
    let start = world.store.now();
    let depth = async |expected: u64, since: Option<i64>| {
        let depth = world.store.queue_depth().await.expect("depth");
        let oldest = depth.oldest_waiting_since.map(|at| at.millis_since(start));
        assert_eq!((depth.waiting_executions, oldest), (expected, since));
        world.check().await;
    };
    depth(0, None).await;
    world.store.submit(NewExecution { priority: 1, ..inline_run() }).await.expect("submit");
    world.clock.advance(10);
    world.submit().await;
    depth(2, Some(0)).await;
    let engine = world.engine().await;
    let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
    depth(1, Some(0)).await;
    world.store.hand_back(run.lease()).await.expect("hand back");
    depth(2, Some(0)).await;
    let refused = world.store.submit(NewExecution { priority: 99, ..inline_run() }).await;
    assert!(refused.is_err(), "what is rolled back was not counted");
    depth(2, Some(0)).await;
    world.store.cancel(TENANT, run.execution.id).await.expect("cancel");
    depth(1, Some(0)).await;
    world.store.delete_execution(TENANT, run.execution.id).await.expect("delete");
    world.clock.advance(300_000);
    assert_eq!(world.store.expire_executions(10).await.expect("expire").len(), 1);
    depth(0, None).await;
}

fn blob<B: Backend>(world: &World<B>, digest: u8) -> NewBlob {
    NewBlob {
        digest: Digest::from_bytes([digest; 32]),
        size: 7,
        media_type: "image/png".into(),
        width: Some(4),
        height: Some(2),
        stored_at: world.store.now(),
    }
}

/// A run of logic costs three commits; one that reads a picture and draws one, five.
pub(crate) async fn commits_per_run<B: Backend>(world: &mut World<B>) {
    let engine = world.engine().await;
    let event = |kind: &str| NewEvent { kind: kind.into(), payload: json!({"node_id": "n"}) };
    let end = || FinishedExecution {
        events: vec![event("node.started"), event("node.completed")],
        pins: Some(json!({"blocks": {}})),
        ..completed()
    };
    let before = world.store.statistics();
    world.submit().await;
    let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
    world.store.finish(run.lease(), end()).await.expect("finish");
    assert_eq!(world.store.statistics().commits - before.commits, 3);
    assert_eq!(
        world.kinds(run.lease()).await,
        ["execution.started", "node.started", "node.completed", "execution.completed"]
    );

    let before = world.store.statistics();
    let new_blobs = vec![blob(world, 1)];
    world.store.submit(NewExecution { new_blobs, ..inline_run() }).await.expect("submit");
    let run = world.store.start_executions(engine, 1).await.expect("start").remove(0);
    let append = Append { events: vec![event("node.started")], pins: Some(json!({"blocks": {}})), ..Append::default() };
    world.store.append_events(run.lease(), append).await.expect("append");
    let output =
        BlobRef { tenant_id: TENANT, kind: RefKind::Output, ref_id: run.execution.id.uuid(), expires_at: None };
    world.store.record_blob(blob(world, 2), output).await.expect("output");
    world.store.finish(run.lease(), FinishedExecution { pins: None, ..end() }).await.expect("finish");
    assert_eq!(world.store.statistics().commits - before.commits, 5);

    // What finds nothing to do costs none.
    let before = world.store.statistics();
    world.store.start_executions(engine, 1).await.expect("start");
    world.store.take_over(engine, 1).await.expect("take over");
    world.store.rescue().await.expect("rescue");
    world.store.expire_executions(1).await.expect("expire");
    world.store.condemn_blobs(1).await.expect("condemn");
    assert_eq!(world.store.statistics().commits, before.commits);
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let Retention { executions, workers, versions } = Retention::default();
    assert_eq!((executions, workers, versions), (days(7), days(1), Some(200)));
}
