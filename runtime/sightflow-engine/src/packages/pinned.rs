//! The blocks that an execution goes on with: those that it was started with, whatever is active now.

use std::sync::Arc;

use serde_json::Value;
use sightflow_store::{PackageGrants, PackageKey, StoreError};
use sightflow_types::{Digest, TenantId};

use super::Packages;
use crate::catalog::{Catalog, FIRST_PARTY, Package};

/// Why the blocks of an execution cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store has cannot be made blocks of.
    #[error("the package `{package}` of a pinned block cannot be used: {reason}")]
    Broken {
        /// Its name.
        package: String,
        /// Why.
        reason: String,
    },
}

struct Pin<'p> {
    block_type: &'p str,
    package: &'p str,
    version: &'p str,
    digest: Digest,
}

fn pins(pins: &Value) -> impl Iterator<Item = Pin<'_>> {
    let blocks = pins.get("blocks").and_then(Value::as_object).into_iter().flatten();
    blocks.filter_map(|(block_type, pin)| {
        let text = |key: &str| pin.get(key).and_then(Value::as_str);
        let digest = text("digest")?.parse().ok()?;
        let pin = Pin { block_type, package: text("package")?, version: text("version")?, digest };
        (pin.package.split('/').next() != Some(FIRST_PARTY)).then_some(pin)
    })
}

impl Packages {
    /// The tenant's blocks, but of packages that `pinned` names the versions that it names. Those that are gone stay as they
    /// are: whoever compares pins finds out.
    ///
    /// # Errors
    /// [`PinError`].
    pub async fn pinned(
        &self,
        tenant: TenantId,
        blocks: &Arc<Catalog>,
        pinned: &Value,
    ) -> Result<Arc<Catalog>, PinError> {
        let (mut packages, mut versions): (Vec<Package>, Vec<Package>) = (Vec::new(), Vec::new());
        for pin in pins(pinned) {
            if blocks.typed(pin.block_type).is_some_and(|entry| entry.block.digest == Some(pin.digest)) {
                continue;
            }
            let wanted = if pin.block_type.contains('@') { &mut versions } else { &mut packages };
            let same = |package: &Package| package.name == pin.package && package.digest == pin.digest;
            if wanted.iter().any(same) {
                continue;
            }
            match self.store.pinned_block_version(tenant, pin.package, pin.version, &pin.digest).await {
                Ok(found) => {
                    // What is granted is decided now, not when the execution began.
                    let grants = match self.store.block_package(tenant, PackageKey::Id(found.package_id)).await {
                        Ok(package) => package.grants,
                        Err(StoreError::NotFound(_)) => PackageGrants::default(),
                        Err(error) => return Err(error.into()),
                    };
                    let package = self.package(tenant, &found, &grants);
                    wanted.push(package.map_err(|reason| broken(pin.package, reason))?);
                }
                Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if packages.is_empty() && versions.is_empty() {
            return Ok(Arc::clone(blocks));
        }
        let first = packages.first().or(versions.first()).map(|package| package.name.clone()).unwrap_or_default();
        blocks.pinned_to(packages, versions).map(Arc::new).map_err(|error| broken(&first, error.to_string()))
    }
}

fn broken(package: &str, reason: String) -> PinError {
    PinError::Broken { package: package.to_owned(), reason }
}
