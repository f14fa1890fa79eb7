//! Which block a `type` of a workflow means.

use std::collections::HashMap;

use semver::VersionReq;

use crate::manifests::canonical;
use crate::{LoadError, Package, Sandbox, first_party};

/// The packages that workflows may use. Packages that tenants upload will be a layer above this one.
#[derive(Debug, Clone, Default)]
pub struct BlockRegistry {
    packages: Vec<Package>,
    /// Canonical name or alias → package index and the block's own name.
    short: HashMap<String, (usize, String)>,
}

/// What a `type` means: a block of a package.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The package.
    pub package: Package,
    /// The block's own name in it.
    pub block: String,
}

/// Why a package cannot join a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Another package has a block of this name or alias.
    #[error("the block name `{name}` of `{package}` is taken by `{owner}`")]
    Taken {
        /// The name or alias.
        name: String,
        /// The package that was to be added.
        package: String,
        /// The package that has it.
        owner: String,
    },
    /// An embedded package does not load: a fault of the build.
    #[error("the embedded package `{package}` does not load")]
    FirstParty {
        /// Its name.
        package: String,
        /// Why.
        #[source]
        source: Box<LoadError>,
    },
}

/// Why a `type` means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No block has this name.
    #[error("there is no block `{0}`")]
    Unknown(String),
    /// `namespace/package/block` with an unknown package.
    #[error("there is no package `{0}`")]
    UnknownPackage(String),
    /// The text after `@` is no version requirement.
    #[error("`{0}` is not a version requirement; write for example `@1.2` or `@^0.3`")]
    BadRequirement(String),
    /// No version fits.
    #[error("no version of `{package}` matches `{requirement}`; there is {available}")]
    NoVersion {
        /// The package.
        package: String,
        /// What was asked for.
        requirement: String,
        /// The versions that exist.
        available: String,
    },
}

impl BlockRegistry {
    /// The registry of the packages that are built into this program, compiled in parallel.
    ///
    /// # Errors
    /// [`RegistryError`]; a test of this crate makes sure that it does not happen in a build that passed.
    pub fn first_party(sandbox: &Sandbox) -> Result<Self, RegistryError> {
        let loaded: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = first_party::PACKAGES
                .iter()
                .map(|package| scope.spawn(|| sandbox.load(package.name, &package.version(), package.component)))
                .collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut registry = Self::default();
        for (package, loaded) in first_party::PACKAGES.iter().zip(loaded) {
            let loaded = loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let loaded = loaded.map_err(|source| RegistryError::FirstParty {
                package: package.name.to_owned(),
                source: Box::new(source),
            })?;
            registry.add(loaded)?;
        }
        Ok(registry)
    }

    /// Adds a package; its blocks can be named by their short names and aliases.
    ///
    /// # Errors
    /// [`RegistryError::Taken`] if another package has one of the names; nothing is added then.
    pub fn add(&mut self, package: Package) -> Result<(), RegistryError> {
        let names = || {
            let manifests = package.manifests().iter();
            manifests.flat_map(|manifest| {
                std::iter::once(&manifest.name).chain(&manifest.aliases).map(move |name| (name, &manifest.name))
            })
        };
        if let Some((name, (owner, _))) = names().find_map(|(name, _)| Some((name, self.short.get(&canonical(name))?)))
        {
            let owner = self.packages[*owner].name().to_owned();
            return Err(RegistryError::Taken { name: name.clone(), package: package.name().to_owned(), owner });
        }
        let index = self.packages.len();
        let entries: Vec<_> = names().map(|(name, block)| (canonical(name), (index, block.clone()))).collect();
        self.short.extend(entries);
        self.packages.push(package);
        Ok(())
    }

    /// Every package, in the order of joining.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Every canonical name and alias that [`resolve`](Self::resolve) knows, for suggestions. In no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.short.keys().map(String::as_str)
    }

    /// The block that `block_type` means: a name or alias (upper case and `-` for `_` allowed), or
    /// `namespace/package/block`, either with `@requirement`.
    ///
    /// # Errors
    /// [`ResolveError`] says which part is unknown.
    pub fn resolve(&self, block_type: &str) -> Result<Resolved, ResolveError> {
        let (name, requirement) = match block_type.split_once('@') {
            Some((name, text)) => {
                let requirement = VersionReq::parse(text).map_err(|_| ResolveError::BadRequirement(text.to_owned()))?;
                (name, Some(requirement))
            }
            None => (block_type, None),
        };
        let unknown = || ResolveError::Unknown(name.to_owned());
        let (package, block) = match name.rsplit_once('/') {
            None => {
                let (package, block) = self.short.get(&canonical(name)).ok_or_else(unknown)?;
                (&self.packages[*package], block)
            }
            Some((path, block)) => {
                let found = self.packages.iter().position(|package| canonical(package.name()) == canonical(path));
                let index = found.ok_or_else(|| ResolveError::UnknownPackage(path.to_owned()))?;
                match self.short.get(&canonical(block)) {
                    Some((owner, block)) if *owner == index => (&self.packages[index], block),
                    _ => return Err(unknown()),
                }
            }
        };
        match requirement {
            Some(requirement) if !requirement.matches(package.version()) => Err(ResolveError::NoVersion {
                package: package.name().to_owned(),
                requirement: requirement.to_string(),
                available: package.version().to_string(),
            }),
            _ => Ok(Resolved { package: package.clone(), block: block.clone() }),
        }
    }
}
