//! Block packages of tenants and their versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_types::capability::Capability;
use sightflow_types::{Digest, PackageId, TenantId, Timestamp, closed_set};

use crate::blob::NewBlob;

closed_set!(
/// What may be done with a version of a block package.
BlockVersionState, "block version state", {
    /// It can be activated and named.
    Published = "published",
    /// It misbehaved; it is activated only by force.
    Quarantined = "quarantined",
    /// It was withdrawn: only executions that began with it may go on.
    Yanked = "yanked",
});

/// A tenant's package: a name, and which of its versions is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPackage {
    /// Its id.
    pub id: PackageId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `namespace/package`, as it was first published.
    pub name: String,
    /// The version that definitions mean when they name none.
    pub active_version: Option<String>,
    /// The one that was active before.
    pub previous_version: Option<String>,
    /// What its tenant granted to it.
    pub grants: PackageGrants,
    /// When it was first published.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// What a tenant granted to a package. What its blocks get of that, they asked for as well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackageGrants {
    /// Hosts, and secrets by the names that the blocks have for them.
    pub capabilities: Vec<Capability>,
    /// Names of stored secrets, by the names that the blocks have for them.
    pub secrets: BTreeMap<String, String>,
}

impl PackageGrants {
    /// Everything that is granted: a secret that has a stored one is.
    pub fn all(&self) -> Vec<Capability> {
        let secrets = self.secrets.keys().cloned().map(Capability::Secret);
        self.capabilities.iter().cloned().chain(secrets).collect()
    }
}

/// One version of a package. Its bytes never change.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockVersion {
    /// Its package.
    pub package_id: PackageId,
    /// The name of its package.
    pub package: String,
    /// A semantic version.
    pub version: String,
    /// Of the component's bytes.
    pub digest: Digest,
    /// How many these are.
    pub size: u64,
    /// What its blocks say of themselves: a list of manifests.
    pub manifests: Value,
    /// Version of the block interface that it was built for.
    pub wit_version: String,
    /// The publisher who had signed it when it was published.
    pub signed_by: Option<String>,
    /// What may be done with it.
    pub state: BlockVersionState,
    /// Why it is quarantined.
    pub reason: Option<String>,
    /// When it was published.
    pub created_at: Timestamp,
}

/// Which package: by its id or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageKey {
    /// `blk_…`.
    Id(PackageId),
    /// `namespace/package`; case does not matter, nor `-` against `_`.
    Name(String),
}

/// How much a tenant may publish; `None` does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackageQuota {
    /// Packages that were not deleted.
    pub packages: Option<u64>,
    /// Bytes of all versions whose bytes are kept.
    pub bytes: Option<u64>,
}

/// What becomes of the active version when another one is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The new version becomes active.
    Activate,
    /// It stays as it is.
    Keep,
}

/// A version to publish, after its bytes were stored and checked.
#[derive(Debug, Clone)]
pub struct NewBlockVersion {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `namespace/package`.
    pub package: String,
    /// A semantic version.
    pub version: String,
    /// The component.
    pub component: NewBlob,
    /// What its blocks say of themselves.
    pub manifests: Value,
    /// Version of the block interface that it was built for.
    pub wit_version: String,
    /// The publisher who signed it.
    pub signed_by: Option<String>,
    /// Whether it becomes active.
    pub activation: Activation,
    /// What the tenant may have.
    pub quota: PackageQuota,
}

/// What publishing led to.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedVersion {
    /// The package as it is now.
    pub package: BlockPackage,
    /// The version.
    pub version: BlockVersion,
    /// The same bytes were published before under this version.
    pub known: bool,
}

/// What activating does about a version that is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantined {
    /// Refuse with `Conflict`.
    Refuse,
    /// Publish it again.
    Release,
}

/// Which tenants' packages changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageChanges {
    /// Ask with this the next time.
    pub revision: u64,
    /// Whose packages changed, each once.
    pub tenants: Vec<TenantId>,
}

/// What blocks of a tenant are made of now: every version that can be named, and which of them are active.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedVersion {
    /// The version.
    pub version: BlockVersion,
    /// Whether its package's active version is this one.
    pub active: bool,
    /// What the tenant granted to its package.
    pub grants: PackageGrants,
}
