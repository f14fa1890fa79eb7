//! Tenants and their keys.

use sightflow_store::{
    KeySecret, NewApiKey, NewTenant, PageRequest, Scope, StoreError, Tenant, TenantChange, TenantStatus,
};
use sightflow_types::{KeyId, TenantId, Timestamp};

use crate::harness::{Backend, TENANT, World};

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
