//! Models, blobs, time.

use std::sync::Arc;

use serde_json::json;
use sightflow_store::{
    BlobRef, FailureClass, JobFailure, ModelFilter, ModelState, NewBlob, NewExecution, NewModel, RefKind, Retention,
    StoreError,
};
use sightflow_types::{Digest, ModelSource, Task, TenantId};

use crate::harness::{Backend, TENANT, World, completed, failure_of, inline_run};

fn model(id: &str, digest: u8) -> NewModel {
    NewModel {
        id: id.into(),
        tenant_id: TENANT,
        source: ModelSource::Pretrained,
        task: Task::Detection,
        name: format!("Model {id}"),
        digest: Some(Digest::from_bytes([digest; 32])),
        size: Some(10),
        format: "onnx".into(),
        spec: json!({"input_size": [640, 640]}),
    }
}

pub(crate) async fn models_are_found_own_first<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    store.upsert_model(model("b", 1)).await.expect("b");
    store.upsert_model(NewModel { task: Task::Embedding, ..model("a", 1) }).await.expect("a");
    assert_eq!(store.set_model_state(TENANT, "b", ModelState::Broken).await.expect("broken").state, ModelState::Broken);
    assert_eq!(store.upsert_model(model("b", 1)).await.expect("same file").state, ModelState::Broken);
    assert_eq!(store.upsert_model(model("b", 2)).await.expect("new file").state, ModelState::Available);
    let other = TenantId::new();
    assert_eq!(
        store.model(other, "b").await.expect("built-in models are visible").digest,
        Some(Digest::from_bytes([2; 32]))
    );
    assert!(matches!(store.set_model_state(other, "b", ModelState::Disabled).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.model(TENANT, "c").await, Err(StoreError::NotFound(_))));
    let ids = async |filter| {
        store.models(TENANT, filter).await.expect("list").into_iter().map(|model| model.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(ModelFilter::default()).await, ["a", "b"]);
    assert_eq!(ids(ModelFilter { task: Some(Task::Embedding), ..Default::default() }).await, ["a"]);
    assert_eq!(ids(ModelFilter { search: Some("MODEL B".into()), ..Default::default() }).await, ["b"]);
}

/// New weights free those before them, unless another model is made of those too.
pub(crate) async fn replaced_weights_are_freed<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let reference = BlobRef { tenant_id: TENANT, kind: RefKind::Model, ref_id: TENANT.uuid(), expires_at: None };
    for digest in [1, 2] {
        store.record_blob(blob(world, digest), reference).await.expect("weights");
    }
    // Which model gets which weights; what is free afterwards.
    let first = Digest::from_bytes([1; 32]);
    for (id, digest, freed) in
        [("a", 1, vec![]), ("b", 1, vec![]), ("a", 1, vec![]), ("a", 2, vec![]), ("b", 2, vec![first])]
    {
        store.upsert_model(model(id, digest)).await.expect("register");
        world.clock.advance(60_000);
        assert_eq!(store.condemn_blobs(10).await.expect("condemn"), freed, "{id} made of {digest}");
    }
    assert!(store.blob(TENANT, &Digest::from_bytes([2; 32])).await.is_ok(), "what models are made of stays");
}

fn blob<B: Backend>(world: &World<B>, digest: u8) -> NewBlob {
    NewBlob {
        stored_at: world.store.now(),
        digest: Digest::from_bytes([digest; 32]),
        size: 7,
        media_type: "image/png".into(),
        width: Some(4),
        height: Some(2),
    }
}

pub(crate) async fn blob_references_decide<B: Backend>(world: &mut World<B>) {
    let (store, now, other) = (&world.store, world.store.now(), TenantId::new());
    let new = blob(world, 1);
    let digest = new.digest;
    let stored = store.record_blob(new.clone(), BlobRef::upload(TENANT, now)).await.expect("record");
    assert_eq!((stored.size, stored.width, stored.expires_at), (7, Some(4), Some(now.plus_millis(86_400_000))));
    assert!(matches!(store.blob(other, &digest).await, Err(StoreError::NotFound(_))), "knowing a digest gives nothing");
    let theirs = NewExecution { tenant_id: other, input_blobs: vec![digest], ..inline_run() };
    assert!(store.submit(theirs).await.is_err());
    let run = store.submit(NewExecution { input_blobs: vec![digest], ..inline_run() }).await.expect("submit").value;
    assert!(matches!(store.drop_upload(TENANT, &digest).await, Err(StoreError::InUse(_))));
    world.clock.advance(86_400_000);
    assert_eq!(store.prune(Retention::default(), 10).await.expect("prune").uploads, 1);
    world.clock.advance(60_000);
    assert!(store.condemn_blobs(10).await.expect("condemn").is_empty(), "an execution still refers to it");
    assert_eq!(store.blob(TENANT, &digest).await.expect("kept").expires_at, None);
    let engine = world.engine().await;
    let lease = store.start_executions(engine, 1).await.expect("start")[0].lease();
    let output = blob(world, 2);
    let reference = BlobRef { tenant_id: TENANT, kind: RefKind::Output, ref_id: run.id.uuid(), expires_at: None };
    store.record_blob(output.clone(), reference).await.expect("output");
    let end = sightflow_store::FinishedExecution { output_blobs: vec![output.digest], ..completed() };
    store.finish(lease, end).await.expect("finish");
    store.delete_execution(TENANT, run.id).await.expect("delete");
    assert!(matches!(store.blob(TENANT, &digest).await, Err(StoreError::NotFound(_))));
    world.clock.advance(60_000);
    assert_eq!(store.condemn_blobs(10).await.expect("condemn").len(), 2);
}

pub(crate) async fn deletion_looks_twice<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let new = blob(world, 1);
    let upload = || BlobRef::upload(TENANT, store.now());
    store.record_blob(new.clone(), upload()).await.expect("record");
    store.drop_upload(TENANT, &new.digest).await.expect("drop");
    assert!(matches!(store.drop_upload(TENANT, &new.digest).await, Err(StoreError::NotFound(_))));
    world.clock.advance(59_999);
    assert!(store.condemn_blobs(10).await.expect("early").is_empty());
    // Referred to again in between: the minute starts anew.
    store.record_blob(new.clone(), upload()).await.expect("the same picture again");
    world.clock.advance(1);
    assert!(store.condemn_blobs(10).await.expect("referred to").is_empty());
    store.drop_upload(TENANT, &new.digest).await.expect("drop");
    world.clock.advance(60_000);
    assert_eq!(store.condemn_blobs(10).await.expect("second look"), [new.digest]);
    assert_eq!(store.condemn_blobs(10).await.expect("after a crash"), [new.digest]);
    let run = NewExecution { input_blobs: vec![new.digest], ..inline_run() };
    assert!(matches!(store.submit(run).await, Err(StoreError::MissingBlob(_))));
    assert!(matches!(store.blob(TENANT, &new.digest).await, Err(StoreError::NotFound(_))));
}

/// Whoever found old bytes just before they were deleted is told to store them again.
pub(crate) async fn bytes_that_were_deleted_meanwhile_are_refused<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let new = blob(world, 1);
    store.record_blob(new.clone(), BlobRef::upload(TENANT, store.now())).await.expect("record");
    store.drop_upload(TENANT, &new.digest).await.expect("drop");
    world.clock.advance(60_000);
    let run = |stored_at| NewExecution { new_blobs: vec![NewBlob { stored_at, ..new.clone() }], ..inline_run() };
    let before = store.now();
    let busy = |answer| matches!(answer, Err(StoreError::BlobBusy(digest)) if digest == new.digest);
    store.condemn_blobs(10).await.expect("condemn");
    assert!(busy(store.submit(run(before)).await.map(drop)), "while they are deleted");
    assert!(busy(
        store
            .record_blob(NewBlob { stored_at: before, ..new.clone() }, BlobRef::upload(TENANT, before))
            .await
            .map(drop)
    ));
    world.clock.advance(5);
    store.forget_blobs(vec![new.digest]).await.expect("forget");
    assert!(busy(store.submit(run(before)).await.map(drop)), "after they were deleted");
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 0, "nothing is half written");
    world.clock.advance(1);
    let stored = store.submit(run(store.now())).await.expect("stored again").value;
    assert_eq!(store.blob(TENANT, &new.digest).await.expect("readable").expires_at, None, "the run alone refers to it");
    store.cancel(TENANT, stored.id).await.expect("cancel");
    store.delete_execution(TENANT, stored.id).await.expect("delete");
    world.clock.advance(60_000);
    assert_eq!(store.condemn_blobs(10).await.expect("freed with its run"), [new.digest]);
}

pub(crate) async fn bytes_without_a_row_are_condemned<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let known = blob(world, 1);
    store.record_blob(known.clone(), BlobRef::upload(TENANT, store.now())).await.expect("record");
    let orphan = Digest::from_bytes([9; 32]);
    assert_eq!(store.condemn_unknown(vec![known.digest, orphan]).await.expect("condemn"), [orphan]);
    assert!(store.condemn_unknown(vec![known.digest, orphan]).await.expect("again").is_empty());
    let found = NewBlob { digest: orphan, ..known.clone() };
    assert!(matches!(
        store.record_blob(found, BlobRef::upload(TENANT, store.now())).await,
        Err(StoreError::BlobBusy(_))
    ));
    store.forget_blobs(vec![known.digest, orphan]).await.expect("forget");
    assert!(store.blob(TENANT, &known.digest).await.is_ok(), "what is not condemned is not forgotten");
    assert_eq!(world.count("SELECT count(*) FROM wf_blobs").await, 1);
}

/// Submits of one picture against the collector: a run that was accepted has its bytes.
pub(crate) async fn submit_against_the_collector<B: Backend>(world: &mut World<B>) {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    // The bytes: whether they are stored. Storing them finds them or writes them.
    let bytes = Arc::new(AtomicBool::new(false));
    let digest = blob(world, 1).digest;
    for round in 0..60_u32 {
        let template = blob(world, 1);
        let (store, stored) = (world.store.clone(), bytes.clone());
        let client = tokio::spawn(async move {
            loop {
                let stored_at = store.now();
                stored.store(true, SeqCst);
                for _ in 0..round % 7 {
                    tokio::task::yield_now().await;
                }
                let new_blobs = vec![NewBlob { stored_at, ..template.clone() }];
                match store.submit(NewExecution { new_blobs, ..inline_run() }).await {
                    Ok(run) => return run.value.id,
                    Err(StoreError::BlobBusy(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        loop {
            world.clock.advance(60_000);
            let condemned = world.store.condemn_blobs(10).await.expect("condemn");
            if !condemned.is_empty() {
                bytes.store(false, SeqCst);
                world.store.forget_blobs(condemned).await.expect("forget");
                world.clock.advance(1);
            }
            if client.is_finished() {
                break;
            }
        }
        let run = client.await.expect("client");
        assert!(bytes.load(SeqCst), "round {round}: the bytes are there");
        assert!(world.store.blob(TENANT, &digest).await.is_ok(), "round {round}: and so is the row");
        world.store.cancel(TENANT, run).await.expect("cancel");
        world.store.delete_execution(TENANT, run).await.expect("delete");
    }
}

/// A wall clock that was a year ahead once: nothing waits for that year.
pub(crate) async fn a_wrong_clock_is_survived<B: Backend>(world: &mut World<B>) {
    const YEAR: i64 = 365 * 86_400_000;
    world.clock.step(YEAR);
    let (_, jobs) = world.with_jobs(1).await;
    let worker = world.worker().await;
    let claimed = world.claim(worker, 1).await;
    let held = JobFailure { hold_ms: Some(30_000), ..failure_of(&claimed[0], FailureClass::Transient) };
    world.store.fail_jobs(worker, vec![held]).await.expect("fail");
    // In this process time goes on from there.
    world.clock.step(-YEAR);
    world.clock.advance(5_000);
    let run = world.submit().await;
    assert_eq!(run.created_at.millis_since(jobs[0].created_at), 5_000);
    // The next process goes by the right clock, and what waited for the wrong one need not.
    world.reopen().await;
    let right = world.submit().await;
    assert!(right.created_at < run.created_at);
    assert_eq!(world.store.promote_due(10).await.expect("promote"), 1);
    let waiting = world.store.execution(TENANT, run.id).await.expect("get");
    assert_eq!(waiting.deadline_at, right.deadline_at);
}

pub(crate) async fn time_never_goes_back<B: Backend>(world: &mut World<B>) {
    let first = world.submit().await;
    world.clock.step(-30_000);
    world.clock.advance(10);
    let second = world.submit().await;
    assert_eq!(second.created_at.millis_since(first.created_at), 10, "and does not stand still");
    world.reopen().await;
    assert!(world.submit().await.created_at >= first.created_at);
}
