//! Workflows and their versions.

use serde_json::{Value, json};
use sightflow_store::{
    Definitions, Idempotency, NewExecution, NewWorkflow, OpenExecutions, PageRequest, Replayed, RunSource, StoreError,
    Workflow, WorkflowChange, WorkflowFilter, WorkflowHead, definition_digest,
};
use sightflow_types::{ExecutionStatus, Problem, WorkflowStatus};

use crate::harness::{Backend, TENANT, World, inline_run, new_workflow};

pub(crate) async fn versions_follow_content<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let base = workflow.definition.clone();
    let mut moved = base.clone();
    moved["nodes"][0]["position"] = json!({"x": 99});
    moved["viewport"] = json!({"zoom": 2});
    let mut changed = moved.clone();
    changed["nodes"][0]["config"] = json!({"name": "front"});
    for (definition, version) in [(base.clone(), 1), (moved.clone(), 1), (changed.clone(), 2), (base.clone(), 3)] {
        let change = WorkflowChange {
            definition: Some(definition.clone()),
            change_summary: Some(format!("to {version}")),
            ..Default::default()
        };
        let after = world.store.update_workflow(TENANT, workflow.id, change).await.expect("update").value;
        assert_eq!((after.version, &after.definition), (version, &definition));
        let stored = world.store.workflow_version(TENANT, workflow.id, version).await.expect("version");
        assert_eq!(stored.definition, definition, "the newest version holds the layout too");
        assert_eq!((after.digest, stored.digest), (definition_digest(&definition), definition_digest(&definition)));
        let head = world.store.workflow_head(TENANT, workflow.id, None).await.expect("head");
        assert_eq!(head, WorkflowHead { status: WorkflowStatus::Draft, version, digest: after.digest });
    }
    let older = world.store.workflow_head(TENANT, workflow.id, Some(2)).await.expect("head");
    assert_eq!((older.version, older.digest), (2, definition_digest(&changed)));
    let absent = world.store.workflow_head(TENANT, workflow.id, Some(4)).await;
    assert!(matches!(absent, Err(StoreError::NotFound("workflow version"))), "{absent:?}");
    let versions = world
        .store
        .workflow_versions(TENANT, workflow.id, PageRequest { limit: 2, before: None })
        .await
        .expect("versions");
    assert_eq!(versions.items.iter().map(|version| version.version).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(versions.items[0].change_summary.as_deref(), Some("to 3"));
    let rest = world
        .store
        .workflow_versions(TENANT, workflow.id, PageRequest { limit: 2, before: versions.next })
        .await
        .expect("rest");
    assert_eq!((rest.items[0].version, rest.next), (1, None));
    assert_eq!(rest.items[0].digest, versions.items[0].digest);
    assert_eq!(world.store.count_workflow_versions(TENANT, workflow.id).await.expect("count"), 3);
}

pub(crate) async fn counts_follow_the_definition<B: Backend>(world: &mut World<B>) {
    let id = world.workflow().await.id;
    for (definition, counts) in [
        (json!({"nodes": [1, 2, 3], "edges": [4]}), (3, 1)),
        (json!({"nodes": [1, 2, 3], "edges": [4], "viewport": {"zoom": 2}}), (3, 1)),
        (json!({"nodes": {"a": 1}}), (0, 0)),
    ] {
        let change = WorkflowChange { definition: Some(definition.clone()), ..Default::default() };
        let changed = world.store.update_workflow(TENANT, id, change).await.expect("update").value;
        assert_eq!((changed.node_count, changed.edge_count), counts, "{definition}");
        assert_eq!(world.store.workflow(TENANT, id).await.expect("get"), changed);
        let versions = world.store.workflow_versions(TENANT, id, PageRequest::default()).await.expect("versions");
        assert_eq!((versions.items[0].node_count, &versions.items[0].definition), (counts.0, &Value::Null));
        assert_eq!(
            world.store.workflow_version(TENANT, id, changed.version).await.expect("version").definition,
            definition
        );
    }
}

pub(crate) async fn stale_versions_are_refused<B: Backend>(world: &mut World<B>) {
    let id = world.workflow().await.id;
    let change = |expected, name: &str| WorkflowChange {
        expected_version: Some(expected),
        name: Some(name.into()),
        definition: Some(json!({"nodes": [name]})),
        ..Default::default()
    };
    world.store.update_workflow(TENANT, id, change(1, "second")).await.expect("update");
    let stale = world.store.update_workflow(TENANT, id, change(1, "third")).await;
    assert!(matches!(stale, Err(StoreError::StaleVersion { expected: 1, current: 2 })), "{stale:?}");
    assert_eq!(world.store.workflow(TENANT, id).await.expect("get").name, "second");
    let cleared = WorkflowChange { description: Some(None), ..Default::default() };
    assert_eq!(world.store.update_workflow(TENANT, id, cleared).await.expect("clear").value.description, None);
}

pub(crate) async fn search_and_pages<B: Backend>(world: &mut World<B>) {
    for name in ["Alpha", "50% blur", "beta"] {
        world.store.create_workflow(NewWorkflow { description: None, ..new_workflow(name) }).await.expect("create");
    }
    let active = NewWorkflow {
        status: WorkflowStatus::Active,
        description: Some("counts BETA cells".into()),
        ..new_workflow("cells")
    };
    world.store.create_workflow(active).await.expect("create");
    let accented =
        NewWorkflow { description: Some("Große Straße".into()), ..new_workflow("Za\u{308}hler КАМЕРА") };
    world.store.create_workflow(accented).await.expect("create");
    let by = |text: &str| WorkflowFilter { search: Some(text.into()), status: None };
    for (filter, expected) in [
        (WorkflowFilter::default(), vec!["Za\u{308}hler КАМЕРА", "cells", "beta", "50% blur", "Alpha"]),
        (by("beta"), vec!["cells", "beta"]),
        (by("ALPHA"), vec!["Alpha"]),
        (by("%"), vec!["50% blur"]),
        (by("_"), vec![]),
        (by("zÄHLER камера"), vec!["Za\u{308}hler КАМЕРА"]),
        (by("STRASSE"), vec!["Za\u{308}hler КАМЕРА"]),
        (by("zahler"), vec![]),
        (WorkflowFilter { search: None, status: Some(WorkflowStatus::Active) }, vec!["cells"]),
    ] {
        let page = world.store.workflows(TENANT, filter.clone(), Definitions::Omit, PageRequest::default());
        let page = page.await.expect("list");
        assert_eq!(page.items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
        let count = world.store.count_workflows(TENANT, filter.clone()).await.expect("count");
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
}

pub(crate) async fn deletion_respects_open_executions<B: Backend>(world: &mut World<B>) {
    let workflow = world.workflow().await;
    let run = NewExecution { source: RunSource::Workflow { id: workflow.id, version: None }, ..inline_run() };
    let open = world.store.submit(run).await.expect("submit").value;
    let refused = world.store.delete_workflow(TENANT, workflow.id, OpenExecutions::Refuse).await;
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    world.store.delete_workflow(TENANT, workflow.id, OpenExecutions::Cancel).await.expect("delete");
    assert_eq!(world.store.execution(TENANT, open.id).await.expect("kept").status, ExecutionStatus::Cancelled);
    assert!(matches!(world.store.workflow(TENANT, workflow.id).await, Err(StoreError::NotFound(_))));
}

pub(crate) async fn keys_replay_creation<B: Backend>(world: &mut World<B>) {
    let key = |key: &str, hash| Idempotency { key: key.into(), request_hash: [hash; 32] };
    let new = |hash| NewWorkflow { idempotency: Some(key("k", hash)), ..new_workflow("once") };
    assert_eq!(world.store.replayed(TENANT, &key("k", 1)).await.expect("unknown"), None);
    let first = world.store.create_workflow(new(1)).await.expect("first");
    let second = world.store.create_workflow(new(1)).await.expect("second");
    assert_eq!((first.value.id, second.replayed), (second.value.id, true));
    assert!(matches!(world.store.create_workflow(new(2)).await, Err(StoreError::IdempotencyConflict)));

    let id = first.value.id;
    let change = || WorkflowChange {
        definition: Some(json!({"nodes": ["new"]})),
        idempotency: Some(key("restore", 1)),
        ..Default::default()
    };
    for replayed in [false, true] {
        let changed = world.store.update_workflow(TENANT, id, change()).await.expect("change");
        assert_eq!((changed.value.version, changed.replayed), (2, replayed));
    }
    let run = NewExecution { idempotency: Some(key("run", 1)), ..inline_run() };
    let run = world.store.submit(run).await.expect("submit").value;
    // Whatever happened to the workflow since.
    world.store.delete_workflow(TENANT, id, OpenExecutions::Refuse).await.expect("delete");
    let replayed = async |name: &str, hash| world.store.replayed(TENANT, &key(name, hash)).await;
    for name in ["k", "restore"] {
        let found = replayed(name, 1).await.expect("known");
        assert!(matches!(found, Some(Replayed::Workflow(workflow)) if workflow.id == id), "{name}");
        assert!(matches!(replayed(name, 2).await, Err(StoreError::IdempotencyConflict)), "{name}");
    }
    assert!(matches!(replayed("run", 1).await.expect("known"), Some(Replayed::Execution(found)) if *found == run));
    world.clock.advance(86_400_000);
    assert_eq!(replayed("run", 1).await.expect("expired"), None);
}

pub(crate) async fn warnings_are_kept_with_the_version<B: Backend>(world: &mut World<B>) {
    let found = |text: &str| vec![Problem::new("W-TEST", "/nodes/0", text)];
    let new = NewWorkflow { warnings: found("first"), ..new_workflow("warned") };
    let id = world.store.create_workflow(new).await.expect("create").value.id;
    let first = world.store.workflow(TENANT, id).await.expect("get").definition;
    let other = json!({"nodes": ["other"]});
    for (definition, warnings, expected) in [
        (None, None, "first"),
        (Some(first), Some(found("again")), "again"),
        (Some(other), Some(found("second")), "second"),
    ] {
        let change = WorkflowChange { definition, warnings, ..Default::default() };
        let changed = world.store.update_workflow(TENANT, id, change).await.expect("change").value;
        assert_eq!(changed.warnings, found(expected));
        assert_eq!(world.store.workflow(TENANT, id).await.expect("get"), changed);
        let list = async |definitions| {
            world.store.workflows(TENANT, WorkflowFilter::default(), definitions, PageRequest::default()).await
        };
        assert_eq!(list(Definitions::Include).await.expect("list").items, std::slice::from_ref(&changed));
        let light = Workflow { definition: Value::Null, ..changed };
        assert_eq!(list(Definitions::Omit).await.expect("list").items, [light]);
    }
}
