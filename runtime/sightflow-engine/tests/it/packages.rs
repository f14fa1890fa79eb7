//! Packages that the store publishes, and executions that began with other versions of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_engine::secrets::SecretsKey;
use sightflow_engine::{
    Breaking, DefinitionLimits, Granting, Identity, LoadFailure, Package, PackageLoader, PackageService, Packages,
    PackagesConfig, Plans,
};
use sightflow_store::{
    Activation, BlockVersionState, NewBlob, NewBlockVersion, PackageQuota, Quarantined, Retention, Store,
};
use sightflow_types::capability::HostPattern;
use sightflow_types::{Digest, ExecutionStatus, PackageId, Problem, TenantId};
use tokio::sync::watch;

use crate::script::package;
use crate::server::{Server, TENANT};

const OLD: Digest = Digest::from_bytes([1; 32]);
const NEW: Digest = Digest::from_bytes([2; 32]);

/// Scripted hosts run blocks without code. What breaks down is said here.
#[derive(Default)]
struct Nothing {
    breaking: Mutex<Vec<Breaking>>,
    /// How often somebody asked.
    looks: watch::Sender<u64>,
}

#[async_trait]
impl PackageLoader for Nothing {
    fn identity(&self, _: &[u8]) -> Result<Option<Identity>, Vec<Problem>> {
        Ok(None)
    }

    fn wit_version(&self) -> &'static str {
        "0.1"
    }

    async fn load(&self, _: TenantId, _: &Identity, _: Bytes) -> Result<Package, LoadFailure> {
        Err(LoadFailure::Refused(vec![Problem::new("E-COMPILE", "", "there is no code")]))
    }

    fn breaking(&self) -> Vec<Breaking> {
        self.looks.send_modify(|looks| *looks += 1);
        self.breaking.lock().unwrap().clone()
    }

    fn release(&self, tenant: TenantId, digest: Digest) {
        self.breaking.lock().unwrap().retain(|breaking| (breaking.tenant, breaking.digest) != (tenant, digest));
    }
}

/// A server whose plans find packages in the store.
async fn with_packages() -> (Server, Arc<Packages>) {
    with_loader(Arc::default()).await
}

async fn with_loader(loader: Arc<Nothing>) -> (Server, Arc<Packages>) {
    let mut server = Server::new().await;
    let store = Arc::clone(&server.store) as Arc<dyn Store>;
    let (blobs, blocks) = (server.parts.blobs.clone(), Arc::clone(&server.blocks));
    let config = PackagesConfig { poll: Duration::from_millis(10), ..PackagesConfig::default() };
    let granting = Granting::new(Arc::clone(&store), Arc::new(SecretsKey::new(&[7; 32])), [HostPattern::ANY]);
    let packages = Packages::new(Arc::clone(&store), blobs, Arc::clone(&blocks), loader, granting, config);
    let packages = Arc::new(packages);
    let plans = Plans::new(store, blocks, Arc::clone(&server.host) as _, DefinitionLimits::default());
    server.parts.plans = Arc::new(plans.with_packages(Arc::clone(&packages)));
    (server, packages)
}

async fn publish(server: &Server, manifests: Value, major: u64, digest: Digest) -> PackageId {
    let component = NewBlob {
        digest,
        size: 10,
        media_type: "application/wasm".into(),
        width: None,
        height: None,
        stored_at: server.store.now(),
    };
    let new = NewBlockVersion {
        tenant_id: TENANT,
        package: "acme/test".into(),
        version: format!("{major}.0.0"),
        component,
        manifests,
        wit_version: "0.1".into(),
        signed_by: None,
        activation: Activation::Activate,
        quota: PackageQuota::default(),
    };
    server.store.publish_block_version(new).await.unwrap().package.id
}

fn manifests() -> Value {
    serde_json::to_value(package("acme/test", semver::Version::new(1, 0, 0), OLD).manifests).unwrap()
}

/// photo → find → last: what the package does comes after the model.
fn definition(version: &str) -> Value {
    json!({
        "nodes": [
            {"id": "photo", "type": "image_input"},
            {"id": "find", "type": "detection", "config": {"model_id": "finder"}},
            {"id": "last", "type": format!("acme/test/echo{version}"), "inputs": {"value": "$nodes.find.count"}},
        ],
        "edges": [{"source": "photo", "target": "find"}],
    })
}

#[tokio::test]
async fn another_engine_goes_on_with_the_version_that_a_run_began_with() {
    // How the definition names the package, and what a run that begins after the change uses.
    for (version, afterwards) in [("", Some(NEW)), ("@1.0.0", None), ("@^1", None)] {
        let (server, packages) = with_packages().await;
        let id = publish(&server, manifests(), 1, OLD).await;
        packages.catch_up().await.unwrap();
        let engine = server.engine().await;
        let image = json!({"image_url": "https://example.com/a.png"});
        let before = server.submit(definition(version), image.clone()).await;
        server.until(before, |execution| execution.jobs.pending == 1).await;
        engine.shutdown().await;

        publish(&server, manifests(), 2, NEW).await;
        server.store.yank_block_version(TENANT, id, "1.0.0").await.unwrap();
        packages.catch_up().await.unwrap();
        let pruned = server.store.prune(Retention::default(), 100).await.unwrap();
        assert_eq!(pruned.components, 0, "the run is pinned to the bytes");
        let engine = server.engine().await;
        assert_eq!(server.work().await, 1);
        let ended = server.ended(before).await;
        assert_eq!(ended.status, ExecutionStatus::Completed, "{version}: {:?}", ended.error);
        let calls = std::mem::take(&mut *server.host.packages.lock().unwrap());
        assert_eq!(calls, [("last".to_owned(), OLD)], "{version}");
        assert_eq!(server.store.prune(Retention::default(), 100).await.unwrap().components, 1);

        let after = server.submit(definition(version), image).await;
        match afterwards {
            Some(digest) => {
                server.until(after, |execution| execution.jobs.pending == 1).await;
                assert_eq!(server.work().await, 1);
                let ended = server.ended(after).await;
                assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.error);
                assert_eq!(*server.host.packages.lock().unwrap(), [("last".to_owned(), digest)]);
            }
            None => {
                let refused = server.ended(after).await;
                assert_eq!(refused.error.map(|error| error.code).as_deref(), Some("E-TYPE-UNKNOWN"), "{version}");
            }
        }
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn two_versions_in_one_definition_are_pinned_apart() {
    let (server, packages) = with_packages().await;
    publish(&server, manifests(), 1, OLD).await;
    publish(&server, manifests(), 2, NEW).await;
    packages.catch_up().await.unwrap();
    let node = |id: &str, block: &str| json!({"id": id, "type": block, "inputs": {"value": 1}});
    let definition = json!({"nodes": [node("a", "acme/test/echo"), node("b", "acme/test/echo@1.0.0")]});
    let engine = server.engine().await;
    let ended = server.ended(server.submit(definition, json!({})).await).await;
    assert_eq!(ended.status, ExecutionStatus::Completed, "{:?}", ended.error);
    let pinned = &ended.pins["blocks"];
    assert_eq!(
        (&pinned["acme/test/echo"]["digest"], &pinned["acme/test/echo@1.0.0"]["digest"]),
        (&json!(NEW), &json!(OLD))
    );
    let mut calls = server.host.packages.lock().unwrap().clone();
    calls.sort_unstable();
    assert_eq!(calls, [("a".to_owned(), NEW), ("b".to_owned(), OLD)]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_change_is_followed_and_what_is_broken_is_left_out() {
    let (server, packages) = with_packages().await;
    let service = PackageService::start(Arc::clone(&packages));
    let mut changes = server.blocks.changes();
    let id = publish(&server, manifests(), 1, OLD).await;
    let seen = async |changes: &mut tokio::sync::watch::Receiver<_>, version: &str| {
        let has = |name: &str| server.blocks.of(TENANT).resolve(name).is_ok();
        while !has(&format!("acme/test/echo@{version}")) {
            let changed = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
            changed.expect("within seconds").expect("open");
        }
    };
    seen(&mut changes, "1.0.0").await;
    assert!(service.health().report().alive);

    // A manifest that no schema can be made of: the version is left out, the others stay.
    let mut odd = manifests();
    odd[0]["config"] = json!({"type": 7});
    publish(&server, odd, 2, NEW).await;
    packages.catch_up().await.unwrap();
    let reason = packages.trouble(TENANT, "acme/test", "2.0.0").expect("it is known to be broken");
    assert!(reason.contains("acme/test"), "{reason}");
    let blocks = server.blocks.of(TENANT);
    assert!(blocks.resolve("acme/test/echo@1.0.0").is_ok());
    let unknown = blocks.resolve("acme/test/echo").expect_err("the active version is broken");
    assert_eq!(unknown.suggestion.as_deref(), Some("acme/test/echo@1.0.0"));
    server.store.roll_back_block_package(TENANT, id).await.unwrap();
    packages.refresh(TENANT).await.unwrap();
    assert_eq!(server.blocks.of(TENANT).resolve("echo").expect("first-party").block.package, "sightflow/test");
    assert!(server.blocks.of(TENANT).resolve("acme/test/echo").is_ok());
    service.shutdown().await;
}

#[tokio::test]
async fn a_version_that_was_refused_over_and_over_is_taken_out_of_use() {
    let loader = Arc::new(Nothing::default());
    let (server, packages) = with_loader(Arc::clone(&loader)).await;
    let id = publish(&server, manifests(), 1, OLD).await;
    publish(&server, manifests(), 2, NEW).await;
    packages.catch_up().await.unwrap();
    let state = async || server.store.block_version(TENANT, id, "2.0.0").await.unwrap();
    let says = |times: u32, digest| {
        let reason = "wasm trap: unreachable".to_owned();
        *loader.breaking.lock().unwrap() = vec![Breaking { tenant: TENANT, digest, times, reason }];
    };
    // Twice is not enough, and bytes that no version has concern nobody.
    let service = PackageService::start(Arc::clone(&packages));
    for (times, digest) in [(2, NEW), (9, Digest::from_bytes([3; 32]))] {
        says(times, digest);
        let mut looks = loader.looks.subscribe();
        let enough = *looks.borrow() + 3;
        looks.wait_for(|looks| *looks >= enough).await.expect("the service looks");
        assert_eq!(state().await.state, BlockVersionState::Published);
    }
    let mut changes = server.blocks.changes();
    says(3, NEW);
    let changed = async |changes: &mut tokio::sync::watch::Receiver<_>| {
        tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.expect("within seconds").expect("open");
    };
    changed(&mut changes).await;
    let version = state().await;
    assert_eq!(version.state, BlockVersionState::Quarantined);
    assert_eq!(version.reason.as_deref(), Some("it kept breaking down: wasm trap: unreachable"));
    let block = server.blocks.of(TENANT).resolve("acme/test/echo").expect("the version before").block.digest;
    assert_eq!(block, Some(OLD));
    assert_eq!(*loader.breaking.lock().unwrap(), [], "the host counts anew");

    // By force it runs again, and is judged again.
    server.store.activate_block_version(TENANT, id, "2.0.0", Quarantined::Release).await.unwrap();
    packages.refresh(TENANT).await.unwrap();
    assert_eq!(server.blocks.of(TENANT).resolve("acme/test/echo").expect("by force").block.digest, Some(NEW));
    assert_eq!(state().await.state, BlockVersionState::Published);
    says(3, NEW);
    let quarantined = async {
        while state().await.state != BlockVersionState::Quarantined {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), quarantined).await.expect("within seconds");
    service.shutdown().await;
}
