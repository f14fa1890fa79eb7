//! Sending what blocks send: the rules of addresses hold for them as for whoever names an image by its URL.

use std::time::Duration;

use axum::http;
use bytes::Bytes;
use reqwest::Url;
use sightflow_engine::FetchError;

use super::{Outgoing, failed, networks, read, target};

/// Longer than any call of a block lasts.
const PATIENCE: Duration = Duration::from_secs(600);

impl Outgoing {
    /// Sends one request as it is and reads its answer, at most `most` bytes of its body. A redirect is an answer. With a
    /// `secret` among its headers it goes over TLS, or to a network that the operator opened.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        secret: bool,
        most: u64,
    ) -> Result<http::Response<Bytes>, FetchError> {
        let (parts, body) = request.into_parts();
        let (url, opened) = target::address(&parts.uri.to_string(), &self.allow).map_err(FetchError::NotAllowed)?;
        if secret && url.scheme() != "https" && !opened && !self.is_opened(&url).await {
            return Err(FetchError::NotAllowed("a secret is sent only to `https` addresses".to_owned()));
        }
        let sending = self.client.request(parts.method, url).headers(parts.headers).body(body).timeout(PATIENCE).send();
        let response = sending.await.map_err(|error| failed(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, &self.memory, usize::try_from(most).unwrap_or(usize::MAX)).await?;
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// Whether every address of a host lies in a network that the operator opened.
    async fn is_opened(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let Ok(addresses) = tokio::net::lookup_host((host, 0)).await else { return false };
        let addresses: Vec<_> = addresses.collect();
        let opened = |ip| self.allow.iter().any(|network: &networks::Network| network.contains(ip));
        !addresses.is_empty() && addresses.iter().all(|address| opened(address.ip()))
    }
}
