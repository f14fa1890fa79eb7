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

/// Where grants come from, and who sends. Cheap to clone.
#[derive(Clone)]
pub struct Effects {
    source: Source,
    client: Arc<dyn HttpClient>,
    runtime: Handle,
}

#[derive(Clone)]
enum Source {
    /// Those of tenants.
    Store(Granting),
    /// The same for every block: what an author gives at home.
    Given(Arc<CallGrants>),
}

impl Effects {
    /// Grants of tenants. Within a runtime.
    pub fn new(granting: Granting, client: Outgoing) -> Self {
        Self { source: Source::Store(granting), client: Arc::new(Client(client)), runtime: Handle::current() }
    }

    /// These grants for every block. Within a runtime.
    pub fn given(grants: CallGrants, client: Outgoing) -> Self {
        Self { source: Source::Given(Arc::new(grants)), client: Arc::new(Client(client)), runtime: Handle::current() }
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
        let has = match &self.source {
            Source::Store(granting) => self.runtime.block_on(granting.of(tenant, package, requested))?,
            Source::Given(given) => CallGrants { hosts: given.hosts.clone(), secrets: given.secrets.clone() },
        };
        let secrets = has.secrets.into_iter().map(|(name, value)| Secret { name, value }).collect();
        Ok(Grants { hosts: has.hosts, secrets, client: Arc::clone(&self.client) })
    }
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
