//! A component file, loaded as the server loads an upload.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use sightflow_engine::packages::{agree, check_name};
use sightflow_engine::{BlockEntry, BlockSource, Catalog, Disagreement, LoadFailure, Package, PackageLoader};
use sightflow_sandbox::{MAX_PACKAGE_BYTES, Sandbox};
use sightflow_types::{Problem, TenantId};
use std::sync::Arc;

use crate::cli::block::ComponentOptions;
use crate::host::SandboxLoader;
use crate::{files, wiring};

/// A package that the server would take.
pub(super) struct Loaded {
    pub(super) sandbox: Sandbox,
    pub(super) package: Package,
    /// Bytes of the component.
    pub(super) size: usize,
    catalog: Catalog,
}

impl Loaded {
    /// Its blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Arc<BlockEntry>> {
        self.catalog.entries().iter().filter(|entry| entry.block.package == self.package.name)
    }
}

/// The file's bytes. One that is too long is read no further than it takes to say so.
pub(super) fn read(options: &ComponentOptions) -> Result<Vec<u8>> {
    files::read(&options.file, MAX_PACKAGE_BYTES as u64 + 1)
}

/// The file as a package, or the findings of an upload.
pub(super) async fn load(options: &ComponentOptions) -> Result<Result<Loaded, Vec<Problem>>> {
    let bytes = read(options)?;
    let sandbox = wiring::sandbox(None)?;
    let loader = SandboxLoader::new(sandbox.clone());
    let identity = match loader.identity(&bytes) {
        Ok(said) => agree(said, options.name.as_deref(), options.version.as_ref()),
        Err(problems) => return Ok(Err(problems)),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(Disagreement::Differs(problems)) => return Ok(Err(problems)),
        Err(Disagreement::Missing(key)) => bail!("the component does not say its {key}; give it as `--{key}`"),
    };
    if let Err(problem) = check_name(&identity.name) {
        return Ok(Err(vec![problem]));
    }
    let size = bytes.len();
    // A tenant's, as uploads are: compiled apart, within the limits that hold for them.
    let package = match loader.load(TenantId::BUILT_IN, &identity, Bytes::from(bytes)).await {
        Ok(package) => package,
        Err(LoadFailure::Refused(problems)) => return Ok(Err(problems)),
        Err(failure @ (LoadFailure::Busy | LoadFailure::Host(_))) => return Err(anyhow!(failure)),
    };
    let fits = BlockSource::new([])?.check(package.clone());
    if let Err(error) = fits {
        return Ok(Err(vec![Problem::new("E-MANIFEST", "", error.to_string())]));
    }
    let catalog = Catalog::new([package.clone()]).context("the blocks cannot be listed")?;
    Ok(Ok(Loaded { sandbox, package, size, catalog }))
}
