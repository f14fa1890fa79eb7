//! `sightflow tenant` and `sightflow key`: on a data directory whose server is stopped. With a running one use its API.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sightflow_store::{
    ApiKey, KeySecret, NewApiKey, NewTenant, PageRequest, Scope, SharedStore, SqliteOptions, SqliteStore, Tenant,
};

use crate::cli::{KeyVerb, TenantVerb};
use crate::logging;
use crate::wiring::private_directory;

pub(crate) fn tenant(verb: &TenantVerb) -> Result<ExitCode> {
    match verb {
        TenantVerb::Create { slug, name, weight, data } => with_store(&data.data, async |store| {
            let slug: sightflow_store::Slug = slug.parse()?;
            let name = name.clone().unwrap_or_else(|| slug.to_string());
            print(&tenant_json(&store.create_tenant(NewTenant { slug, name, weight: *weight }).await?))
        }),
        TenantVerb::List { data } => with_store(&data.data, async |store| {
            let mut page = PageRequest { limit: 100, before: None };
            loop {
                let found = store.tenants(page).await?;
                found.items.iter().try_for_each(|tenant| print(&tenant_json(tenant)))?;
                match found.next {
                    Some(next) => page.before = Some(next),
                    None => return Ok(()),
                }
            }
        }),
    }
}

pub(crate) fn key(verb: &KeyVerb) -> Result<ExitCode> {
    match verb {
        KeyVerb::Create { tenant, name, scopes, data } => with_store(&data.data, async |store| {
            let tenant = store.tenant_named(&tenant.parse()?).await.with_context(|| format!("--tenant {tenant}"))?;
            let scopes: Vec<Scope> = if scopes.is_empty() { Scope::ALL.to_vec() } else { scopes.clone() };
            let secret = KeySecret::generate()?;
            let new = NewApiKey {
                tenant_id: tenant.id,
                name: name.clone(),
                scopes: scopes.into_iter().collect(),
                expires_at: None,
                secret: secret.clone(),
            };
            let mut answer = key_json(&store.create_key(new).await?);
            answer["key"] = json!(secret.reveal());
            print(&answer)?;
            logging::say(format_args!("keep the key: it is not shown again"));
            Ok(())
        }),
        KeyVerb::List { data } => with_store(&data.data, async |store| {
            let mut page = PageRequest { limit: 100, before: None };
            loop {
                let found = store.api_keys(None, page).await?;
                found.items.iter().try_for_each(|key| print(&key_json(key)))?;
                match found.next {
                    Some(next) => page.before = Some(next),
                    None => return Ok(()),
                }
            }
        }),
        KeyVerb::Revoke { id, data } => with_store(&data.data, async |store| Ok(store.revoke_key(*id).await?)),
    }
}

/// One line of JSON a thing, for people and scripts alike.
fn print(value: &serde_json::Value) -> Result<()> {
    Ok(logging::print(format_args!("{value}"))?)
}

fn tenant_json(tenant: &Tenant) -> serde_json::Value {
    json!({
        "id": tenant.id, "slug": tenant.slug.as_str(), "name": tenant.name, "status": tenant.status,
        "weight": tenant.weight, "created_at": tenant.created_at,
    })
}

fn key_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id, "tenant_id": key.tenant_id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes,
        "expires_at": key.expires_at, "last_used_at": key.last_used_at, "revoked_at": key.revoked_at,
    })
}

fn with_store(data: &Path, work: impl AsyncFnOnce(&SharedStore) -> Result<()>) -> Result<ExitCode> {
    #[cfg(unix)]
    // What is made here is for its owner only.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    private_directory(data).with_context(|| format!("cannot make the data directory {}", data.display()))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let opened = SqliteStore::open(data.join("sightflow.db"), SqliteOptions::default()).await;
        let store: SharedStore = match opened {
            Ok(store) => Arc::new(store),
            Err(error @ sightflow_store::StoreError::Locked { .. }) => {
                bail!("{error}; stop the server, or use its routes /api/v1/tenants and /api/v1/api-keys")
            }
            Err(error) => return Err(error.into()),
        };
        let done = work(&store).await;
        store.close().await;
        done
    })?;
    Ok(ExitCode::SUCCESS)
}
