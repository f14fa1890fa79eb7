//! A block package and its versions on the wire.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sightflow_engine::Granted;
use sightflow_store::{BlockPackage, BlockVersion, BlockVersionState, PackageGrants};
use sightflow_types::capability::Capability;
use sightflow_types::manifest::Manifest;
use sightflow_types::{Digest, PackageId, Timestamp};
use utoipa::ToSchema;

use crate::schema;
use crate::state::ApiState;

/// One package.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockPackage)]
pub(crate) struct PackageView {
    /// Null when it was only checked.
    #[schema(value_type = Option<schema::PackageId>)]
    id: Option<PackageId>,
    /// `namespace/package`.
    name: String,
    /// What definitions mean that name no version.
    active_version: Option<String>,
    /// What a rollback makes active.
    previous_version: Option<String>,
    /// Types of the blocks of the active version.
    blocks: Vec<String>,
    state: PackageState,
    /// Why it is broken.
    reason: Option<String>,
    grants: Grants,
    warnings: Vec<String>,
    #[schema(value_type = Option<schema::Time>)]
    created_at: Option<Timestamp>,
    #[schema(value_type = Option<schema::Time>)]
    updated_at: Option<Timestamp>,
}

/// Whether a package's blocks can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PackageState {
    /// They can.
    Active,
    /// No version is active.
    Inactive,
    /// The active version does not load here.
    Broken,
}

/// What a package may do beyond computing.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = BlockGrants)]
struct Grants {
    /// What its active version asks for.
    requested: Vec<String>,
    /// What it has of that.
    effective: Vec<String>,
}

impl Grants {
    fn of(requested: &[Capability], granted: &Granted) -> Self {
        Self { requested: texts(requested), effective: texts(&granted.of(requested)) }
    }
}

/// What the blocks ask for together.
fn all<'m>(manifests: impl IntoIterator<Item = &'m Manifest>) -> Vec<Capability> {
    let all: BTreeSet<Capability> = manifests.into_iter().flat_map(|block| block.capabilities.clone()).collect();
    all.into_iter().collect()
}

fn texts(capabilities: &[Capability]) -> Vec<String> {
    capabilities.iter().map(ToString::to_string).collect()
}

impl PackageView {
    /// A package as it is now.
    pub(crate) fn new(state: &ApiState, package: BlockPackage) -> Self {
        let catalog = state.blocks(package.tenant_id);
        let entries: Vec<_> = catalog.entries().iter().filter(|entry| entry.block.package == package.name).collect();
        let requested = all(entries.iter().map(|entry| &entry.manifest));
        let active = package.active_version.as_deref();
        let reason = active.and_then(|version| state.packages.trouble(package.tenant_id, &package.name, version));
        let found = match (active, &reason) {
            (None, _) => PackageState::Inactive,
            (Some(_), None) => PackageState::Active,
            (Some(_), Some(_)) => PackageState::Broken,
        };
        Self {
            id: Some(package.id),
            blocks: entries.iter().map(|entry| entry.block_type.clone()).collect(),
            state: found,
            reason,
            warnings: state
                .packages
                .granting()
                .granted(&package.grants)
                .missing(&requested)
                .into_iter()
                .map(|lacks| format!("it {lacks}"))
                .collect(),
            grants: Grants::of(&requested, &state.packages.granting().granted(&package.grants)),
            active_version: package.active_version,
            previous_version: package.previous_version,
            created_at: Some(package.created_at),
            updated_at: Some(package.updated_at),
            name: package.name,
        }
    }

    /// What would be published.
    pub(crate) fn checked(package: &sightflow_engine::Package) -> Self {
        let requested = all(&package.manifests);
        Self {
            id: None,
            name: package.name.clone(),
            active_version: None,
            previous_version: None,
            blocks: package.manifests.iter().map(|block| format!("{}/{}", package.name, block.name)).collect(),
            state: PackageState::Inactive,
            reason: None,
            grants: Grants::of(&requested, &Granted::default()),
            warnings: Vec::new(),
            created_at: None,
            updated_at: None,
        }
    }
}

/// One version of a package.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockVersion)]
pub(crate) struct VersionView {
    version: String,
    #[schema(value_type = schema::Digest)]
    digest: Digest,
    /// `published`, `quarantined` or `yanked`.
    state: &'static str,
    /// Why it is quarantined, or does not load here.
    reason: Option<String>,
    /// Version of the block interface that it was built for.
    wit: String,
    /// The publisher who had signed it when it was published.
    signed_by: Option<String>,
    /// Bytes of the component.
    size: u64,
    /// Capabilities that its blocks ask for.
    requested: Vec<String>,
    /// What they have of these.
    granted: Vec<String>,
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// What its blocks say of themselves; only when one version is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    manifests: Option<Value>,
}

impl VersionView {
    /// A version without its manifests.
    pub(crate) fn item(
        state: &ApiState,
        tenant: sightflow_types::TenantId,
        grants: &PackageGrants,
        version: BlockVersion,
    ) -> Self {
        let trouble = || state.packages.trouble(tenant, &version.package, &version.version);
        let reason = match version.state {
            BlockVersionState::Published => trouble(),
            BlockVersionState::Quarantined | BlockVersionState::Yanked => version.reason.clone(),
        };
        let blocks = version.manifests.as_array().into_iter().flatten();
        let requested: BTreeSet<Capability> = blocks
            .filter_map(|block| block.get("capabilities")?.as_array())
            .flatten()
            .filter_map(|capability| capability.as_str()?.parse().ok())
            .collect();
        let requested: Vec<_> = requested.into_iter().collect();
        Self {
            version: version.version,
            digest: version.digest,
            state: version.state.as_str(),
            reason,
            wit: version.wit_version,
            signed_by: version.signed_by,
            size: version.size,
            granted: texts(&state.packages.granting().granted(grants).of(&requested)),
            requested: texts(&requested),
            created_at: version.created_at,
            manifests: None,
        }
    }

    /// The whole version.
    pub(crate) fn full(
        state: &ApiState,
        tenant: sightflow_types::TenantId,
        grants: &PackageGrants,
        version: BlockVersion,
    ) -> Self {
        let manifests = Some(version.manifests.clone());
        Self { manifests, ..Self::item(state, tenant, grants, version) }
    }
}
