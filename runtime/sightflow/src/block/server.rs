//! A server, asked over HTTP.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;
use sightflow_types::Problem;

use crate::cli::block::ServerOptions;

/// An upload may wait for its turn to be compiled, which alone may take minutes.
const TOTAL: Duration = Duration::from_secs(600);

pub(super) struct Server {
    client: reqwest::Client,
    base: Url,
    key: Option<String>,
}

/// What a server said.
pub(super) enum Answer {
    /// Done.
    Done { status: StatusCode, body: Value },
    /// A component is not taken, for these reasons.
    Refused { body: Value, problems: Vec<Problem> },
}

impl Server {
    pub(super) fn new(options: &ServerOptions) -> Result<Self> {
        let base: Url = options.server.parse().with_context(|| format!("--server {} is no URL", options.server))?;
        if !["http", "https"].contains(&base.scheme()) || base.cannot_be_a_base() {
            bail!("--server {base}: expected http:// or https://");
        }
        if !base.username().is_empty() || base.password().is_some() {
            // Errors name the address.
            bail!("--server holds a user name or a password: a key goes into --key or SIGHTFLOW_KEY");
        }
        // Refused when a provider is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(TOTAL)
            .user_agent(concat!("sightflow/", env!("CARGO_PKG_VERSION")));
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy would look for it on its own machine.
            client = client.no_proxy();
        }
        Ok(Self { client: client.build()?, base, key: options.key.clone() })
    }

    /// Where a package is: `/api/v1/block-packages`, then these.
    pub(super) fn url(&self, path: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().map_err(|()| anyhow!("--server {} is no base", self.base))?;
        segments.pop_if_empty().extend(["api", "v1", "block-packages"]).extend(path);
        drop(segments);
        Ok(url)
    }

    pub(super) async fn get(&self, url: Url) -> Result<Answer> {
        self.send(self.client.request(Method::GET, url)).await
    }

    pub(super) async fn post(&self, url: Url, kind: &str, body: Vec<u8>) -> Result<Answer> {
        self.send(self.client.request(Method::POST, url).header("content-type", kind).body(body)).await
    }

    /// Sends a component, with a publisher's signature if there is one.
    pub(super) async fn upload(&self, url: Url, component: Vec<u8>, signature: Option<String>) -> Result<Answer> {
        let request = self.client.request(Method::POST, url).header("content-type", "application/wasm").body(component);
        self.send(match signature {
            Some(signature) => request.header("sightflow-signature", signature),
            None => request,
        })
        .await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.header("accept", "application/json");
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let request =
            request.build().map_err(|_| anyhow!("the key cannot be sent: it holds more than letters and digits"))?;
        let answer = self.client.execute(request).await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
            bail!("{} answered {status}, and not in JSON: is it a Sightflow server?", self.base);
        };
        if status.is_success() {
            return Ok(Answer::Done { status, body });
        }
        let error = &body["error"];
        let (code, message) = (error["code"].as_str().unwrap_or_default(), error["message"].as_str());
        if code == "component_invalid" {
            let problems = serde_json::from_value(error["details"].clone())?;
            return Ok(Answer::Refused { body, problems });
        }
        bail!(
            "{}: {}",
            if code.is_empty() { status.as_str() } else { code },
            message.unwrap_or("the request was refused")
        )
    }

    /// One sentence: the innermost reason says what the others go around.
    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        let reason = anyhow::Error::new(error.without_url()).root_cause().to_string();
        anyhow!("the server at {} {what}: {reason}", self.base)
    }
}
