//! Every block that a definition can name, with its compiled configuration schema.

pub mod ports;

use std::collections::HashMap;
use std::sync::Arc;

use semver::{Version, VersionReq};
use sightflow_expressions::reference::nearest;
use sightflow_types::manifest::{Manifest, Role};
use sightflow_types::{Digest, fold};

pub use sightflow_schema::{Canonical, ConfigSchema, SchemaError};
pub(crate) use sightflow_types::pointer_token;

use crate::host::BlockRef;

/// The namespace of the blocks that come with the server; their types are written without it.
pub const FIRST_PARTY: &str = "sightflow";

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
    /// Canonical type: `draw_boxes`, or `acme/retail/shelf_gap` for blocks of other namespaces.
    pub block_type: String,
    /// Who runs it.
    pub engine: EngineKind,
    /// What is pinned when an execution starts.
    pub block: BlockRef,
    /// Ports, configuration and documentation.
    pub manifest: Manifest,
    /// The configuration schema, compiled.
    pub schema: ConfigSchema,
}

impl BlockEntry {
    /// Whether it plays this role in a workflow.
    pub fn plays(&self, role: Role) -> bool {
        self.manifest.role == Some(role)
    }

    fn is_first_party(&self) -> bool {
        is_first_party(&self.block)
    }
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
}

/// Why a catalogue cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two blocks claim one type name.
    #[error("the type `{0}` is claimed twice")]
    Duplicate(String),
    /// A configuration schema is not valid.
    #[error("block `{block}`: {source}")]
    Schema {
        /// The block.
        block: String,
        /// What is wrong.
        #[source]
        source: SchemaError,
    },
}

/// A type name that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownType {
    /// For people.
    pub message: String,
    /// The nearest type.
    pub suggestion: Option<String>,
}

/// All blocks: the engine's own and those of the loaded packages. Immutable; a change makes a new one.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Arc<BlockEntry>>,
    names: HashMap<String, usize>,
}

/// Types that the specification names and that a later version brings.
const LATER: [&str; 8] = [
    "similarity_search",
    "vector_search",
    "segmentation",
    "segment",
    "webhook",
    "aggregation",
    "api_response",
    "merge",
];

impl Catalog {
    /// The engine's own blocks and those of `packages`.
    ///
    /// # Errors
    /// [`CatalogError`] for types that are claimed twice and schemas that are not valid.
    pub fn new(packages: impl IntoIterator<Item = Package>) -> Result<Self, CatalogError> {
        let mut catalog = Self { entries: Vec::new(), names: HashMap::new() };
        for manifest in native_manifests() {
            let engine = if manifest.category == "model" { EngineKind::Model } else { EngineKind::Native };
            let version = Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version::new(0, 0, 0));
            let block = BlockRef {
                package: format!("{FIRST_PARTY}/{}", manifest.category),
                version,
                name: manifest.name.clone(),
                digest: None,
            };
            catalog.add(engine, block, manifest)?;
        }
        for package in packages {
            for manifest in package.manifests {
                let block = BlockRef {
                    package: package.name.clone(),
                    version: package.version.clone(),
                    name: manifest.name.clone(),
                    digest: Some(package.digest),
                };
                catalog.add(EngineKind::Component, block, manifest)?;
            }
        }
        Ok(catalog)
    }

    fn add(&mut self, engine: EngineKind, block: BlockRef, manifest: Manifest) -> Result<(), CatalogError> {
        let full = format!("{}/{}", block.package, manifest.name);
        let first_party = is_first_party(&block);
        let block_type = if first_party { manifest.name.clone() } else { full.clone() };
        let schema = ConfigSchema::compile(&manifest.config)
            .map_err(|source| CatalogError::Schema { block: block_type.clone(), source })?;
        let mut names = vec![full];
        if first_party {
            names.push(manifest.name.clone());
            names.extend(manifest.aliases.iter().cloned());
        } else {
            names.extend(manifest.aliases.iter().map(|alias| format!("{}/{alias}", block.package)));
        }
        for name in names {
            let key = fold(&name);
            if self.names.insert(key, self.entries.len()).is_some_and(|other| other != self.entries.len()) {
                return Err(CatalogError::Duplicate(name));
            }
        }
        self.entries.push(Arc::new(BlockEntry { block_type, engine, block, manifest, schema }));
        Ok(())
    }

    /// Every block, the engine's own first.
    pub fn entries(&self) -> &[Arc<BlockEntry>] {
        &self.entries
    }

    /// The block that comes with the server and plays this role.
    pub fn playing(&self, role: Role) -> Option<&Arc<BlockEntry>> {
        self.entries.iter().find(|entry| entry.is_first_party() && entry.manifest.role == Some(role))
    }

    /// The block that a definition's `type` means: a type, an alias, or `namespace/package/block@req`. Case and `-`
    /// against `_` do not matter.
    ///
    /// # Errors
    /// [`UnknownType`] with the nearest type, or what is wrong with the version requirement.
    pub fn resolve(&self, block_type: &str) -> Result<&Arc<BlockEntry>, UnknownType> {
        let (name, requirement) = match block_type.split_once('@') {
            Some((name, requirement)) => (name, Some(requirement)),
            None => (block_type, None),
        };
        let Some(&index) = self.names.get(&fold(name)) else {
            return Err(self.unknown(name));
        };
        let entry = &self.entries[index];
        if let Some(requirement) = requirement {
            let parsed = VersionReq::parse(requirement).map_err(|error| UnknownType {
                message: format!("`{requirement}` is not a version requirement: {error}"),
                suggestion: None,
            })?;
            if !parsed.matches(&entry.block.version) {
                return Err(UnknownType {
                    message: format!(
                        "`{name}` is active in version {}, which does not match `{requirement}`",
                        entry.block.version
                    ),
                    suggestion: Some(format!("{name}@^{}", entry.block.version)),
                });
            }
        }
        Ok(entry)
    }

    fn unknown(&self, name: &str) -> UnknownType {
        if LATER.contains(&fold(name).as_str()) {
            return UnknownType {
                message: format!("the block `{name}` is not available in this version"),
                suggestion: None,
            };
        }
        let names = self.entries.iter().flat_map(|entry| {
            std::iter::once(entry.block_type.as_str()).chain(entry.manifest.aliases.iter().map(String::as_str))
        });
        let suggestion = nearest(&fold(name), names);
        UnknownType { message: format!("there is no block `{name}`"), suggestion }
    }
}

fn is_first_party(block: &BlockRef) -> bool {
    block.package.split('/').next() == Some(FIRST_PARTY)
}

fn native_manifests() -> Vec<Manifest> {
    serde_json::from_str(include_str!("native.json")).expect("native.json is part of this build and tested")
}
