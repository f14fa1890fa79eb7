//! What a call may do beyond computing, and who does it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sightflow_types::capability::HostPattern;

/// What one call was granted. Without any, a call reaches nothing.
#[derive(Clone)]
pub struct Grants {
    /// Hosts that it may send requests to.
    pub hosts: Vec<HostPattern>,
    /// What it may send in headers without seeing it.
    pub secrets: Vec<Secret>,
    /// Who sends.
    pub client: Arc<dyn HttpClient>,
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secrets: Vec<_> = self.secrets.iter().map(|secret| &secret.name).collect();
        f.debug_struct("Grants").field("hosts", &self.hosts).field("secrets", &secrets).finish_non_exhaustive()
    }
}

/// A secret of the tenant. The guest finds [`Secret::placeholder`] in the environment variable of its name; in headers of
/// requests the value takes its place.
#[derive(Clone)]
pub struct Secret {
    /// The name that the block asks for.
    pub name: String,
    /// What goes out.
    pub value: String,
}

impl Secret {
    /// What the guest sees.
    pub fn placeholder(&self) -> String {
        format!("{{secret:{}}}", self.name)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// A request that a guest makes: to a host that it was granted, its headers complete.
#[derive(Debug)]
pub struct Outgoing {
    /// With an absolute URI.
    pub request: http::Request<Bytes>,
    /// A secret is among the headers: it must not travel in the open.
    pub secret: bool,
    /// Most bytes of the answer's body.
    pub most_bytes: u64,
}

/// Sends what guests send. Redirects are answers like others: the guest asks again, and is looked at again.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// One request and its whole answer. The client refuses addresses that no guest may reach, whatever a name resolves to.
    ///
    /// # Errors
    /// [`HttpFailure`].
    async fn send(&self, outgoing: Outgoing) -> Result<http::Response<Bytes>, HttpFailure>;
}

/// Why a request had no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// It may not be sent; the text says which rule it broke.
    #[error("{0}")]
    Denied(String),
    /// The answer is larger than [`Outgoing::most_bytes`].
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// No answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// Nobody answered, or the connection broke.
    #[error("{0}")]
    Failed(String),
}
