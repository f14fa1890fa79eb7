//! The service without a socket: requests go straight to this process's own router, so nobody else can send any.

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

/// Largest answer that is read: an output picture can be large, and it is our own.
const ANSWER_LIMIT: usize = 1 << 30;

pub(crate) struct Local {
    router: Router,
}

impl Local {
    pub(crate) fn new(router: Router) -> Self {
        Self { router }
    }

    /// `GET`, answered in JSON; an error status is an error with every detail.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.json(Method::GET, path, "application/json", Body::empty()).await
    }

    /// `POST` of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(Method::POST, path, "application/json", Body::from(body.to_string())).await
    }

    /// `POST` of bytes whose kind the service finds out.
    pub(crate) async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<Value> {
        self.json(Method::POST, path, "application/octet-stream", Body::from(bytes)).await
    }

    /// `GET` of bytes.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes> {
        let (status, bytes) = self.send(Method::GET, path, "application/json", Body::empty()).await?;
        if !status.is_success() {
            bail!("GET {path}: {status}");
        }
        Ok(bytes)
    }

    async fn json(&self, method: Method, path: &str, content_type: &str, body: Body) -> Result<Value> {
        let (status, bytes) = self.send(method, path, content_type, body).await?;
        let answer: Value =
            serde_json::from_slice(&bytes).with_context(|| format!("{path}: the answer is not JSON"))?;
        if status.is_success() {
            return Ok(answer);
        }
        let error = &answer["error"];
        let mut text = error["message"].as_str().unwrap_or("the request was refused").to_owned();
        for detail in error["details"].as_array().into_iter().flatten() {
            let part = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("\n  {} {}: {}", part("code"), part("pointer"), part("message")));
        }
        bail!(text)
    }

    async fn send(&self, method: Method, path: &str, content_type: &str, body: Body) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content_type)
            .body(body)?;
        let answer = self.router.clone().oneshot(request).await?;
        let status = answer.status();
        Ok((status, to_bytes(answer.into_body(), ANSWER_LIMIT).await?))
    }
}
