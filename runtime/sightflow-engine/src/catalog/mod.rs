//! Every block that a definition can name, with its compiled configuration schema and its code.

mod entry;
mod granted;
pub mod ports;
mod published;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use semver::{Version, VersionReq};
use serde_json::{Value, json};
use sightflow_expressions::reference::nearest;
use sightflow_types::manifest::{Manifest, Role};
use sightflow_types::{Digest, fold};

pub use entry::{BlockEntry, EngineKind, Package};
pub use granted::Granted;
pub use published::{BlockSource, Published};
pub use sightflow_schema::{Canonical, ConfigSchema, SchemaError};
pub(crate) use sightflow_types::pointer_token;

pub(crate) use entry::Runner;

use crate::host::{BlockRef, Code};
use crate::{native, tasks};

/// The namespace of the blocks that come with the server; their types are written without it.
pub const FIRST_PARTY: &str = "sightflow";

/// Why a catalogue cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two blocks claim one type name.
    #[error("the type `{0}` is claimed twice")]
    Duplicate(String),
    /// A tenant's package has a name of those that come with the server.
    #[error("the package name `{0}` is kept for blocks that come with the server")]
    Reserved(String),
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

/// All blocks that one tenant may name: the engine's own and those of packages. A snapshot: a change makes a new one, and who
/// has this one, or a block of it, goes on with it. Sorted by type.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Arc<BlockEntry>>,
    names: HashMap<String, usize>,
    /// Names of tenants' blocks without their packages, and the blocks that they may mean.
    bare: HashMap<String, Vec<usize>>,
    /// Every published version of a block, active or not, by its names.
    versions: HashMap<String, Vec<Arc<BlockEntry>>>,
    version: Digest,
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
        let version = Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version::new(0, 0, 0));
        let native = native::BLOCKS.iter().map(|block| (Runner::Native(*block), block.manifest()));
        let models = tasks::BLOCKS.iter().map(|(task, manifest)| (Runner::Model(*task), *manifest));
        let own = native.chain(models).map(|(runner, manifest)| {
            let manifest: Manifest = serde_json::from_str(manifest).expect("part of this build, and tested");
            let block = BlockRef {
                package: format!("{FIRST_PARTY}/{}", manifest.category),
                version: version.clone(),
                name: manifest.name.clone(),
                digest: None,
                code: Code::default(),
            };
            BlockEntry::new(runner, block, manifest, None)
        });
        Self::of(own.chain(packages.into_iter().flat_map(Package::into_entries)).collect::<Result<_, _>>()?, Vec::new())
    }

    /// These blocks and those of further packages.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn with(&self, packages: impl IntoIterator<Item = Package>) -> Result<Self, CatalogError> {
        self.with_versions(packages, [])
    }

    /// These blocks, those of further packages, and those of versions that are found only where a definition names exactly
    /// them.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn with_versions(
        &self,
        packages: impl IntoIterator<Item = Package>,
        versions: impl IntoIterator<Item = Package>,
    ) -> Result<Self, CatalogError> {
        let more = packages.into_iter().flat_map(Package::into_entries);
        let entries = self.entries.iter().cloned().map(Ok).chain(more).collect::<Result<_, _>>()?;
        let exact = versions.into_iter().flat_map(Package::into_exact_entries);
        Self::of(entries, self.exact_entries().map(Ok).chain(exact).collect::<Result<_, _>>()?)
    }

    /// These blocks, but those of the given packages as they are there: what an execution goes on with that was started with
    /// other versions than those of now.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub(crate) fn pinned_to(&self, packages: Vec<Package>, versions: Vec<Package>) -> Result<Self, CatalogError> {
        let stays = |entry: &&Arc<BlockEntry>| !packages.iter().any(|package| package.name == entry.block.package);
        let entries: Vec<_> = self.entries.iter().filter(stays).cloned().collect();
        let known: Vec<_> = self.exact_entries().collect();
        let pinned: Vec<_> = packages.into_iter().flat_map(Package::into_entries).collect::<Result<_, _>>()?;
        let exact = versions.into_iter().flat_map(Package::into_exact_entries).collect::<Result<Vec<_>, _>>()?;
        let kept = known.into_iter().filter(|entry| exact.iter().all(|pinned| pinned.block_type != entry.block_type));
        let exact = kept.chain(exact.iter().cloned()).collect();
        Self::of(entries.into_iter().chain(pinned).collect(), exact)
    }

    fn exact_entries(&self) -> impl Iterator<Item = Arc<BlockEntry>> {
        let mut seen = HashSet::new();
        let all = self.versions.values().flatten().cloned();
        all.filter(move |entry| seen.insert(entry.block_type.clone()))
    }

    fn of(mut entries: Vec<Arc<BlockEntry>>, mut exact: Vec<Arc<BlockEntry>>) -> Result<Self, CatalogError> {
        entries.sort_by(|a, b| a.block_type.cmp(&b.block_type));
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            for name in entry.names() {
                if names.insert(fold(&name), index).is_some_and(|other| other != index) {
                    return Err(CatalogError::Duplicate(name));
                }
            }
        }
        let mut bare: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_first_party()) {
            for name in entry.bare_names() {
                bare.entry(name).or_default().push(index);
            }
        }
        exact.sort_by(|a, b| (a.block.qualified(), &a.block.version).cmp(&(b.block.qualified(), &b.block.version)));
        let version = version(entries.iter().chain(&exact));
        let mut versions: HashMap<String, Vec<Arc<BlockEntry>>> = HashMap::new();
        for entry in exact {
            for name in entry.names() {
                versions.entry(fold(&name)).or_default().push(Arc::clone(&entry));
            }
        }
        Ok(Self { entries, names, bare, versions, version })
    }

    /// The block of exactly this type, as pins name it: not an alias, and with the version where a definition names one.
    pub(crate) fn typed(&self, block_type: &str) -> Option<&Arc<BlockEntry>> {
        let Some((name, _)) = block_type.split_once('@') else {
            return self.entries.iter().find(|entry| entry.block_type == block_type);
        };
        self.versions.get(&fold(name))?.iter().find(|entry| entry.block_type == block_type)
    }

    /// Every block, by type.
    pub fn entries(&self) -> &[Arc<BlockEntry>] {
        &self.entries
    }

    /// Which blocks they are: equal for catalogues of equal blocks, in every process.
    pub fn version(&self) -> Digest {
        self.version
    }

    /// The block that comes with the server and plays this role.
    pub fn playing(&self, role: Role) -> Option<&Arc<BlockEntry>> {
        self.entries.iter().find(|entry| entry.is_first_party() && entry.manifest.role == Some(role))
    }

    /// The block that a definition's `type` means: a type, an alias, the name of a tenant's block without its package if only
    /// one has it, or `namespace/package/block@req`. A requirement that is a version (`1.2.0`) means exactly that one, active
    /// or not; any other must be met by the active version. Case and `-` against `_` do not matter.
    ///
    /// # Errors
    /// [`UnknownType`] with the nearest type, or what is wrong with the version requirement.
    pub fn resolve(&self, block_type: &str) -> Result<&Arc<BlockEntry>, UnknownType> {
        let (name, requirement) = match block_type.split_once('@') {
            Some((name, requirement)) => (name, Some(requirement)),
            None => (block_type, None),
        };
        if let Some(Ok(version)) = requirement.map(Version::parse) {
            return self.exact(name, &version);
        }
        let entry = self.active(name)?;
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

    /// The active block of a name.
    fn active(&self, name: &str) -> Result<&Arc<BlockEntry>, UnknownType> {
        let folded = fold(name);
        if let Some(&index) = self.names.get(&folded) {
            return Ok(&self.entries[index]);
        }
        match self.bare.get(&folded).map(Vec::as_slice) {
            Some([index]) => Ok(&self.entries[*index]),
            Some(several) => {
                let types: Vec<_> =
                    several.iter().map(|index| format!("`{}`", self.entries[*index].block_type)).collect();
                let message = format!("`{name}` is a block of several packages: write {}", types.join(" or "));
                Err(UnknownType { message, suggestion: Some(self.entries[several[0]].block_type.clone()) })
            }
            None => match self.versions.get(&folded).and_then(|versions| versions.last()) {
                Some(newest) => Err(UnknownType {
                    message: format!("`{name}` has no active version; activate one, or name one"),
                    suggestion: Some(newest.block_type.clone()),
                }),
                None => Err(self.unknown(name)),
            },
        }
    }

    /// The block of a name in exactly this version.
    fn exact(&self, name: &str, version: &Version) -> Result<&Arc<BlockEntry>, UnknownType> {
        let active = self.active(name);
        let qualified = active.as_ref().map_or_else(|_| fold(name), |entry| fold(&entry.block.qualified()));
        let published = self.versions.get(&qualified).map(Vec::as_slice).unwrap_or_default();
        if let Some(found) = published.iter().find(|entry| entry.block.version == *version) {
            return Ok(found);
        }
        match active {
            Ok(entry) if entry.block.version == *version => Ok(entry),
            Ok(entry) => Err(UnknownType {
                message: format!("`{name}` has no version {version}; {} is active", entry.block.version),
                suggestion: Some(format!("{}@^{}", entry.block.qualified(), entry.block.version)),
            }),
            Err(unknown) => Err(unknown),
        }
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

fn version<'e>(entries: impl Iterator<Item = &'e Arc<BlockEntry>>) -> Digest {
    let parts = entries.map(|entry| {
        let BlockRef { package, version, digest, .. } = &entry.block;
        let said = (package, version.to_string(), digest, &entry.manifest, &entry.lacks);
        json!([entry.block_type, entry.engine().as_str(), said])
    });
    sightflow_blobs::digest_of(Value::Array(parts.collect()).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, blocks: &[&str]) -> Package {
        let manifest = |name: &&str| {
            json!({"name": name, "title": name, "description": name, "category": "logic", "aliases": [format!("{name}_alias")],
                   "inputs": [], "outputs": [], "config": {"type": "object", "additionalProperties": false}})
        };
        Package {
            name: name.to_owned(),
            version: version.parse().expect("a version"),
            digest: sightflow_blobs::digest_of(format!("{name}@{version}").as_bytes()),
            manifests: blocks.iter().map(|block| serde_json::from_value(manifest(block)).expect("valid")).collect(),
            code: Code::default(),
            granted: Granted::default(),
        }
    }

    fn types(catalog: &Catalog) -> Vec<&str> {
        catalog.entries().iter().map(|entry| entry.block_type.as_str()).collect()
    }

    #[test]
    fn order_and_version_depend_on_the_blocks_alone() {
        let (one, two) = (package("acme/b", "1.0.0", &["z", "a"]), package("sightflow/c", "1.0.0", &["m"]));
        let there = Catalog::new([one.clone(), two.clone()]).expect("a catalogue");
        let back = Catalog::new([two.clone()]).and_then(|some| some.with([one.clone()])).expect("a catalogue");
        let found = types(&there);
        assert!(found.is_sorted(), "{found:?}");
        assert_eq!(found[..2], ["acme/b/a", "acme/b/z"]);
        assert!(found.contains(&"m") && found.contains(&"image_input"), "{found:?}");
        assert_eq!((found, there.version()), (types(&back), back.version()));
        // Whatever changes about a block changes the version.
        let mut told_otherwise = one.clone();
        told_otherwise.manifests[0].description.push('!');
        for other in [
            vec![],
            vec![one.clone()],
            vec![package("acme/b", "1.0.1", &["z", "a"]), two.clone()],
            vec![told_otherwise, two],
        ] {
            assert_ne!(Catalog::new(other).expect("a catalogue").version(), there.version());
        }
    }

    #[test]
    fn a_name_belongs_to_one_block() {
        let base = Catalog::new([package("sightflow/c", "1.0.0", &["m"])]).expect("a catalogue");
        let cases = [
            (package("acme/c", "1.0.0", &["m"]), None),
            (package("sightflow/d", "1.0.0", &["m"]), Some("m")),
            (package("sightflow/d", "1.0.0", &["M_Alias"]), Some("m_alias")),
            (package("sightflow/d", "1.0.0", &["image-input"]), Some("image-input")),
            (package("sightflow/c", "2.0.0", &["m"]), Some("sightflow/c/m")),
        ];
        for (package, expected) in cases {
            let name = package.name.clone();
            match (base.with([package]), expected) {
                (Ok(_), None) => {}
                (Err(CatalogError::Duplicate(found)), Some(expected)) => {
                    assert_eq!(fold(&found), fold(expected), "{name}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
