//! HTTP through `wasi:http`.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::http::{HttpError, Request, Response};

/// Bytes that a stream takes at once.
const PIECE: usize = 4096;
/// Bytes that are read at once.
const READ: u64 = 64 << 10;

fn refused(what: &str) -> HttpError {
    HttpError::Refused(what.to_owned())
}

fn broken(error: ErrorCode) -> HttpError {
    match error {
        ErrorCode::HttpRequestDenied
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpResponseBodySize(_) => HttpError::Refused(format!("{error:?}")),
        other => HttpError::Failed(format!("{other:?}")),
    }
}

pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        let added = headers.append(name, value.as_bytes());
        added.map_err(|_| HttpError::Refused(format!("`{name}` is not a header that a block may send")))?;
    }
    let (scheme, rest) = request.url.split_once("://").ok_or_else(|| refused("the address has no scheme"))?;
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let outgoing = OutgoingRequest::new(headers);
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    };
    outgoing.set_method(&method).map_err(|()| refused("the method is not one"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("the scheme is not one"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| refused("the host is not one"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| refused("the path is not one"))?;
    let options = RequestOptions::new();
    if let Some(limit) = request.timeout {
        let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        options.set_first_byte_timeout(Some(nanoseconds)).map_err(|()| refused("the limit of time is not one"))?;
    }
    let body = outgoing.body().map_err(|()| refused("the request has no body"))?;
    let answer = handle(outgoing, Some(options)).map_err(broken)?;
    let written = write(&body, &request.body).and_then(|()| OutgoingBody::finish(body, None).map_err(broken));
    answer.subscribe().block();
    let response = answer.get().and_then(Result::ok).ok_or_else(|| HttpError::Failed("no answer".to_owned()))?;
    // Why it was not sent says more than that its body was not taken.
    let response = response.map_err(broken)?;
    written?;
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let headers =
        response.headers().entries().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value)));
    let (status, headers) = (response.status(), headers.collect());
    let incoming = response.consume().map_err(|()| HttpError::Failed("the answer has no body".to_owned()))?;
    let body = read(&incoming)?;
    Ok(Response { status, headers, body })
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), HttpError> {
    let stream = body.write().map_err(|()| refused("the request takes no body"))?;
    for piece in bytes.chunks(PIECE) {
        let written = stream.blocking_write_and_flush(piece);
        written.map_err(|_| HttpError::Failed("the request's body was not taken".to_owned()))?;
    }
    Ok(())
}

fn read(incoming: &IncomingBody) -> Result<Vec<u8>, HttpError> {
    let stream = incoming.stream().map_err(|()| HttpError::Failed("the answer has no body".to_owned()))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(HttpError::Failed("the answer broke off".to_owned()));
            }
        }
    }
}
