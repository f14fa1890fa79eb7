//! Calls that reach the outside, and the secrets that go with them.

use serde_json::json;
use sightflow_store::{BegunEffect, EffectEnd, EffectState, ExecutionLease, NewEffect, PackageGrants, StoreError};
use sightflow_types::error::{RunError, code};
use sightflow_types::{ExecutionId, TenantId};

use crate::harness::{Backend, TENANT, World, completed};

fn call(item: &str, repeatable: bool) -> NewEffect {
    NewEffect { node_id: "ask".into(), item_path: item.into(), repeatable }
}

async fn begin<B: Backend>(world: &World<B>, lease: ExecutionLease, call: NewEffect) -> BegunEffect {
    world.store.begin_effect(lease, call).await.expect("begun")
}

async fn end<B: Backend>(world: &World<B>, lease: ExecutionLease, item: &str, end: EffectEnd) {
    world.store.end_effect(lease, "ask", item, end).await.expect("recorded");
}

async fn states<B: Backend>(world: &World<B>, id: ExecutionId) -> Vec<(String, EffectState, u32)> {
    let effects = world.store.effects(TENANT, id).await.expect("listed");
    effects.into_iter().map(|effect| (effect.item_path, effect.state, effect.attempt)).collect()
}

/// The lease of whoever goes on when the engine is gone.
async fn next<B: Backend>(world: &World<B>) -> ExecutionLease {
    world.clock.advance(15_000);
    world.store.rescue().await.expect("declared gone");
    let engine = world.engine().await;
    world.store.take_over(engine, 10).await.expect("taken over").remove(0).lease()
}

pub(crate) async fn what_has_an_answer_is_not_sent_again<B: Backend>(world: &mut World<B>) {
    let old = world.running().await.lease();
    let (answer, error) = (json!({"text": "a cat"}), RunError::new(code::BLOCK_FAILED, "no"));
    for item in ["0", "1", "2"] {
        assert_eq!(begin(world, old, call(item, false)).await, BegunEffect::Send);
    }
    end(world, old, "0", EffectEnd::Done(answer.clone())).await;
    end(world, old, "1", EffectEnd::Failed { error: error.clone(), again: false }).await;
    end(world, old, "2", EffectEnd::Failed { error: error.clone(), again: true }).await;
    let again = world.store.end_effect(old, "ask", "0", EffectEnd::Done(json!(1))).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "an answer stays");
    world.reopen().await;
    let new = next(world).await;
    assert_eq!(begin(world, new, call("0", false)).await, BegunEffect::Done(answer));
    assert_eq!(begin(world, new, call("1", false)).await, BegunEffect::Failed(error));
    assert_eq!(begin(world, new, call("2", false)).await, BegunEffect::Send);
    let state = |item: &str, state, attempt| (item.to_owned(), state, attempt);
    let expected =
        [state("0", EffectState::Done, 1), state("1", EffectState::Failed, 1), state("2", EffectState::Sending, 2)];
    assert_eq!(states(world, new.execution_id).await, expected);
    assert_eq!(world.store.effects(TenantId::new(), new.execution_id).await.expect("another's"), []);
}

pub(crate) async fn what_may_have_arrived_is_repeated_only_if_it_may_be<B: Backend>(world: &mut World<B>) {
    let old = world.running().await.lease();
    begin(world, old, call("0", true)).await;
    begin(world, old, call("1", false)).await;
    let new = next(world).await;
    assert!(matches!(world.store.begin_effect(old, call("2", true)).await, Err(StoreError::StaleLease)));
    let late = world.store.end_effect(old, "ask", "0", EffectEnd::Done(json!(1))).await;
    assert!(matches!(late, Err(StoreError::StaleLease)));
    assert_eq!(begin(world, new, call("0", true)).await, BegunEffect::Send);
    for _ in 0..2 {
        let BegunEffect::Failed(error) = begin(world, new, call("1", false)).await else { panic!("sent again") };
        assert_eq!(error.code, code::EFFECT_UNKNOWN);
    }
    let found = world.store.effects(TENANT, new.execution_id).await.expect("listed");
    assert_eq!(found[1].error.as_ref().map(|error| error.code.as_str()), Some(code::EFFECT_UNKNOWN));
    assert!(found[1].completed_at.is_some() && found[0].completed_at.is_none());
    end(world, new, "0", EffectEnd::Done(json!(1))).await;
    world.store.finish(new, completed()).await.expect("finished");
    world.store.delete_execution(TENANT, new.execution_id).await.expect("deleted");
    assert_eq!(world.count("SELECT count(*) FROM wf_effects").await, 0);
}

pub(crate) async fn secrets_are_a_tenant_s_own<B: Backend>(world: &mut World<B>) {
    let (store, other) = (&world.store, TenantId::new());
    store.put_secret(TENANT, "KEY", vec![1, 2]).await.expect("put");
    store.put_secret(TENANT, "KEY", vec![3]).await.expect("put again");
    assert_eq!(store.secret(TENANT, "KEY").await.expect("there"), [3]);
    assert!(matches!(store.secret(other, "KEY").await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.delete_secret(other, "KEY").await, Err(StoreError::NotFound(_))));
    assert_eq!(store.secrets(other).await.expect("none"), []);
    for number in 1..256 {
        store.put_secret(TENANT, &format!("S{number}"), vec![0]).await.expect("room");
    }
    assert!(matches!(store.put_secret(TENANT, "more", vec![0]).await, Err(StoreError::Quota(_))));
    store.put_secret(TENANT, "KEY", vec![4]).await.expect("one that is there takes no room");
    store.delete_secret(TENANT, "KEY").await.expect("deleted");
    assert_eq!(store.secrets(TENANT).await.expect("listed").len(), 255);
}

pub(crate) async fn grants_belong_to_the_package<B: Backend>(world: &mut World<B>) {
    let first = crate::packages::publish(world, "acme/ask", "1.0.0", 1).await.package;
    assert_eq!(first.grants, PackageGrants::default());
    let grants = PackageGrants {
        capabilities: vec!["http:api.example.com".parse().expect("one")],
        secrets: [("KEY".to_owned(), "stored".to_owned())].into(),
    };
    let revision = world.store.package_changes(0).await.expect("changes").revision;
    let granted = world.store.grant_block_package(TENANT, first.id, grants.clone()).await.expect("granted");
    assert_eq!(granted.grants, grants);
    let changes = world.store.package_changes(revision).await.expect("changes");
    assert_eq!(changes.tenants, [TENANT], "every process learns of it");
    let second = crate::packages::publish(world, "acme/ask", "2.0.0", 2).await.package;
    assert_eq!(second.grants, grants, "a new version has them, too");
    let named = world.store.named_block_versions(TENANT).await.expect("listed");
    assert!(named.iter().all(|version| version.grants == grants));
    let others = world.store.grant_block_package(TenantId::new(), first.id, grants).await;
    assert!(matches!(others, Err(StoreError::NotFound(_))));
}
