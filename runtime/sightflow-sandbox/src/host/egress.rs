//! Requests that a guest sends: only where it was granted, counted, with secrets that it does not know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::grants::{Grants, HttpFailure, Outgoing};
use crate::{CallLimits, Level};

/// Who sends for one call.
#[derive(Clone)]
pub(super) struct Egress(Arc<Shared>);

struct Shared {
    grants: Option<Grants>,
    requests: u32,
    sent: u64,
    received: u64,
    until: Instant,
    /// One request at a time: together they could receive more than the call may.
    turn: tokio::sync::Mutex<()>,
    used: Mutex<Used>,
}

/// What was sent and received so far, and what there is to say of it.
#[derive(Debug, Default)]
pub(super) struct Used {
    pub(super) requests: u32,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// A line for each request, for the log.
    pub(super) lines: Vec<(Level, String)>,
}

impl Egress {
    pub(super) fn new(grants: Option<Grants>, limits: &CallLimits, until: Instant) -> Self {
        Self(Arc::new(Shared {
            grants,
            requests: limits.http_requests,
            sent: limits.http_sent_bytes,
            received: limits.http_received_bytes,
            until,
            turn: tokio::sync::Mutex::default(),
            used: Mutex::default(),
        }))
    }

    /// Environment variables that the guest finds.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let secrets = self.0.grants.iter().flat_map(|grants| &grants.secrets);
        secrets.map(|secret| (secret.name.clone(), secret.placeholder())).collect()
    }

    pub(super) fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        request: http::Request<WasiBody>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let started = Instant::now();
        let name = format!("{} {}", request.method(), without_query(request.uri()));
        let answer = self.answer(request, timeout).await;
        let took = started.elapsed().as_millis();
        let line = match &answer {
            Ok(response) => (Level::Debug, format!("{name}: {} in {took} ms", response.status().as_u16())),
            Err((_, reason)) => (Level::Warn, format!("{name}: {reason}")),
        };
        self.used().lines.push(line);
        answer.map_err(|(error, _)| error)
    }

    async fn answer(
        &self,
        request: http::Request<WasiBody>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<WasiBody>, (Error, String)> {
        let shared = &self.0;
        let grants = shared.grants.as_ref();
        let grants = grants.ok_or_else(|| denied("nothing was granted to the block".to_owned()))?;
        {
            let mut used = self.used();
            if used.requests >= shared.requests {
                let reason = format!("the call has sent its {} requests", shared.requests);
                return Err((Error::ConnectionLimitReached, reason));
            }
            used.requests += 1;
        }
        let (mut parts, body) = request.into_parts();
        allowed(&parts.uri, grants)?;
        let secret = fill(&mut parts, grants)?;
        // The client counts itself: what a guest says of the length could make two requests of one.
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let body = self.collect(body).await?;
        let _turn = shared.turn.lock().await;
        let most_bytes = shared.received.saturating_sub(self.used().received);
        let request = http::Request::from_parts(parts, body);
        let left = shared.until.saturating_duration_since(Instant::now());
        let sending = grants.client.send(Outgoing { request, secret, most_bytes });
        let answer = tokio::time::timeout(timeout.map_or(left, |timeout| timeout.min(left)), sending).await;
        let response = answer.unwrap_or(Err(HttpFailure::Timeout)).map_err(|failure| {
            let reason = failure.to_string();
            let error = match failure {
                HttpFailure::Denied(_) => Error::HttpRequestDenied,
                HttpFailure::TooLarge(most) => Error::HttpResponseBodySize(Some(most)),
                HttpFailure::Timeout => Error::HttpResponseTimeout,
                HttpFailure::Failed(_) => Error::DestinationUnavailable,
            };
            (error, reason)
        })?;
        self.used().received += response.body().len() as u64;
        Ok(response.map(|body: Bytes| Full::new(body).map_err(|never| match never {}).boxed_unsync()))
    }
}

impl Egress {
    /// The whole body. Each piece counts as it comes: many requests at once send no more than one.
    async fn collect(&self, mut body: WasiBody) -> Result<Bytes, (Error, String)> {
        let most = self.0.sent;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| (error, "the request broke off".to_owned()))?;
            let Ok(piece) = frame.into_data() else { continue };
            {
                let mut used = self.used();
                if used.sent + piece.len() as u64 > most {
                    return Err((Error::HttpRequestBodySize(Some(most)), format!("the call may send {most} bytes")));
                }
                used.sent += piece.len() as u64;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

fn denied(reason: String) -> (Error, String) {
    (Error::HttpRequestDenied, reason)
}

/// What of an address may stand in a log: a query may hold what nobody else should read.
fn without_query(uri: &http::Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    format!("{}://{authority}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

/// Refuses an address that was not granted.
fn allowed(uri: &http::Uri, grants: &Grants) -> Result<(), (Error, String)> {
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err((Error::HttpRequestUriInvalid, "a request needs `http` or `https` and a host".to_owned()));
    };
    if authority.as_str().contains('@') {
        return Err(denied("a name and password do not belong in an address".to_owned()));
    }
    let own = if scheme == "https" { 443 } else { 80 };
    let port = authority.port_u16().filter(|port| *port != own);
    // What was granted with its port counts, even where it is the scheme's own.
    let fits = |hosts: &sightflow_types::capability::HostPattern| {
        hosts.allows(authority.host(), port) || (port.is_none() && hosts.allows(authority.host(), Some(own)))
    };
    if grants.hosts.iter().any(fits) {
        return Ok(());
    }
    let hosts: Vec<_> = grants.hosts.iter().map(ToString::to_string).collect();
    let hosts = if hosts.is_empty() { "no host was".to_owned() } else { format!("granted are {}", hosts.join(", ")) };
    Err(denied(format!("this host was not granted to the block; {hosts}")))
}

/// Puts secrets in the place of their names in headers; whether there were any.
fn fill(parts: &mut http::request::Parts, grants: &Grants) -> Result<bool, (Error, String)> {
    let mut filled = false;
    for secret in &grants.secrets {
        let placeholder = secret.placeholder();
        // Some clients write it in percent codes; either way it is somewhere else than in a header.
        if parts.uri.to_string().contains(&placeholder) {
            return Err(denied(format!("the secret {} belongs in a header, not in the address", secret.name)));
        }
        for value in parts.headers.values_mut() {
            let Some(text) = value.to_str().ok().filter(|text| text.contains(&placeholder)) else { continue };
            let complete = HeaderValue::from_str(&text.replace(&placeholder, &secret.value));
            let mut complete =
                complete.map_err(|_| denied(format!("the secret {} cannot stand in a header", secret.name)))?;
            complete.set_sensitive(true);
            *value = complete;
            filled = true;
        }
    }
    Ok(filled)
}

impl WasiHttpHooks for Egress {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let egress = self.clone();
        // The whole answer is read before the guest sees its head: the first byte's time is all that counts.
        let timeout = options.and_then(|options| options.first_byte_timeout);
        Box::new(async move {
            let response = egress.send(request, timeout).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, done))
        })
    }
}

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);
