//! A loaded package: compiled, linked, its manifests read.

use std::sync::Arc;

use semver::Version;
use sightflow_types::Digest;
use sightflow_types::manifest::Manifest;

use crate::host::exports::Exports;

/// A package that is ready to be called. Cloning is cheap.
#[derive(Clone)]
pub struct Package(Arc<Inner>);

struct Inner {
    name: String,
    version: Version,
    digest: Digest,
    manifests: Vec<Manifest>,
    /// Bytes of the component.
    size: usize,
    brought: bool,
    exports: Exports,
}

/// Bytes of a component from which on its instances are dear: there is an interpreter in it.
const DEAR: usize = 4 << 20;

impl Package {
    pub(crate) fn new(
        name: String,
        version: Version,
        digest: Digest,
        manifests: Vec<Manifest>,
        (size, brought): (usize, bool),
        exports: Exports,
    ) -> Self {
        Self(Arc::new(Inner { name, version, digest, manifests, size, brought, exports }))
    }

    /// `namespace/name`, for example `sightflow/logic`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether many calls are to share an instance: it can do that, and an instance is dear.
    pub fn shares(&self) -> bool {
        self.batches() && self.0.size >= DEAR
    }

    /// Its published version.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// SHA-256 of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// One manifest a block, in the order of the package's catalogue.
    pub fn manifests(&self) -> &[Manifest] {
        &self.0.manifests
    }

    /// The manifest of the block with exactly this name.
    pub fn manifest(&self, block: &str) -> Option<&Manifest> {
        self.0.manifests.iter().find(|manifest| manifest.name == block)
    }

    /// Whether a tenant brought it; otherwise it came with the program.
    pub fn brought(&self) -> bool {
        self.0.brought
    }

    /// Whether its calls may wait for others.
    pub fn reaches_out(&self) -> bool {
        self.0.exports.reaches_out()
    }

    /// Whether it checks configurations when a workflow is saved.
    pub fn checks(&self) -> bool {
        self.0.exports.checks()
    }

    /// Whether it does many calls in one instance.
    pub fn batches(&self) -> bool {
        self.0.exports.batches()
    }

    pub(crate) fn exports(&self) -> &Exports {
        &self.0.exports
    }
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Package({}@{} {})", self.name(), self.version(), self.digest())
    }
}
