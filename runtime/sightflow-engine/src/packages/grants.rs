//! What blocks of a package have of what they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use sightflow_store::{PackageGrants, PackageKey, Store, StoreError};
use sightflow_types::TenantId;
use sightflow_types::capability::{Capability, HostPattern};
use sightflow_types::error::{chain, code};

use crate::catalog::Granted;
use crate::host::CallError;
use crate::secrets::{SecretError, SecretsKey};

/// Looks grants up when a block is called, so that what was taken back is gone with the next call.
#[derive(Clone)]
pub struct Granting {
    store: Arc<dyn Store>,
    key: Arc<SecretsKey>,
    /// What tenants may grant at most.
    ceiling: Arc<[HostPattern]>,
}

/// What one call has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CallGrants {
    /// Hosts that it may send requests to.
    pub hosts: Vec<HostPattern>,
    /// Secrets by the names that the block has for them.
    pub secrets: BTreeMap<String, String>,
}

impl Granting {
    /// Grants of this store, with the operator's ceiling; secrets are opened with `key`.
    pub fn new(store: Arc<dyn Store>, key: Arc<SecretsKey>, ceiling: impl Into<Arc<[HostPattern]>>) -> Self {
        Self { store, key, ceiling: ceiling.into() }
    }

    /// What a package with these grants has.
    pub fn granted(&self, grants: &PackageGrants) -> Granted {
        Granted { capabilities: grants.all(), ceiling: Arc::clone(&self.ceiling) }
    }

    /// Seals a secret, to be stored.
    ///
    /// # Errors
    /// [`SecretError::NotSealed`].
    pub fn seal(&self, tenant: TenantId, name: &str, value: &str) -> Result<Vec<u8>, SecretError> {
        self.key.seal(tenant, name, value)
    }

    /// What a block of this package has now.
    ///
    /// # Errors
    /// `E-GRANT` with everything that it asks for and has not, or a secret that is not stored.
    pub async fn of(&self, tenant: TenantId, package: &str, requested: &[Capability]) -> Result<CallGrants, CallError> {
        let key = PackageKey::Name(package.to_owned());
        let granted = match self.store.block_package(tenant, key).await {
            Ok(found) => found.grants,
            Err(StoreError::NotFound(_)) => PackageGrants::default(),
            Err(error) => return Err(CallError::internal(chain(&error))),
        };
        let has = self.granted(&granted);
        if let Some(words) = has.missing(requested) {
            return Err(CallError::new(code::GRANT, format!("the package {package} {words}")));
        }
        let mut call = CallGrants::default();
        for capability in has.of(requested) {
            match capability {
                Capability::Http(hosts) => call.hosts.push(hosts),
                Capability::Secret(name) => {
                    let stored = granted.secrets.get(&name).unwrap_or(&name);
                    let value = self.secret(tenant, stored).await?;
                    call.secrets.insert(name, value);
                }
            }
        }
        Ok(call)
    }

    async fn secret(&self, tenant: TenantId, name: &str) -> Result<String, CallError> {
        let sealed = match self.store.secret(tenant, name).await {
            Ok(sealed) => sealed,
            Err(StoreError::NotFound(_)) => {
                let message = format!("the secret `{name}` is not stored: PUT /api/v1/secrets/{name}");
                return Err(CallError::new(code::GRANT, message));
            }
            Err(error) => return Err(CallError::internal(chain(&error))),
        };
        self.key
            .open(tenant, name, &sealed)
            .map_err(|error| CallError::internal(format!("the secret `{name}`: {error}")))
    }
}
