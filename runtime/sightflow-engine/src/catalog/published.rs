//! Who may name which blocks now.

use std::collections::HashMap;
use std::sync::Arc;

use sightflow_types::TenantId;
use tokio::sync::watch;

use super::{Catalog, CatalogError, Package};

/// The blocks of every tenant at one moment.
#[derive(Debug, Clone)]
pub struct Published {
    /// Of tenants without packages of their own.
    common: Arc<Catalog>,
    /// Of the others.
    own: HashMap<TenantId, Arc<Catalog>>,
}

impl Published {
    /// The blocks of a tenant.
    pub fn of(&self, tenant: TenantId) -> &Arc<Catalog> {
        self.own.get(&tenant).unwrap_or(&self.common)
    }
}

/// The one place where a process finds blocks. What is published changes while runs are in flight: whoever needs blocks for
/// more than a moment keeps the catalogue that it was given.
#[derive(Debug)]
pub struct BlockSource {
    published: watch::Sender<Published>,
}

impl BlockSource {
    /// The engine's own blocks and those of packages that come with the server, for everybody.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn new(packages: impl IntoIterator<Item = Package>) -> Result<Self, CatalogError> {
        let common = Arc::new(Catalog::new(packages)?);
        Ok(Self { published: watch::Sender::new(Published { common, own: HashMap::new() }) })
    }

    /// The blocks of a tenant now.
    pub fn of(&self, tenant: TenantId) -> Arc<Catalog> {
        Arc::clone(self.published.borrow().of(tenant))
    }

    /// Gives a tenant these packages beside the common ones, instead of those that it had. Of several calls for one tenant
    /// the last one counts.
    ///
    /// # Errors
    /// As [`Catalog::new`], and for a package in the server's own namespace; nothing has changed then.
    pub fn publish(
        &self,
        tenant: TenantId,
        packages: impl IntoIterator<Item = Package>,
    ) -> Result<Arc<Catalog>, CatalogError> {
        self.publish_versions(tenant, packages.into_iter().collect(), Vec::new())
    }

    /// As [`BlockSource::publish`]; `versions` are found beside them where a definition names exactly one.
    ///
    /// # Errors
    /// As [`BlockSource::publish`].
    pub fn publish_versions(
        &self,
        tenant: TenantId,
        packages: Vec<Package>,
        versions: Vec<Package>,
    ) -> Result<Arc<Catalog>, CatalogError> {
        if let Some(package) = packages.iter().chain(&versions).find(|package| package.is_first_party()) {
            return Err(CatalogError::Reserved(package.name.clone()));
        }
        // Built before anybody who looks blocks up could have to wait for it.
        let common = Arc::clone(&self.published.borrow().common);
        let catalog = Arc::new(common.with_versions(packages, versions)?);
        self.published.send_modify(|published| {
            published.own.insert(tenant, Arc::clone(&catalog));
        });
        Ok(catalog)
    }

    /// Whether a tenant could have this package: its schemas are valid and its name is free.
    ///
    /// # Errors
    /// As [`BlockSource::publish`].
    pub fn check(&self, package: Package) -> Result<(), CatalogError> {
        if package.is_first_party() {
            return Err(CatalogError::Reserved(package.name));
        }
        let common = Arc::clone(&self.published.borrow().common);
        common.with([package]).map(drop)
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Granted;
    use super::*;
    use crate::host::Code;

    fn package(code: &Arc<str>) -> Package {
        let manifest = json!({"name": "b", "title": "b", "description": "b", "category": "logic", "inputs": [], "outputs": [],
                              "config": {"type": "object", "additionalProperties": false}});
        Package {
            name: "acme/a".to_owned(),
            version: semver::Version::new(1, 0, 0),
            digest: sightflow_blobs::digest_of(code.as_bytes()),
            manifests: vec![serde_json::from_value(manifest).expect("a manifest")],
            code: Code::new(Arc::clone(code)),
            granted: Granted::default(),
        }
    }

    #[test]
    fn a_tenant_s_packages_are_its_own() {
        let source = BlockSource::new([]).expect("the engine's own blocks");
        let (one, other) = (TenantId::new(), TenantId::new());
        let before = source.of(other);
        let mut changes = source.changes();
        let published = source.publish(one, [package(&Arc::from("first"))]).expect("published");
        assert!(changes.has_changed().expect("open"));
        assert!(Arc::ptr_eq(&source.of(one), &published));
        assert!(Arc::ptr_eq(changes.borrow_and_update().of(one), &published));
        assert!(published.resolve("acme/a/b").is_ok());
        assert!(Arc::ptr_eq(&source.of(other), &before));
        assert!(before.resolve("acme/a/b").is_err());
        // The common blocks are the same values, not others like them.
        let (mine, common) = (published.resolve("image_input"), before.resolve("image_input"));
        assert!(Arc::ptr_eq(mine.expect("a block"), common.expect("a block")));
        let twice = [package(&Arc::from("first")), package(&Arc::from("second"))];
        assert!(matches!(source.publish(one, twice), Err(CatalogError::Duplicate(_))));
        let forged = Package { name: "sightflow/logic".to_owned(), ..package(&Arc::from("first")) };
        assert!(matches!(source.publish(one, [forged]), Err(CatalogError::Reserved(_))));
        assert!(Arc::ptr_eq(&source.of(one), &published), "a refused change changes nothing");
    }

    #[test]
    fn code_lives_as_long_as_somebody_has_its_block() {
        let source = BlockSource::new([]).expect("the engine's own blocks");
        let (tenant, code): (_, Arc<str>) = (TenantId::new(), Arc::from("first"));
        let first = Arc::downgrade(&code);
        source.publish(tenant, [package(&code)]).expect("published");
        drop(code);
        let block = source.of(tenant).resolve("acme/a/b").expect("a block").block.clone();
        let second = source.publish(tenant, [package(&Arc::from("second"))]).expect("published");
        assert_eq!(block.code.get::<Arc<str>>().map(|code| &**code), Some("first"));
        let now = &second.resolve("acme/a/b").expect("a block").block;
        assert_eq!(now.code.get::<Arc<str>>().map(|code| &**code), Some("second"));
        assert!(now.code.get::<String>().is_none(), "another host's code");
        drop(block);
        assert_eq!(first.strong_count(), 0);
    }
}
