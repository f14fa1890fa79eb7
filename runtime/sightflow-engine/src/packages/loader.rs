//! What the engine asks of those who can read components.

use async_trait::async_trait;
use bytes::Bytes;
use semver::Version;
use sightflow_types::{Digest, Problem, TenantId};

use crate::catalog::Package;

/// What a package is called, and which version of it this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `namespace/package`.
    pub name: String,
    /// The version.
    pub version: Version,
}

/// Why a component was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// Everything that its author has to change, a problem each.
    #[error("{}", .0.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Problem>),
    /// Too many components of this tenant wait to be loaded. A repetition helps later.
    #[error("too many packages wait to be compiled")]
    Busy,
    /// The host failed; not the component's fault.
    #[error("{0}")]
    Host(String),
}

/// A version whose calls the host refuses for a while, because it kept breaking down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaking {
    /// Whose calls.
    pub tenant: TenantId,
    /// Of which bytes.
    pub digest: Digest,
    /// How often in a row its calls were refused for a while, this time included.
    pub times: u32,
    /// Why the last call broke down.
    pub reason: String,
}

/// Makes packages of components. Implemented over the sandbox by the binary, and by scripts in tests.
#[async_trait]
pub trait PackageLoader: Send + Sync {
    /// What a component says of itself; none if it says nothing.
    ///
    /// # Errors
    /// What is wrong with what it says.
    fn identity(&self, component: &[u8]) -> Result<Option<Identity>, Vec<Problem>>;

    /// The interface version that packages are loaded with: `0.1`.
    fn wit_version(&self) -> &'static str;

    /// Loads a component under this name for a tenant: screened, compiled (or taken from a cache), its manifests read.
    ///
    /// # Errors
    /// [`LoadFailure`].
    async fn load(&self, tenant: TenantId, identity: &Identity, component: Bytes) -> Result<Package, LoadFailure>;

    /// The versions whose calls are refused now.
    fn breaking(&self) -> Vec<Breaking>;

    /// Forgets that calls of a version broke down.
    fn release(&self, tenant: TenantId, digest: Digest);
}
