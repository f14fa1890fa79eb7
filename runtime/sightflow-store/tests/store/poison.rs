//! Rows that cannot be read are set aside alone: nobody else waits for them.

use serde_json::json;
use sightflow_store::{
    Append, Definitions, ExecutionFilter, JobFilter, ModelFilter, ModelState, NewModel, PageRequest, StoreError,
    WorkflowChange, WorkflowFilter,
};
use sightflow_types::{ModelSource, Task};

use crate::harness::{Backend, TENANT, World, new_workflow, record};
use crate::sqlite::Sqlite;

/// What no statement of the store writes: a column and a value that passes as its type.
const EXECUTIONS: &[(&str, &str)] = &[
    ("input_data", "'[1]'"),
    ("input_data", "'{\"parameters\": 7}'"),
    ("input_data", "'{'"),
    ("definition_digest", "'sha256:short'"),
    ("metadata", "'nope'"),
    ("progress", "'[]'"),
    ("pins", "'7'"),
    ("error_cause", "'{}'"),
    ("execution_mode", "'sideways'"),
    ("status", "'resting'"),
    ("priority", "300"),
    ("max_retries", "-1"),
    ("tenant_id", "'nobody'"),
    ("batch_id", "'x'"),
    ("traceparent", "CAST(x'ff' AS TEXT)"),
];

const JOBS: &[(&str, &str)] = &[
    ("params", "'{'"),
    ("input", "''"),
    ("metadata", "'{'"),
    ("task", "'juggling'"),
    ("model_digest", "'sha256:short'"),
    ("workflow_id", "'x'"),
    ("pixels", "-1"),
    ("error_message", "CAST(x'ff' AS TEXT)"),
];

async fn poison(world: &World<Sqlite>, table: &str, id: &str, column: &str, value: &str) {
    let sql = format!(
        "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;
         DROP TRIGGER IF EXISTS wf_executions_guard; UPDATE {table} SET {column} = {value} WHERE id = '{id}'"
    );
    world.backend.execute(&sql).await.expect("poison");
}

async fn status(world: &World<Sqlite>, table: &str, id: &str) -> Vec<String> {
    world
        .backend
        .column(&format!("SELECT status || ' ' || coalesce(error_code, '-') FROM {table} WHERE id = '{id}'"))
        .await
}

#[tokio::test]
async fn engines_start_what_can_be_read() {
    let world = World::<Sqlite>::new().await;
    let engine = world.engine().await;
    for (column, value) in EXECUTIONS {
        let what = format!("{column} = {value}");
        let (poisoned, sound) = (world.submit().await.id, world.submit().await.id);
        let id = poisoned.uuid().to_string();
        poison(&world, "wf_executions", &id, column, value).await;
        let started = world.store.start_executions(engine, 10).await.expect(&what);
        assert_eq!(started.iter().map(|run| run.execution.id).collect::<Vec<_>>(), [sound], "{what}");
        // A status that leads nowhere cannot be left, but it is out of everybody's way.
        if *column != "status" {
            assert_eq!(status(&world, "wf_executions", &id).await, ["failed E-INTERNAL"], "{what}");
        }
        assert_eq!(world.store.queue_depth().await.expect("depth").waiting_executions, 0, "{what}");
        let page =
            world.store.executions(TENANT, ExecutionFilter::default(), PageRequest::default()).await.expect(&what);
        assert!(page.items.iter().any(|item| item.id == sound), "{what}");
        // Shown with its fault, unless it belongs to nobody or is no text at all.
        if let Some(shown) = page.items.iter().find(|item| item.id == poisoned) {
            let code = shown.error.as_ref().map(|error| error.code.as_str());
            assert_eq!(code, Some("E-INTERNAL"), "{what}");
            assert_eq!(
                world.store.execution(TENANT, poisoned).await.expect(&what).error.map(|error| error.code),
                shown.error.as_ref().map(|error| error.code.clone())
            );
        } else {
            assert!(["tenant_id", "traceparent"].contains(column), "{what}");
        }
    }
}

/// The definition is read apart from the row: whoever asks for it learns that it cannot be read.
#[tokio::test]
async fn a_definition_that_cannot_be_read_is_named() {
    let world = World::<Sqlite>::new().await;
    for value in ["'{'", "CAST(x'ff' AS TEXT)"] {
        let run = world.running().await;
        poison(&world, "wf_executions", &run.execution.id.uuid().to_string(), "definition", value).await;
        let read = world.store.execution_definition(TENANT, run.execution.id).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{value}: {read:?}");
    }
    // Neither does it hinder a new process.
    let mut world = world;
    world.reopen().await;
}

/// A record that cannot be read is shown as empty, and the execution names it.
#[tokio::test]
async fn a_record_that_cannot_be_read_hides_nothing_else() {
    let world = World::<Sqlite>::new().await;
    for value in ["'{'", "'7'", "CAST(x'ff' AS TEXT)"] {
        let run = world.running().await;
        let records = vec![record("a", "", json!({"n": 1})), record("b", "", json!({"n": 2}))];
        world.store.append_events(run.lease(), Append { records, ..Append::default() }).await.expect("append");
        let sql = format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE wf_node_records SET record = {value} WHERE node_id = 'a'"
        );
        world.backend.execute(&sql).await.expect("poison");
        let shown = world.store.execution(TENANT, run.execution.id).await.expect(value);
        assert_eq!(shown.node_metrics, json!({"a": {}, "b": {"n": 2}}), "{value}");
        assert_eq!(shown.error.expect(value).code, "E-INTERNAL");
    }
}

#[tokio::test]
async fn engines_take_over_what_can_be_read() {
    for (column, value) in EXECUTIONS {
        let mut world = World::<Sqlite>::new().await;
        let (poisoned, sound) = (world.running().await.execution.id, world.running().await.execution.id);
        let id = poisoned.uuid().to_string();
        poison(&world, "wf_executions", &id, column, value).await;
        world.reopen().await;
        let engine = world.engine().await;
        let taken = world.store.take_over(engine, 10).await.expect("take over");
        assert_eq!(taken.iter().map(|run| run.execution.id).collect::<Vec<_>>(), [sound], "{column} = {value}");
        assert!(world.store.take_over(engine, 10).await.expect("again").is_empty(), "{column} = {value}");
    }
}

#[tokio::test]
async fn an_execution_without_a_readable_id_is_set_aside() {
    let world = World::<Sqlite>::new().await;
    let engine = world.engine().await;
    let (poisoned, sound) = (world.submit().await.id, world.submit().await.id);
    let id = poisoned.uuid().to_string();
    let sql = format!(
        "PRAGMA foreign_keys = OFF; UPDATE wf_executions SET id = 'zzz' WHERE id = '{id}';
         UPDATE wf_ready_executions SET execution_id = 'zzz' WHERE execution_id = '{id}'"
    );
    world.backend.execute(&sql).await.expect("poison");
    let started = world.store.start_executions(engine, 10).await.expect("start");
    assert_eq!(started.iter().map(|run| run.execution.id).collect::<Vec<_>>(), [sound]);
    assert_eq!(status(&world, "wf_executions", "zzz").await, ["failed E-INTERNAL"]);
    let page = world.store.executions(TENANT, ExecutionFilter::default(), PageRequest::default()).await.expect("list");
    assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [sound], "it cannot even be named");
    world.check().await;
}

#[tokio::test]
async fn workers_claim_what_can_be_read() {
    for (column, value) in JOBS {
        let what = format!("{column} = {value}");
        let world = World::<Sqlite>::new().await;
        let (lease, jobs) = world.with_jobs(3).await;
        let id = jobs[1].id.uuid().to_string();
        poison(&world, "wf_inference_jobs", &id, column, value).await;
        let worker = world.worker().await;
        let claimed = world.claim(worker, 10).await;
        assert_eq!(claimed.iter().map(|job| job.job.item_path.as_str()).collect::<Vec<_>>(), ["0", "2"], "{what}");
        assert_eq!(status(&world, "wf_inference_jobs", &id).await, ["failed E-INTERNAL"], "{what}");
        assert!(world.claim(worker, 10).await.is_empty(), "{what}");
        assert!(world.kinds(lease).await.contains(&"job.failed".to_owned()), "its execution is told: {what}");
        if *column != "error_message" {
            let ended = world.store.ended_jobs(jobs.iter().map(|job| job.id).collect()).await.expect(&what);
            let codes: Vec<_> = ended.iter().map(|job| job.error_code.as_deref()).collect();
            assert_eq!(codes, [Some("E-INTERNAL")], "{what}");
        }
        let page = world.store.jobs(TENANT, JobFilter::default(), PageRequest::default()).await.expect(&what);
        assert_eq!(page.items.len(), 3, "{what}");
        world.check().await;
    }
}

#[tokio::test]
async fn a_new_definition_takes_the_place_of_one_that_cannot_be_read() {
    let world = World::<Sqlite>::new().await;
    for value in ["'{'", "'[]'", "''", "CAST(x'ff' AS TEXT)"] {
        let sound = world.workflow().await;
        let id = sound.id.uuid().to_string();
        let sql = format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE wf_workflow_versions SET definition = {value} WHERE workflow_id = '{id}'"
        );
        world.backend.execute(&sql).await.expect("poison");
        assert!(matches!(world.store.workflow(TENANT, sound.id).await, Err(StoreError::DamagedWorkflow(_))), "{value}");
        let version = world.store.workflow_version(TENANT, sound.id, 1).await;
        assert!(matches!(version, Err(StoreError::DamagedWorkflow(_))), "{value}: {version:?}");
        world.store.check_workflow(TENANT, sound.id).await.expect(value);
        let rename = WorkflowChange { name: Some("other".into()), ..Default::default() };
        let refused = world.store.update_workflow(TENANT, sound.id, rename).await;
        assert!(matches!(refused, Err(StoreError::DamagedWorkflow(_))), "{value}: {refused:?}");
        let mend = WorkflowChange { definition: Some(sound.definition.clone()), ..Default::default() };
        let mended = world.store.update_workflow(TENANT, sound.id, mend).await.expect(value).value;
        assert_eq!((mended.version, &mended.definition), (2, &sound.definition), "{value}");
        assert_eq!(world.store.workflow(TENANT, sound.id).await.expect(value), mended);
    }
    let nobody = world.store.check_workflow(TENANT, sightflow_types::WorkflowId::new()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
}

#[tokio::test]
async fn lists_show_what_cannot_be_read_as_such() {
    let world = World::<Sqlite>::new().await;
    let poisoned = world.workflow().await.id;
    let sound = world.store.create_workflow(new_workflow("sound")).await.expect("create").value;
    let id = poisoned.uuid().to_string();
    let definition = format!("UPDATE wf_workflow_versions SET definition = '[]' WHERE workflow_id = '{id}'");
    world.backend.execute(&definition).await.expect("poison");
    // After the definition itself, each keeps the row unreadable.
    for (column, value) in [("description", "NULL"), ("status", "'odd'"), ("run_count", "-1"), ("current_version", "7")]
    {
        poison(&world, "wf_workflows", &id, column, value).await;
        let page =
            world.store.workflows(TENANT, WorkflowFilter::default(), Definitions::Include, PageRequest::default());
        let page = page.await.expect(column);
        assert_eq!(page.items[0], sound, "{column}");
        assert_eq!((page.items[1].id, page.items[1].warnings[0].code.as_str()), (poisoned, "E-INTERNAL"));
        assert!(world.store.workflow(TENANT, poisoned).await.is_err(), "nobody edits what was not read");
        if ["status", "current_version"].contains(&column) {
            let head = world.store.workflow_head(TENANT, poisoned, None).await;
            assert!(matches!(head, Err(StoreError::DamagedWorkflow(_))), "{column}: {head:?}");
        }
    }
    for id in ["a", "b"] {
        let new = NewModel {
            id: id.into(),
            tenant_id: TENANT,
            source: ModelSource::Pretrained,
            task: Task::Detection,
            name: id.into(),
            digest: None,
            size: None,
            format: "onnx".into(),
            spec: serde_json::json!({}),
        };
        world.store.upsert_model(new).await.expect("model");
    }
    for (column, value) in
        [("spec", "'[]'"), ("spec", "'{'"), ("task", "'juggling'"), ("state", "'odd'"), ("digest", "'x'")]
    {
        poison(&world, "wf_models", "a", column, value).await;
        let models = world.store.models(TENANT, ModelFilter::default()).await.expect(column);
        let states: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.state)).collect();
        assert_eq!(states, [("a", ModelState::Broken), ("b", ModelState::Available)], "{column} = {value}");
    }
}
