//! Fetching what a client names by URL, without letting the client reach the server's own network.
//!
//! The name is resolved once; every address is checked; the connection goes to a checked address. Redirects are followed here,
//! at most three, each checked anew.

mod networks;
mod send;
mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, LOCATION};
use sightflow_engine::ImageFetcher;
use sightflow_memory::MemoryPool;

pub use networks::{InvalidNetwork, Network};
pub use sightflow_engine::FetchError;

use crate::extract::body::{Charge, Held};

const REDIRECTS: usize = 3;
const CONNECT: Duration = Duration::from_secs(10);
const TOTAL: Duration = Duration::from_secs(30);
/// How long a fetch waits for memory; shorter than [`TOTAL`], so that the failure says why.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest answer that is read.
pub const FETCH_LIMIT: usize = 50 << 20;

/// The outgoing HTTP client and its rules. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outgoing {
    client: reqwest::Client,
    allow: Arc<[Network]>,
    memory: MemoryPool,
}

impl Outgoing {
    /// `allow` lists networks that the operator opens although they are private, for example `127.0.0.0/8`; inside them any
    /// port may be used. What is fetched is taken from `memory` as long as it is held.
    ///
    /// # Errors
    /// When the TLS backend cannot be set up.
    pub fn new(allow: impl Into<Arc<[Network]>>, memory: MemoryPool) -> Result<Self, reqwest::Error> {
        // Refused when a provider is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allow = allow.into();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .user_agent(concat!("sightflow/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(CheckedResolver { allow: Arc::clone(&allow) }))
            .build()?;
        Ok(Self { client, allow, memory })
    }

    /// Checks what can be seen without resolving a name: scheme, user info, port, literal addresses.
    ///
    /// # Errors
    /// [`FetchError::NotAllowed`] with the rule.
    pub fn check(&self, url: &str) -> Result<Url, FetchError> {
        target::check(url, &self.allow).map_err(FetchError::NotAllowed)
    }

    /// Fetches at most [`FETCH_LIMIT`] bytes within 30 s, redirects included.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        tokio::time::timeout(TOTAL, self.follow(url))
            .await
            .unwrap_or_else(|_| Err(FetchError::Failed("no complete answer within 30 s".to_owned())))
    }

    async fn follow(&self, url: &str) -> Result<Bytes, FetchError> {
        let mut url = self.check(url)?;
        for _ in 0..=REDIRECTS {
            let response = self
                .client
                .get(url.clone())
                .header(ACCEPT, "image/*,*/*;q=0.5")
                .send()
                .await
                .map_err(|error| failed(&error))?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let location =
                    location.ok_or_else(|| FetchError::Failed(format!("answered {status} without a Location")))?;
                let next = url
                    .join(location)
                    .map_err(|error| FetchError::Failed(format!("redirects to a broken URL: {error}")))?;
                url = self.check(next.as_str())?;
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::Failed(format!("answered {status}")));
            }
            return read(response, &self.memory, FETCH_LIMIT).await;
        }
        Err(FetchError::Failed(format!("more than {REDIRECTS} redirects")))
    }
}

#[async_trait]
impl ImageFetcher for Outgoing {
    async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        Self::fetch(self, url).await
    }
}

/// The whole answer, at most `most` bytes of it.
async fn read(mut response: reqwest::Response, memory: &MemoryPool, most: usize) -> Result<Bytes, FetchError> {
    let crowded = |_| FetchError::Failed("no memory is left for it".to_owned());
    let too_large = || {
        let words = if most < 1 << 20 { format!("{most} bytes") } else { format!("{} MiB", most >> 20) };
        FetchError::Failed(format!("the answer is larger than {words}"))
    };
    let declared = response.content_length();
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut charge = Charge::take_within(memory, 0, PATIENCE).await.map_err(crowded)?;
    let mut all = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        let length = all.len() + chunk.len();
        if length > most {
            return Err(too_large());
        }
        charge.cover(length as u64, declared.unwrap_or(most as u64)).await.map_err(crowded)?;
        all.extend_from_slice(&chunk);
    }
    charge.keep(all.len() as u64);
    Ok(Held { bytes: all.freeze(), charge }.into_bytes())
}

/// The reason in words; a refusal by the resolver stays a refusal.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return FetchError::NotAllowed(refused.0.clone());
        }
        cause = inner.source();
    }
    FetchError::Failed(
        match () {
            () if error.is_timeout() => "no answer in time",
            () if error.is_connect() => "could not connect, or the name does not resolve",
            () => "the connection broke",
        }
        .to_owned(),
    )
}

/// Resolves a name and fails if any of its addresses is refused: a name that has one private address is not trusted.
struct CheckedResolver {
    allow: Arc<[Network]>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &addresses {
                if let Some(what) = networks::refused(address.ip(), &allow) {
                    return Err(Refused(format!("`{}` resolves to {what}", name.as_str())).into());
                }
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
