//! Models, blobs, time.

use serde_json::json;
use sightflow_store::{BlobRef, ModelFilter, ModelState, NewBlob, NewExecution, NewModel, RefKind, StoreError};
use sightflow_types::{Digest, ModelSource, Task, TenantId};

use crate::harness::{Backend, TENANT, World, completed, inline_run};

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

fn blob(digest: u8) -> NewBlob {
    NewBlob {
        digest: Digest::from_bytes([digest; 32]),
        size: 7,
        media_type: "image/png".into(),
        width: Some(4),
        height: Some(2),
    }
}

pub(crate) async fn blob_references_decide<B: Backend>(world: &mut World<B>) {
    let (store, now, other) = (&world.store, world.store.now(), TenantId::new());
    let new = blob(1);
    let digest = new.digest;
    let stored = store.record_blob(new.clone(), BlobRef::upload(TENANT, now)).await.expect("record");
    assert_eq!((stored.size, stored.width, stored.expires_at), (7, Some(4), Some(now.plus_millis(86_400_000))));
    assert!(matches!(store.blob(other, &digest).await, Err(StoreError::NotFound(_))), "knowing a digest gives nothing");
    let theirs = NewExecution { tenant_id: other, input_blobs: vec![digest], ..inline_run() };
    assert!(store.submit(theirs).await.is_err());
    let run = store.submit(NewExecution { input_blobs: vec![digest], ..inline_run() }).await.expect("submit").value;
    assert!(matches!(store.drop_upload(TENANT, &digest).await, Err(StoreError::InUse(_))));
    world.clock.advance(86_400_000);
    assert_eq!(store.mark_unreferenced_blobs(10).await.expect("sweep"), 0, "an execution still refers to it");
    assert_eq!(store.blob(TENANT, &digest).await.expect("kept").expires_at, None);
    let engine = world.engine().await;
    let lease = store.start_executions(engine, 1).await.expect("start")[0].lease();
    let output = blob(2);
    let reference = BlobRef { tenant_id: TENANT, kind: RefKind::Output, ref_id: run.id.uuid(), expires_at: None };
    store.record_blob(output.clone(), reference).await.expect("output");
    let end = sightflow_store::FinishedExecution { output_blobs: vec![output.digest], ..completed() };
    store.finish(lease, end).await.expect("finish");
    store.delete_execution(TENANT, run.id).await.expect("delete");
    assert!(matches!(store.blob(TENANT, &digest).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.mark_unreferenced_blobs(10).await.expect("sweep"), 2);
}

pub(crate) async fn deletion_looks_twice<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let new = blob(1);
    store.record_blob(new.clone(), BlobRef::upload(TENANT, store.now())).await.expect("record");
    store.drop_upload(TENANT, &new.digest).await.expect("drop");
    assert!(matches!(store.drop_upload(TENANT, &new.digest).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.mark_unreferenced_blobs(10).await.expect("first look"), 1);
    let reference = BlobRef::upload(TENANT, store.now());
    assert!(matches!(store.record_blob(new.clone(), reference).await, Err(StoreError::BlobBusy(_))));
    assert!(matches!(store.add_blob_refs(vec![new.digest], reference).await, Err(StoreError::MissingBlob(_))));
    world.clock.advance(59_999);
    assert!(store.deletable_blobs(10).await.expect("early").is_empty());
    world.clock.advance(1);
    assert_eq!(store.deletable_blobs(10).await.expect("second look"), [new.digest]);
    store.forget_blob(&new.digest).await.expect("forget");
    store.record_blob(new, BlobRef::upload(TENANT, store.now())).await.expect("it may come again");
}

pub(crate) async fn time_never_goes_back<B: Backend>(world: &mut World<B>) {
    let first = world.submit().await;
    world.clock.advance(-60_000);
    let second = world.submit().await;
    assert!(second.created_at >= first.created_at);
    assert!(world.store.now() >= first.created_at);
    world.reopen().await;
    assert!(world.submit().await.created_at >= first.created_at);
}
