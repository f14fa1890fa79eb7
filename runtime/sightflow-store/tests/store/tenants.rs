//! Tenants and their keys.

use sightflow_store::{
    KeySecret, NewApiKey, NewBlockVersion, NewExecution, NewTenant, NewWorkflow, PageRequest, Quota, Scope, StoreError,
    Tenant, TenantChange, TenantStatus,
};
use sightflow_types::{KeyId, TenantId, Timestamp};

use crate::harness::{Backend, TENANT, World, inline_run, keyed, new_workflow};

async fn tenant<B: Backend>(world: &World<B>, slug: &str) -> Result<Tenant, StoreError> {
    let new = NewTenant { slug: slug.parse().expect("slug"), name: slug.to_uppercase(), weight: 100 };
    world.store.create_tenant(new).await
}

fn key(tenant_id: TenantId, expires_at: Option<Timestamp>) -> NewApiKey {
    let scopes = [Scope::RunsWrite, Scope::RunsRead].into();
    NewApiKey { tenant_id, name: "ci".to_owned(), scopes, expires_at, secret: KeySecret::generate().expect("random") }
}

pub(crate) async fn tenants_have_a_slug_of_their_own<B: Backend>(world: &mut World<B>) {
    let acme = tenant(world, "acme").await.expect("create");
    assert_eq!((acme.name.as_str(), acme.status, acme.weight), ("ACME", TenantStatus::Active, 100));
    assert!(matches!(tenant(world, "acme").await, Err(StoreError::AlreadyExists(_))));
    assert_eq!(world.store.tenant(acme.id).await.expect("by id"), acme);
    assert_eq!(world.store.tenant_named(&acme.slug).await.expect("by slug"), acme);
    let change = TenantChange { status: Some(TenantStatus::Suspended), ..TenantChange::default() };
    let changed = world.store.update_tenant(acme.id, change).await.expect("suspend");
    assert_eq!((changed.status, changed.name.as_str()), (TenantStatus::Suspended, "ACME"));
    assert!(changed.updated_at > acme.updated_at);
    let nobody = TenantId::new();
    assert!(matches!(world.store.tenant(nobody).await, Err(StoreError::NotFound("tenant"))));
    let missing = world.store.update_tenant(nobody, TenantChange::default()).await;
    assert!(matches!(missing, Err(StoreError::NotFound("tenant"))));
    let first = world.store.tenants(PageRequest { limit: 1, before: None }).await.expect("page");
    assert_eq!(first.items, [changed], "newest first");
    let rest = world.store.tenants(PageRequest { limit: 1, before: first.next }).await.expect("page");
    assert_eq!((rest.items[0].id, rest.next), (TENANT, None));
}

pub(crate) async fn a_key_works_until_it_is_revoked_or_expires<B: Backend>(world: &mut World<B>) {
    let acme = tenant(world, "acme").await.expect("create");
    let expiry = world.store.now().plus_millis(1000);
    let (lasting, brief) = (key(acme.id, None), key(acme.id, Some(expiry)));
    let stored = world.store.create_key(lasting.clone()).await.expect("create");
    world.store.create_key(brief.clone()).await.expect("create");
    let owner = world.store.key_owner(lasting.secret.hash()).await.expect("owner");
    assert_eq!((owner.id, owner.tenant_id, owner.status), (stored.id, acme.id, TenantStatus::Active));
    assert_eq!(owner.scopes, lasting.scopes);
    assert!(world.store.key_owner(brief.secret.hash()).await.is_ok(), "not expired yet");
    world.clock.advance(1000);
    let expired = world.store.key_owner(brief.secret.hash()).await;
    assert!(matches!(expired, Err(StoreError::NotFound("key"))), "{expired:?}");
    world.store.revoke_key(stored.id).await.expect("revoke");
    world.store.revoke_key(stored.id).await.expect("twice is once");
    let revoked = world.store.key_owner(lasting.secret.hash()).await;
    assert!(matches!(revoked, Err(StoreError::NotFound("key"))), "{revoked:?}");
    let back = world.backend.execute("UPDATE wf_api_keys SET revoked_at = NULL").await;
    assert!(back.is_err_and(|why| why.contains("stays revoked")), "whoever writes");
    assert!(matches!(world.store.revoke_key(KeyId::new()).await, Err(StoreError::NotFound("key"))));
    let orphan = world.store.create_key(key(TenantId::new(), None)).await;
    assert!(matches!(orphan, Err(StoreError::NotFound("tenant"))));
}

pub(crate) async fn keys_are_listed_without_themselves<B: Backend>(world: &mut World<B>) {
    let acme = tenant(world, "acme").await.expect("create");
    let (theirs, ours) = (key(acme.id, None), key(TENANT, None));
    let stored = world.store.create_key(theirs.clone()).await.expect("create");
    world.store.create_key(ours).await.expect("create");
    let page = world.store.api_keys(Some(acme.id), PageRequest::default()).await.expect("list");
    assert_eq!(page.items, std::slice::from_ref(&stored));
    assert_eq!(page.items[0].prefix, theirs.secret.prefix());
    assert_eq!(world.store.api_keys(None, PageRequest::default()).await.expect("all").items.len(), 2);
    let dump = "SELECT id || tenant_id || name || prefix || hex(key_hash) || scopes FROM wf_api_keys";
    assert!(world.backend.column(dump).await.iter().all(|row| !row.contains(theirs.secret.reveal())));
    world.store.key_used(stored.id).await.expect("used");
    let first = world.store.key_owner(theirs.secret.hash()).await.expect("owner").last_used_at;
    assert!(first.is_some());
    world.clock.advance(59_000);
    world.store.key_used(stored.id).await.expect("used");
    assert_eq!(world.store.key_owner(theirs.secret.hash()).await.expect("owner").last_used_at, first);
    world.clock.advance(1_000);
    world.store.key_used(stored.id).await.expect("used");
    assert!(world.store.key_owner(theirs.secret.hash()).await.expect("owner").last_used_at > first);
}

/// Every table that knows tenants, and how many rows of one it has.
async fn rows_of<B: Backend>(world: &World<B>, id: TenantId) -> Vec<(String, i64)> {
    let tables = world
        .backend
        .column("SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'tenant_id' WHERE m.type = 'table' ORDER BY 1")
        .await;
    let mut found = Vec::new();
    for table in tables {
        let count = world.count(&format!("SELECT count(*) FROM {table} WHERE tenant_id = '{}'", id.uuid())).await;
        if count > 0 {
            found.push((table, count));
        }
    }
    found
}

pub(crate) async fn a_tenant_goes_with_everything_that_it_has<B: Backend>(world: &mut World<B>) {
    let (acme, other) = (tenant(world, "acme").await.expect("create"), tenant(world, "other").await.expect("create"));
    let store = &world.store;
    for id in [acme.id, other.id] {
        store.create_key(key(id, None)).await.expect("a key");
        store.set_quotas(id, [(Quota::Packages, Some(3))].into()).await.expect("quotas");
        store.put_secret(id, "KEY", vec![1]).await.expect("a secret");
        store.put_publisher(id, "acme", [1; 32]).await.expect("a publisher");
        let package = crate::packages::new(world, "acme/retail", "1.0.0", if id == acme.id { 1 } else { 2 });
        store.publish_block_version(NewBlockVersion { tenant_id: id, ..package }).await.expect("a package");
        store.create_workflow(NewWorkflow { tenant_id: id, ..new_workflow("w") }).await.expect("a workflow");
        for number in 0..120 {
            let run = NewExecution { tenant_id: id, ..inline_run() };
            let run = if number == 0 { NewExecution { idempotency: keyed("k", 1).idempotency, ..run } } else { run };
            let execution = store.submit(run).await.expect("a run").value.id;
            if number > 0 || id == other.id {
                store.cancel(id, execution).await.expect("cancelled");
            }
        }
    }
    let before = rows_of(world, other.id).await;
    assert!(before.len() >= 9, "{before:?}");
    assert!(matches!(store.delete_tenant(TENANT).await, Err(StoreError::Conflict(_))));
    assert!(matches!(store.delete_tenant(TenantId::new()).await, Err(StoreError::NotFound("tenant"))));
    assert!(matches!(store.delete_tenant(acme.id).await, Err(StoreError::InUse(_))), "one of its runs waits");
    let sql = format!("SELECT id FROM wf_executions WHERE tenant_id = '{}' AND status = 'pending'", acme.id.uuid());
    let waiting = world.backend.column(&sql).await.remove(0).parse().expect("an id");
    store.cancel(acme.id, waiting).await.expect("cancelled");
    store.delete_tenant(acme.id).await.expect("deleted");
    assert_eq!(rows_of(world, acme.id).await, []);
    assert!(matches!(store.tenant(acme.id).await, Err(StoreError::NotFound("tenant"))));
    assert_eq!(rows_of(world, other.id).await, before, "nobody else lost anything");
}

pub(crate) async fn a_queue_quota_holds_for_fifty_at_once<B: Backend>(world: &mut World<B>) {
    let other = tenant(world, "other").await.expect("create").id;
    for _ in 0..20 {
        world.store.submit(NewExecution { tenant_id: other, ..inline_run() }).await.expect("another's");
    }
    let submit = || world.store.submit(NewExecution { queue_quota: Some(10), ..inline_run() });
    let answers = futures::future::join_all((0..50).map(|_| submit())).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Quota(_)))).count();
    assert_eq!((answers.iter().filter(|answer| answer.is_ok()).count(), refused), (10, 40));
}
