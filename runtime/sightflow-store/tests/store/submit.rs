//! Submitting and listing executions: one key makes one, an acknowledged one is kept, pages neither skip nor repeat.

use std::collections::BTreeSet;

use serde_json::json;
use sightflow_store::{Definitions, ExecutionFilter, NewExecution, PageRequest, RunSource, StoreError, WorkflowChange};
use sightflow_types::{Digest, ExecutionStatus, TenantId, WorkflowId, WorkflowStatus};

use crate::harness::{Backend, TENANT, World, claim_of, completed, inline_run, keyed};

pub(crate) async fn one_key_twice_makes_one_execution<B: Backend>(world: &mut World<B>) {
    let first = world.store.submit(keyed("a", 1)).await.expect("first");
    let second = world.store.submit(keyed("a", 1)).await.expect("second");
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.value, second.value);
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 1);
}

pub(crate) async fn one_key_with_another_body_conflicts<B: Backend>(world: &mut World<B>) {
    world.store.submit(keyed("a", 1)).await.expect("first");
    let second = world.store.submit(keyed("a", 2)).await;
    assert!(matches!(second, Err(StoreError::IdempotencyConflict)), "{second:?}");
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 1);
}

pub(crate) async fn an_expired_key_is_free<B: Backend>(world: &mut World<B>) {
    world.store.submit(keyed("a", 1)).await.expect("first");
    world.clock.advance(86_400_000 - 1);
    assert!(world.store.submit(keyed("a", 1)).await.expect("kept").replayed);
    world.clock.advance(1);
    assert!(!world.store.submit(keyed("a", 2)).await.expect("free").replayed);
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 2);
}

pub(crate) async fn fifty_at_once_make_one<B: Backend>(world: &mut World<B>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = world.store.clone();
        tasks.spawn(async move { store.submit(keyed("a", 1)).await.expect("submit") });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(answers.iter().map(|answer| answer.value.id).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 1);
}

pub(crate) async fn an_acknowledged_submit_survives_reopening<B: Backend>(world: &mut World<B>) {
    let before = world.submit().await;
    world.reopen().await;
    let after = world.store.execution(TENANT, before.id).await.expect("still there");
    assert_eq!(before, after);
    assert_eq!((after.input["text"].clone(), after.parameters["min"].clone()), (json!("hello"), json!(0.4)));
    assert!(!after.input.contains_key("parameters"));
    assert_eq!(world.store.queue_depth().await.expect("depth").waiting_executions, 1);
}

pub(crate) async fn what_cannot_run_is_refused_whole<B: Backend>(world: &mut World<B>) {
    let (archived, deleted, fine) = (world.workflow().await, world.workflow().await, world.workflow().await);
    let change = WorkflowChange { status: Some(WorkflowStatus::Archived), ..WorkflowChange::default() };
    world.store.update_workflow(TENANT, archived.id, change).await.expect("archive");
    world.store.delete_workflow(TENANT, deleted.id, sightflow_store::OpenExecutions::Refuse).await.expect("delete");
    let run = |id, version| NewExecution { source: RunSource::Workflow { id, version }, ..keyed("k", 1) };
    let missing = Digest::from_bytes([9; 32]);
    for (new, expected) in [
        (run(archived.id, None), "the workflow is archived".to_owned()),
        (run(deleted.id, None), "workflow not found".to_owned()),
        (run(WorkflowId::new(), None), "workflow not found".to_owned()),
        (run(fine.id, Some(2)), "workflow version not found".to_owned()),
        (NewExecution { input_blobs: vec![missing], ..keyed("k", 1) }, format!("blob {missing} is not available")),
    ] {
        assert_eq!(world.store.submit(new).await.expect_err("refused").to_string(), expected);
    }
    for table in ["wf_executions", "wf_ready_executions", "wf_idempotency_keys", "wf_blob_refs"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    let run = world.store.submit(run(fine.id, None)).await.expect("runs").value;
    assert_eq!((run.workflow_version, run.workflow_name.as_deref()), (Some(1), Some("privacy blur")));
    let definition = world.store.execution_definition(TENANT, run.id).await.expect("definition");
    assert_eq!((definition.digest, &definition.definition), (fine.digest, &fine.definition));
}

pub(crate) async fn other_tenants_see_nothing<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let (lease, jobs) = world.with_jobs(1).await;
    let other = TenantId::new();
    let (execution, job, store) = (lease.execution_id, jobs[0].id, &world.store);
    let answers = [
        store.workflow(other, workflow.id).await.err(),
        store.workflow_head(other, workflow.id, None).await.err(),
        store.workflow_version(other, workflow.id, 1).await.err(),
        store.workflow_versions(other, workflow.id, PageRequest::default()).await.err(),
        store.update_workflow(other, workflow.id, WorkflowChange::default()).await.err(),
        store.delete_workflow(other, workflow.id, sightflow_store::OpenExecutions::Cancel).await.err(),
        store.clear_executions(other, workflow.id).await.err(),
        store.execution(other, execution).await.err(),
        store.execution_definition(other, execution).await.err(),
        store.node_record(other, execution, "detect", "").await.err(),
        store.node_items(other, execution, "detect", None, 10).await.err(),
        store.count_node_items(other, execution, "detect").await.err(),
        store.job_summaries(other, execution, None).await.err(),
        store.events_after(other, execution, 0, 10).await.err(),
        store.cancel(other, execution).await.err(),
        store.delete_execution(other, execution).await.err(),
        store.job(other, job).await.err(),
    ];
    for (n, answer) in answers.iter().enumerate() {
        assert!(matches!(answer, Some(StoreError::NotFound(_))), "operation {n}: {answer:?}");
    }
    assert!(
        store
            .workflows(other, Default::default(), Definitions::Include, PageRequest::default())
            .await
            .expect("list")
            .items
            .is_empty()
    );
    assert_eq!(store.count_workflows(other, Default::default()).await.expect("count"), 0);
    assert!(store.executions(other, Default::default(), PageRequest::default()).await.expect("list").items.is_empty());
    assert!(store.jobs(other, Default::default(), PageRequest::default()).await.expect("list").items.is_empty());
}

pub(crate) async fn cursors_are_stable_under_inserts<B: Backend>(world: &mut World<B>) {
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.insert(0, world.submit().await.id);
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = world
            .store
            .executions(TENANT, ExecutionFilter::default(), PageRequest { limit: 3, before })
            .await
            .expect("page");
        seen.extend(page.items.iter().map(|item| item.id));
        world.submit().await;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

pub(crate) async fn filters_find_what_they_name<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let of_workflow = NewExecution { source: RunSource::Workflow { id: workflow.id, version: None }, ..inline_run() };
    let done = world.running().await;
    world.store.finish(done.lease(), completed()).await.expect("finish");
    world.clock.advance(1000);
    let middle = world.store.now();
    world.clock.advance(1000);
    let waiting = world.submit().await.id;
    let named = world.store.submit(of_workflow).await.expect("submit").value.id;
    let done = done.execution.id;
    let base = ExecutionFilter::default;
    use ExecutionStatus::{Completed, Failed, Pending};
    for (filter, expected) in [
        (base(), vec![named, waiting, done]),
        (ExecutionFilter { workflow_id: Some(workflow.id), ..base() }, vec![named]),
        (ExecutionFilter { workflow_id: Some(workflow.id), statuses: vec![Completed], ..base() }, vec![]),
        (ExecutionFilter { statuses: vec![Completed], ..base() }, vec![done]),
        (ExecutionFilter { statuses: vec![Pending], ..base() }, vec![named, waiting]),
        (ExecutionFilter { statuses: vec![Completed, Pending], ..base() }, vec![named, waiting, done]),
        (ExecutionFilter { statuses: vec![Failed], ..base() }, vec![]),
        (ExecutionFilter { created_after: Some(middle), ..base() }, vec![named, waiting]),
        (ExecutionFilter { created_before: Some(middle), ..base() }, vec![done]),
    ] {
        let page = world.store.executions(TENANT, filter.clone(), PageRequest::default()).await.expect("list");
        assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), expected, "{filter:?}");
        assert!(page.items.iter().all(|item| item.outputs.is_none() && item.input.is_empty()), "lists are light");
        let count = world.store.count_executions(TENANT, filter.clone()).await.expect("count");
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
    let worker = world.worker().await;
    assert!(world.store.claim_jobs(worker, claim_of(1)).await.expect("claim").is_empty());
}
