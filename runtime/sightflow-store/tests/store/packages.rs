//! Block packages and their versions.

use serde_json::json;
use sightflow_store::{
    Activation, BlockPackage, BlockVersionState, NewBlob, NewBlockVersion, PackageKey, PackageQuota, PublishedVersion,
    Quarantined, Result, Retention, Signal, StoreError,
};
use sightflow_types::{Digest, TenantId};

use crate::harness::{Backend, TENANT, World, inline_run};

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

pub(crate) fn new<B: Backend>(world: &World<B>, package: &str, version: &str, byte: u8) -> NewBlockVersion {
    NewBlockVersion {
        tenant_id: TENANT,
        package: package.into(),
        version: version.into(),
        component: NewBlob {
            digest: digest(byte),
            size: 10,
            media_type: "application/wasm".into(),
            width: None,
            height: None,
            stored_at: world.store.now(),
        },
        manifests: json!([{"name": "gap"}]),
        wit_version: "0.1".into(),
        signed_by: None,
        activation: Activation::Activate,
        quota: PackageQuota::default(),
    }
}

pub(crate) async fn publish<B: Backend>(world: &World<B>, package: &str, version: &str, byte: u8) -> PublishedVersion {
    world.store.publish_block_version(new(world, package, version, byte)).await.expect("published")
}

fn versions(package: &BlockPackage) -> (Option<&str>, Option<&str>) {
    (package.active_version.as_deref(), package.previous_version.as_deref())
}

pub(crate) async fn activation_and_rollback_are_one_step<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let first = publish(world, "acme/retail", "1.0.0", 1).await;
    assert_eq!((versions(&first.package), first.known), ((Some("1.0.0"), None), false));
    let second = publish(world, "Acme/retail", "2.0.0", 2).await.package;
    assert_eq!((second.id, second.name.as_str()), (first.package.id, "acme/retail"), "names are compared folded");
    assert_eq!(versions(&second), (Some("2.0.0"), Some("1.0.0")));
    let kept = NewBlockVersion { activation: Activation::Keep, ..new(world, "acme/retail", "3.0.0", 3) };
    let kept = store.publish_block_version(kept).await.expect("published");
    assert_eq!(versions(&kept.package), (Some("2.0.0"), Some("1.0.0")));
    let id = second.id;
    let back = store.roll_back_block_package(TENANT, id).await.expect("back");
    assert_eq!(versions(&back), (Some("1.0.0"), Some("2.0.0")));
    let forth = store.roll_back_block_package(TENANT, id).await.expect("forth");
    assert_eq!(versions(&forth), (Some("2.0.0"), Some("1.0.0")));
    let third = store.activate_block_version(TENANT, id, "3.0.0", Quarantined::Refuse).await.expect("third");
    assert_eq!(versions(&third), (Some("3.0.0"), Some("2.0.0")));
    let again = store.activate_block_version(TENANT, id, "3.0.0", Quarantined::Refuse).await.expect("again");
    assert_eq!(versions(&again), (Some("3.0.0"), Some("2.0.0")), "what is active already changes nothing");
    let unknown = store.activate_block_version(TENANT, id, "4.0.0", Quarantined::Refuse).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))), "{unknown:?}");
    let named = store.named_block_versions(TENANT).await.expect("named");
    let named: Vec<_> = named.iter().map(|named| (named.version.version.as_str(), named.active)).collect();
    assert_eq!(named, [("1.0.0", false), ("2.0.0", false), ("3.0.0", true)]);
    let listed = store.block_versions(TENANT, id).await.expect("versions");
    let listed: Vec<_> = listed.iter().map(|version| (version.version.as_str(), version.digest)).collect();
    assert_eq!(listed, [("3.0.0", digest(3)), ("2.0.0", digest(2)), ("1.0.0", digest(1))]);

    let quarantined = store.quarantine_block_version(TENANT, id, "3.0.0", "it traps").await.expect("quarantined");
    assert_eq!(versions(&quarantined), (Some("2.0.0"), None), "the previous one takes its place");
    let refused = store.activate_block_version(TENANT, id, "3.0.0", Quarantined::Refuse).await;
    assert!(matches!(&refused, Err(StoreError::Conflict(why)) if why.ends_with("it traps")), "{refused:?}");
    let none = store.roll_back_block_package(TENANT, id).await;
    assert!(matches!(none, Err(StoreError::Conflict(_))), "{none:?}");
    let forced = store.activate_block_version(TENANT, id, "3.0.0", Quarantined::Release).await.expect("forced");
    assert_eq!(versions(&forced), (Some("3.0.0"), Some("2.0.0")));
    let released = store.block_version(TENANT, id, "3.0.0").await.expect("version");
    assert_eq!((released.state, released.reason), (BlockVersionState::Published, None));
}

pub(crate) async fn a_version_s_bytes_never_change<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let first = publish(world, "acme/retail", "1.0.0", 1).await;
    publish(world, "acme/retail", "1.1.0", 2).await;
    let same = publish(world, "acme/retail", "1.0.0", 1).await;
    assert!(same.known);
    let active = store.block_package(TENANT, PackageKey::Id(first.package.id)).await.expect("package");
    assert_eq!(same.package, active);
    let again = publish(world, "acme/retail", "1.0.0", 1).await;
    assert_eq!(again.package, same.package, "nothing has changed, not even the time");
    assert_eq!((same.version, same.package.id), (first.version, first.package.id));
    let other = store.publish_block_version(new(world, "acme/retail", "1.0.0", 3)).await;
    assert!(matches!(other, Err(StoreError::AlreadyExists(_))), "{other:?}");
    store.yank_block_version(TENANT, first.package.id, "1.0.0").await.expect("yanked");
    let other = store.publish_block_version(new(world, "acme/retail", "1.0.0", 3)).await;
    assert!(matches!(other, Err(StoreError::AlreadyExists(_))), "withdrawn or not: {other:?}");
    assert!(matches!(store.blob(TENANT, &digest(3)).await, Err(StoreError::NotFound(_))), "a refusal stores nothing");
    let raw = "UPDATE wf_block_versions SET digest = 'sha256:0' WHERE version = '1.1.0'";
    assert!(world.backend.execute(raw).await.is_err());
    assert!(!publish(world, "acme/retail", "1.0.0", 1).await.known, "it is published again");
}

pub(crate) async fn other_tenants_have_no_packages<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let mine = publish(world, "acme/retail", "1.0.0", 1).await.package;
    let other = TenantId::new();
    let absent = |found: Result<()>| assert!(matches!(found, Err(StoreError::NotFound(_))), "{found:?}");
    absent(store.block_package(other, PackageKey::Id(mine.id)).await.map(drop));
    absent(store.block_package(other, PackageKey::Name("acme/retail".into())).await.map(drop));
    absent(store.block_versions(other, mine.id).await.map(drop));
    absent(store.block_version(other, mine.id, "1.0.0").await.map(drop));
    absent(store.pinned_block_version(other, "acme/retail", "1.0.0", &digest(1)).await.map(drop));
    absent(store.activate_block_version(other, mine.id, "1.0.0", Quarantined::Refuse).await.map(drop));
    absent(store.roll_back_block_package(other, mine.id).await.map(drop));
    absent(store.quarantine_block_version(other, mine.id, "1.0.0", "no").await.map(drop));
    absent(store.yank_block_version(other, mine.id, "1.0.0").await.map(drop));
    absent(store.delete_block_package(other, mine.id).await);
    absent(store.blob(other, &digest(1)).await.map(drop));
    assert_eq!(store.block_packages(other).await.expect("list"), []);
    assert_eq!(store.named_block_versions(other).await.expect("named"), []);
    let theirs = NewBlockVersion { tenant_id: other, ..new(world, "acme/retail", "1.0.0", 2) };
    let theirs = store.publish_block_version(theirs).await.expect("the name is free there").package;
    assert_ne!(theirs.id, mine.id);
    assert_eq!(store.block_packages(TENANT).await.expect("list"), [mine]);
}

pub(crate) async fn withdrawn_bytes_stay_while_a_run_needs_them<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let package = publish(world, "acme/retail", "1.0.0", 1).await.package;
    publish(world, "acme/retail", "1.1.0", 1).await;
    publish(world, "acme/retail", "2.0.0", 2).await;
    let run = store.submit(inline_run()).await.expect("submit").value.id;
    let pins =
        json!({"blocks": {"acme/retail/gap": {"package": "acme/retail", "version": "2.0.0", "digest": digest(2)}}});
    let update = format!("UPDATE wf_executions SET pins = '{pins}' WHERE id = '{}'", run.uuid());
    world.backend.execute(&update).await.expect("pinned");
    for version in ["1.0.0", "2.0.0"] {
        store.yank_block_version(TENANT, package.id, version).await.expect("yanked");
    }
    let left = store.block_package(TENANT, PackageKey::Id(package.id)).await.expect("package");
    assert_eq!(versions(&left), (Some("1.1.0"), None));
    let withdrawn = store.activate_block_version(TENANT, package.id, "2.0.0", Quarantined::Release).await;
    assert!(matches!(withdrawn, Err(StoreError::Conflict(_))), "{withdrawn:?}");
    let pruned = store.prune(Retention::default(), 100).await.expect("prune");
    assert_eq!(pruned.components, 1, "1.0.0 is not needed");
    assert!(store.blob(TENANT, &digest(1)).await.is_ok(), "1.1.0 is made of the same bytes");
    let pinned = store.pinned_block_version(TENANT, "acme/retail", "2.0.0", &digest(2)).await.expect("pinned");
    assert_eq!(pinned.state, BlockVersionState::Yanked);
    assert!(store.blob(TENANT, &digest(2)).await.is_ok());

    store.delete_block_package(TENANT, package.id).await.expect("deleted");
    assert!(matches!(store.block_package(TENANT, PackageKey::Id(package.id)).await, Err(StoreError::NotFound(_))));
    assert!(store.pinned_block_version(TENANT, "acme/retail", "2.0.0", &digest(2)).await.is_ok(), "the run goes on");
    store.cancel(TENANT, run).await.expect("cancel");
    assert_eq!(store.prune(Retention::default(), 100).await.expect("prune").components, 2);
    for byte in [1, 2] {
        assert!(matches!(store.blob(TENANT, &digest(byte)).await, Err(StoreError::NotFound(_))));
    }
    world.clock.advance(60_000);
    let mut gone = store.condemn_blobs(10).await.expect("condemn");
    gone.sort_unstable();
    assert_eq!(gone, [digest(1), digest(2)]);
}

pub(crate) async fn quotas_bound_packages_and_bytes<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    let quota = PackageQuota { packages: Some(2), bytes: Some(35) };
    let publish = async |package: &str, version: &str, byte: u8| {
        store.publish_block_version(NewBlockVersion { quota, ..new(world, package, version, byte) }).await
    };
    let refused = |found: Result<PublishedVersion>, part: &str| {
        assert!(matches!(&found, Err(StoreError::Quota(why)) if why.contains(part)), "{found:?}");
    };
    let first = publish("acme/a", "1.0.0", 1).await.expect("first").package.id;
    publish("acme/b", "1.0.0", 2).await.expect("second");
    refused(publish("acme/c", "1.0.0", 3).await, "at most 2");
    publish("acme/a", "1.1.0", 3).await.expect("another version");
    refused(publish("acme/a", "1.2.0", 4).await, "exceed 35");
    assert!(publish("acme/a", "1.1.0", 3).await.expect("the same again").known);
    store.delete_block_package(TENANT, first).await.expect("deleted");
    refused(publish("acme/c", "1.0.0", 4).await, "exceed 35");
    store.prune(Retention::default(), 100).await.expect("prune");
    publish("acme/c", "1.0.0", 4).await.expect("there is room again");
}

pub(crate) async fn changes_are_told<B: Backend>(world: &mut World<B>) {
    let store = &world.store;
    assert_eq!(store.package_changes(0).await.expect("none").tenants, []);
    let mut signals = store.subscribe();
    let package = publish(world, "acme/a", "1.0.0", 1).await.package;
    let mut told = false;
    while let Ok(signal) = signals.try_recv() {
        told |= signal == Signal::PackagesChanged;
    }
    assert!(told);
    let other = TenantId::new();
    let theirs = NewBlockVersion { tenant_id: other, ..new(world, "acme/a", "1.0.0", 2) };
    store.publish_block_version(theirs).await.expect("published");
    let all = store.package_changes(0).await.expect("changes");
    assert_eq!(all.tenants.len(), 2);
    let none = store.package_changes(all.revision).await.expect("changes");
    assert_eq!((none.revision, none.tenants), (all.revision, vec![]));
    publish(world, "acme/a", "2.0.0", 3).await;
    let mut known = all.revision;
    for change in 0..5 {
        let now = store.package_changes(known).await.expect("changes");
        assert!(now.revision > known && now.tenants == [TENANT], "{change}: {now:?}");
        known = now.revision;
        match change {
            0 => drop(store.roll_back_block_package(TENANT, package.id).await.expect("back")),
            1 => drop(store.quarantine_block_version(TENANT, package.id, "2.0.0", "no").await.expect("quarantined")),
            2 => drop(store.yank_block_version(TENANT, package.id, "2.0.0").await.expect("yanked")),
            _ if change == 3 => store.delete_block_package(TENANT, package.id).await.expect("deleted"),
            _ => {}
        }
    }
}
