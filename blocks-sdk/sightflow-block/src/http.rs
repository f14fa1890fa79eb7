//! HTTP requests, for blocks that ask for it: `#[block(capabilities("http:api.example.com", "secret:API_KEY"), …)]`. A tenant
//! grants hosts and secrets; what was not granted is refused by the host, whatever the block writes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{BlockError, host};

/// A request to one of the hosts that the block asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// With scheme and host: `https://api.example.com/v1/ask`.
    pub url: String,
    /// Names and values. A value may hold [`secret`]s.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// How long to wait for the answer. The call's own time ends it as well.
    pub timeout: Option<Duration>,
}

/// An answer, whatever its status. A redirect is one, too: to follow it is another request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// For example 200.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It cannot be sent: an address or a header is not one, or the host was not granted. The log of the call says which.
    #[error("the request was refused: {0}")]
    Refused(String),
    /// Nobody answered in time, or the connection broke. It may have arrived.
    #[error("no answer: {0}")]
    Failed(String),
}

impl From<HttpError> for BlockError {
    /// A request that was refused is refused again; another may succeed the next time.
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Refused(_) => Self::failed(error.to_string()),
            HttpError::Failed(_) => Self::retry(error.to_string()),
        }
    }
}

/// What stands for a secret in the value of a header: the host puts the secret in its place on the way out, for hosts that
/// were granted, and the block never sees it. The name is the one that the block asks for with `secret:NAME`.
pub fn secret(name: &str) -> String {
    format!("{{secret:{name}}}")
}

impl Request {
    /// A request without a body.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// A request that brings JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn post_json(url: impl Into<String>, value: &impl Serialize) -> Result<Self, BlockError> {
        let body = serde_json::to_vec(value).map_err(|error| BlockError::failed(error.to_string()))?;
        let request = Self { method: "POST".to_owned(), body, ..Self::get(url) };
        Ok(request.header("content-type", "application/json"))
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// How long to wait for the answer.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn send(self) -> Result<Response, HttpError> {
        host::send(self)
    }
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON. An answer that is no success is an error that says what came; a busy server may be asked again.
    ///
    /// # Errors
    /// For a status outside of 200–299, and a body that is not such a value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BlockError> {
        if !(200..300).contains(&self.status) {
            let said: String = String::from_utf8_lossy(&self.body).chars().take(500).collect();
            let message = format!("the answer was {}: {said}", self.status);
            let busy = self.status == 429 || self.status >= 500;
            return Err(if busy { BlockError::retry(message) } else { BlockError::failed(message) });
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| BlockError::failed(format!("the answer is not the JSON that was expected: {error}")))
    }
}
