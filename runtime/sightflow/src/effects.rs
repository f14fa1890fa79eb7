//! What blocks that reach out do so with: grants of the store, and the client that sends.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sightflow_api::outgoing::{FetchError, Outgoing};
use sightflow_engine::{CallError, CallGrants, Granting};
use sightflow_sandbox::{Grants, HttpClient, HttpFailure, Outgoing as Request, Secret};
use sightflow_types::TenantId;
use sightflow_types::capability::Capability;
use tokio::runtime::Handle;

/// Where grants of tenants come from, and who sends. Cheap to clone.
#[derive(Clone)]
pub struct Effects {
    granting: Granting,
    client: Arc<dyn HttpClient>,
    runtime: Handle,
}

impl Effects {
    /// Grants of tenants. Within a runtime.
    pub fn new(granting: Granting, client: Outgoing) -> Self {
        Self { granting, client: self::client(client), runtime: Handle::current() }
    }

    /// What a block of this package has now. Blocks the thread, which is none that runs tasks.
    ///
    /// # Errors
    /// `E-GRANT` with what it asks for and has not.
    pub(crate) fn grants(
        &self,
        tenant: TenantId,
        package: &str,
        requested: &[Capability],
    ) -> Result<Grants, CallError> {
        let CallGrants { hosts, secrets } = self.runtime.block_on(self.granting.of(tenant, package, requested))?;
        let secrets = secrets.into_iter().map(|(name, value)| Secret { name, value }).collect();
        Ok(Grants { hosts, secrets, client: Arc::clone(&self.client) })
    }
}

/// Who sends what guests send, within the rules of addresses.
pub(crate) fn client(outgoing: Outgoing) -> Arc<dyn HttpClient> {
    Arc::new(Client(outgoing))
}

struct Client(Outgoing);

#[async_trait]
impl HttpClient for Client {
    async fn send(&self, request: Request) -> Result<http::Response<Bytes>, HttpFailure> {
        let Request { request, secret, most_bytes } = request;
        self.0.send(request, secret, most_bytes).await.map_err(|error| match error {
            FetchError::NotAllowed(rule) => HttpFailure::Denied(rule),
            FetchError::Failed(reason) => HttpFailure::Failed(reason),
        })
    }
}
