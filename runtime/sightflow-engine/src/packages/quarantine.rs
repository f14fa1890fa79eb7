//! When a version that keeps breaking down is taken out of use for good.
//!
//! The host refuses its calls for a while after a series of breakdowns, and for longer each time. A version that was refused
//! over and over does not mend itself: its tenant's package falls back to the version before, and somebody who looked at
//! it activates it by force if that was wrong.

use sightflow_store::{BlockVersionState, StoreError};
use sightflow_types::error::chain;
use tracing::warn;

use super::Packages;
use super::loader::Breaking;

/// Refusals in a row after which a version is taken out of use.
const REFUSALS: u32 = 3;

impl Packages {
    /// Looks at what keeps breaking down in this process.
    pub(super) async fn take_out_breaking(&self) {
        for breaking in self.loader.breaking() {
            if breaking.times < REFUSALS {
                continue;
            }
            if let Err(failure) = self.quarantine(&breaking).await {
                warn!(error = chain(&failure), digest = %breaking.digest, "a block package cannot be taken out of use");
            }
        }
    }

    /// Takes each version with these bytes out of use. From then on the store says what may run, and the host counts anew,
    /// in case somebody gives the version another chance. One that executions are pinned to without a definition that can
    /// name it is left to the host.
    async fn quarantine(&self, breaking: &Breaking) -> Result<(), StoreError> {
        let Breaking { tenant, digest, reason, .. } = breaking;
        let mut taken = false;
        for named in self.store.named_block_versions(*tenant).await? {
            let version = named.version;
            if version.digest != *digest || version.state != BlockVersionState::Published {
                continue;
            }
            let reason = format!("it kept breaking down: {reason}");
            self.store.quarantine_block_version(*tenant, version.package_id, &version.version, &reason).await?;
            taken = true;
            warn!(tenant = %tenant, block.package = version.package, block.version = version.version, reason, "a block package was taken out of use");
        }
        if taken {
            self.loader.release(*tenant, *digest);
            self.refresh(*tenant).await?;
        }
        Ok(())
    }
}
