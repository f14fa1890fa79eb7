//! Tenants' block packages: what the store has published, as blocks that definitions can name.
//!
//! The store's rows decide. Every process keeps its [`BlockSource`] in step with them: it hears of a change, or looks once a
//! second. Manifests come from the rows, so a catalogue is built without loading anything; code is brought by digest from the
//! blobs when a block is called first, and stays in memory within a bound.

mod code;
mod grants;
mod loader;
mod names;
mod pinned;
mod quarantine;
mod service;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use semver::Version;
use sightflow_blobs::BlobStore;
use sightflow_store::{BlockVersion, NamedVersion, PackageGrants, Store, StoreError};
use sightflow_supervisor::Restarts;
use sightflow_types::{Problem, TenantId};

pub use grants::{CallGrants, Granting};
pub use loader::{Breaking, Identity, LoadFailure, PackageLoader};
pub use names::{Disagreement, agree, check_name};
pub use pinned::PinError;
pub use service::PackageService;

use self::code::{CodeCache, Key};
use crate::catalog::{BlockSource, Package};

/// How packages are kept.
#[derive(Debug, Clone, Copy)]
pub struct PackagesConfig {
    /// Bytes of components whose code stays in memory; the one that was used last stays in any case.
    pub code_bytes: u64,
    /// Looks at the store in case a signal was lost, or another process made the change.
    pub poll: Duration,
    /// How often the service starts again that panics.
    pub restarts: Restarts,
}

impl Default for PackagesConfig {
    fn default() -> Self {
        Self { code_bytes: 256 << 20, poll: Duration::from_millis(800), restarts: Restarts::default() }
    }
}

/// Reasons, by a package's name and version.
type LeftOut = HashMap<(String, String), String>;

/// The packages of all tenants in this process.
pub struct Packages {
    store: Arc<dyn Store>,
    source: Arc<BlockSource>,
    loader: Arc<dyn PackageLoader>,
    code: Arc<CodeCache>,
    config: PackagesConfig,
    granting: Granting,
    /// What the store had changed last when this process looked. Held over a look and what follows from it: looks that
    /// overlap could publish an older state after a newer one.
    revision: tokio::sync::Mutex<u64>,
    /// Why versions of tenants are not in their catalogues.
    left_out: Mutex<HashMap<TenantId, LeftOut>>,
    /// Active packages whose code nobody has brought yet.
    cold: Mutex<Vec<(Key, u64)>>,
    warm: tokio::sync::Notify,
}

impl Packages {
    /// Packages of this store, published through this source. Within a runtime.
    pub fn new(
        store: Arc<dyn Store>,
        blobs: BlobStore,
        source: Arc<BlockSource>,
        loader: Arc<dyn PackageLoader>,
        granting: Granting,
        config: PackagesConfig,
    ) -> Self {
        let code = Arc::new(CodeCache::new(blobs, Arc::clone(&loader), config.code_bytes));
        Self {
            store,
            source,
            loader,
            code,
            config,
            granting,
            revision: tokio::sync::Mutex::new(0),
            left_out: Mutex::default(),
            cold: Mutex::default(),
            warm: tokio::sync::Notify::new(),
        }
    }

    /// What blocks have beyond computing.
    pub fn granting(&self) -> &Granting {
        &self.granting
    }

    /// What a component says of itself; none if it says nothing.
    ///
    /// # Errors
    /// What is wrong with what it says.
    pub fn identity(&self, component: &[u8]) -> Result<Option<Identity>, Vec<Problem>> {
        self.loader.identity(component)
    }

    /// The interface version that packages are loaded with.
    pub fn wit_version(&self) -> &'static str {
        self.loader.wit_version()
    }

    /// Loads a component before it is published, and keeps its code.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn check(&self, tenant: TenantId, identity: &Identity, component: Bytes) -> Result<Package, LoadFailure> {
        check_name(&identity.name).map_err(|problem| LoadFailure::Refused(vec![problem]))?;
        let size = component.len() as u64;
        let package = self.loader.load(tenant, identity, component).await?;
        let unfit = |error: crate::catalog::CatalogError| vec![Problem::new("E-MANIFEST", "", error.to_string())];
        self.source.check(package.clone()).map_err(|error| LoadFailure::Refused(unfit(error)))?;
        self.code.keep(&key(tenant, identity, &package), size, package.clone());
        Ok(package)
    }

    /// Brings the blocks of a tenant in step with the store: at once, for whoever has just changed them.
    ///
    /// # Errors
    /// When the store cannot be read; the blocks are as before then.
    pub async fn refresh(&self, tenant: TenantId) -> Result<(), StoreError> {
        let _held = self.revision.lock().await;
        self.publish(tenant).await
    }

    /// Brings the blocks of all tenants in step with the store.
    ///
    /// # Errors
    /// When the store cannot be read. Looking again goes on where this stopped.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let mut revision = self.revision.lock().await;
        let changes = self.store.package_changes(*revision).await?;
        for tenant in changes.tenants {
            self.publish(tenant).await?;
        }
        *revision = changes.revision;
        Ok(())
    }

    /// Why a version of a tenant's package cannot be used here, if that is known.
    pub fn trouble(&self, tenant: TenantId, package: &str, version: &str) -> Option<String> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (package.to_owned(), version.to_owned());
        let left_out = left_out.get(&tenant).and_then(|versions| versions.get(&name)).cloned();
        left_out.or_else(|| self.code.refusal(tenant, package, &Version::parse(version).ok()?))
    }

    async fn publish(&self, tenant: TenantId) -> Result<(), StoreError> {
        let named = self.store.named_block_versions(tenant).await?;
        let (mut active, mut versions, mut left_out) = (Vec::new(), Vec::new(), HashMap::new());
        for NamedVersion { version, active: is_active, grants } in named {
            // One that is broken takes nobody's place.
            let checked = self.package(tenant, &version, &grants).and_then(|package| {
                self.source.check(package.clone()).map_err(|error| error.to_string())?;
                Ok(package)
            });
            match checked {
                Ok(package) => {
                    if is_active {
                        self.chill(tenant, &version);
                        active.push(package.clone());
                    }
                    versions.push(package);
                }
                Err(reason) => {
                    let name = (version.package, version.version);
                    tracing::error!(block.package = name.0, block.version = name.1, tenant = %tenant, reason, "a block package is left out");
                    left_out.insert(name, reason);
                }
            }
        }
        let publishing = self.source.publish_versions(tenant, active, versions);
        if let Err(error) = publishing {
            // Each was checked alone and names of different packages differ: this is a fault of the program.
            return Err(StoreError::Internal(format!("the packages of {tenant} do not go together: {error}")));
        }
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, left_out);
        Ok(())
    }

    /// A package whose code is brought when it is needed.
    fn package(&self, tenant: TenantId, version: &BlockVersion, grants: &PackageGrants) -> Result<Package, String> {
        let key = key_of(tenant, version).ok_or_else(|| format!("`{}` is not a version", version.version))?;
        let manifests = serde_json::from_value(version.manifests.clone()).map_err(|error| error.to_string())?;
        Ok(Package {
            name: version.package.clone(),
            version: key.version.clone(),
            digest: version.digest,
            manifests,
            code: self.code.code(key, version.size),
            granted: self.granting.granted(grants),
        })
    }

    /// Remembers an active package, so that its code is brought before somebody waits for it.
    fn chill(&self, tenant: TenantId, version: &BlockVersion) {
        if let Some(key) = key_of(tenant, version) {
            self.cold.lock().unwrap_or_else(PoisonError::into_inner).push((key, version.size));
            self.warm.notify_one();
        }
    }
}

fn key(tenant: TenantId, identity: &Identity, package: &Package) -> Key {
    Key { tenant, name: identity.name.clone(), version: identity.version.clone(), digest: package.digest }
}

fn key_of(tenant: TenantId, version: &BlockVersion) -> Option<Key> {
    let parsed = Version::parse(&version.version).ok()?;
    Some(Key { tenant, name: version.package.clone(), version: parsed, digest: version.digest })
}
