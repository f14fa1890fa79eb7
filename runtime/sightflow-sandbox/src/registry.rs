//! The packages whose blocks workflows can name.

use std::collections::HashMap;

use crate::manifests::canonical;
use crate::{LoadError, Package, Sandbox, first_party};

/// The packages that workflows may use. Packages that tenants upload will be a layer above this one.
#[derive(Debug, Clone, Default)]
pub struct BlockRegistry {
    packages: Vec<Package>,
    /// Canonical name or alias of every block → index of its package.
    owners: HashMap<String, usize>,
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
        let manifests = package.manifests().iter();
        let names: Vec<_> =
            manifests.flat_map(|manifest| std::iter::once(&manifest.name).chain(&manifest.aliases)).collect();
        if let Some((name, owner)) = names.iter().find_map(|name| Some((*name, *self.owners.get(&canonical(name))?))) {
            let owner = self.packages[owner].name().to_owned();
            return Err(RegistryError::Taken { name: name.clone(), package: package.name().to_owned(), owner });
        }
        let index = self.packages.len();
        self.owners.extend(names.into_iter().map(|name| (canonical(name), index)));
        self.packages.push(package);
        Ok(())
    }

    /// Every package, in the order of joining.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }
}
