//! One block, and the package that it comes in.

use std::sync::Arc;

use semver::Version;
use sightflow_schema::ConfigSchema;
use sightflow_types::manifest::{Manifest, Role};
use sightflow_types::{Digest, Task, fold};

use super::{CatalogError, FIRST_PARTY, Granted};
use crate::host::{BlockRef, Code};
use crate::native::NativeBlock;

/// Who runs a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// The engine itself.
    Native,
    /// A worker, by inference jobs.
    Model,
    /// A sandboxed component.
    Component,
}

/// How a block is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runner {
    /// By this code.
    Native(&'static dyn NativeBlock),
    /// By jobs of this task.
    Model(Task),
    /// By the host.
    Component,
}

impl EngineKind {
    /// The name in the API's `engine` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Model => "model",
            Self::Component => "component",
        }
    }
}

/// One block of the catalogue.
#[derive(Debug)]
pub struct BlockEntry {
    /// Canonical type: `draw_boxes`, or `acme/retail/shelf_gap` for blocks of other namespaces; with `@1.2.0` behind it where
    /// a definition names exactly this version.
    pub block_type: String,
    /// What is pinned when an execution starts.
    pub block: BlockRef,
    /// Ports, configuration and documentation.
    pub manifest: Manifest,
    /// The configuration schema, compiled.
    pub schema: ConfigSchema,
    /// What it asks for and has not, in words; it cannot be used then.
    pub(crate) lacks: Option<String>,
    pub(crate) runner: Runner,
}

impl BlockEntry {
    pub(super) fn new(
        runner: Runner,
        block: BlockRef,
        manifest: Manifest,
        lacks: Option<String>,
    ) -> Result<Arc<Self>, CatalogError> {
        let block_type = if is_first_party(&block.package) { block.name.clone() } else { block.qualified() };
        Self::typed(block_type, runner, block, manifest, lacks)
    }

    fn typed(
        block_type: String,
        runner: Runner,
        block: BlockRef,
        manifest: Manifest,
        lacks: Option<String>,
    ) -> Result<Arc<Self>, CatalogError> {
        let schema = ConfigSchema::compile(&manifest.config)
            .map_err(|source| CatalogError::Schema { block: block_type.clone(), source })?;
        Ok(Arc::new(Self { block_type, block, manifest, schema, lacks, runner }))
    }

    /// Every name that means it.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = vec![self.block.qualified()];
        let aliases = &self.manifest.aliases;
        if self.is_first_party() {
            names.push(self.block_type.clone());
            names.extend(aliases.iter().cloned());
        } else {
            names.extend(aliases.iter().map(|alias| format!("{}/{alias}", self.block.package)));
        }
        names
    }

    /// Names that leave its package out.
    pub(super) fn bare_names(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.block.name).chain(&self.manifest.aliases).map(|name| fold(name))
    }

    /// Who runs it.
    pub fn engine(&self) -> EngineKind {
        match self.runner {
            Runner::Native(_) => EngineKind::Native,
            Runner::Model(_) => EngineKind::Model,
            Runner::Component => EngineKind::Component,
        }
    }

    /// Whether it plays this role in a workflow.
    pub fn plays(&self, role: Role) -> bool {
        self.manifest.role == Some(role)
    }

    /// Whether it comes with the server.
    pub(super) fn is_first_party(&self) -> bool {
        is_first_party(&self.block.package)
    }
}

fn is_first_party(package: &str) -> bool {
    package.split('/').next() == Some(FIRST_PARTY)
}

/// A loaded package of component blocks.
#[derive(Debug, Clone)]
pub struct Package {
    /// `namespace/name`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its blocks.
    pub manifests: Vec<Manifest>,
    /// What the host runs them by.
    pub code: Code,
    /// What they may do beyond computing.
    pub granted: Granted,
}

impl Package {
    /// Whether it says that it comes with the server.
    pub(super) fn is_first_party(&self) -> bool {
        is_first_party(&self.name)
    }

    /// Its blocks as they are named without a version.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Result<Arc<BlockEntry>, CatalogError>> {
        self.into_blocks().map(|(block, manifest, lacks)| BlockEntry::new(Runner::Component, block, manifest, lacks))
    }

    /// Its blocks as they are named with exactly its version.
    pub(super) fn into_exact_entries(self) -> impl Iterator<Item = Result<Arc<BlockEntry>, CatalogError>> {
        self.into_blocks().map(|(block, manifest, lacks)| {
            let block_type = format!("{}@{}", block.qualified(), block.version);
            BlockEntry::typed(block_type, Runner::Component, block, manifest, lacks)
        })
    }

    fn into_blocks(self) -> impl Iterator<Item = (BlockRef, Manifest, Option<String>)> {
        let Self { name: package, version, digest, manifests, code, granted } = self;
        manifests.into_iter().map(move |manifest| {
            let block = BlockRef {
                package: package.clone(),
                version: version.clone(),
                name: manifest.name.clone(),
                digest: Some(digest),
                code: code.clone(),
            };
            let lacks = granted.missing(&manifest.capabilities);
            (block, manifest, lacks)
        })
    }
}
