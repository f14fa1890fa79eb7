//! On a loopback address there is no authentication, so a web page in the user's browser must not be able to drive the server:
//! `Host` must be a loopback name (DNS rebinding) and `Origin`, where a browser sends one, must be the server's own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{ApiError, Code};

/// Refuses with `403 origin_not_allowed`. `allowed` are further origins, for example `http://localhost:5173`.
pub(crate) async fn guard(State(allowed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri().host(), &allowed) {
        Ok(()) => next.run(request).await,
        Err(message) => ApiError::new(Code::OriginNotAllowed, message).into_response(),
    }
}

fn check(headers: &HeaderMap, target: Option<&str>, allowed: &[String]) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or_default());
    let authority = text(header::HOST).or(target).unwrap_or_default();
    if !is_loopback(authority) {
        return Err(format!("the Host `{authority}` is not a loopback name; use http://localhost or http://127.0.0.1"));
    }
    match text(header::ORIGIN) {
        Some(origin) if !same_origin(origin, authority) && !allowed.iter().any(|known| known == origin) => {
            Err(format!("requests from the origin `{origin}` are refused"))
        }
        _ => Ok(()),
    }
}

fn same_origin(origin: &str, authority: &str) -> bool {
    origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, _)) => host,
            None => return false,
        },
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_cannot_drive_a_loopback_server() {
        let allowed = ["http://localhost:5173".to_owned()];
        for (host, origin, ok) in [
            (Some("localhost:8080"), None, true),
            (Some("127.0.0.1:8080"), None, true),
            (Some("127.8.9.1"), None, true),
            (Some("[::1]:8080"), None, true),
            (Some("app.localhost:1"), None, true),
            (Some("LOCALHOST.:1"), None, true),
            (Some("evil.example:8080"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("192.168.1.4:8080"), None, false),
            (Some("[::1"), None, false),
            (None, None, false),
            (Some("localhost:8080"), Some("http://localhost:8080"), true),
            (Some("localhost:8080"), Some("http://localhost:5173"), true),
            (Some("localhost:8080"), Some("http://localhost:3000"), false),
            (Some("localhost:8080"), Some("https://evil.example"), false),
            (Some("localhost:8080"), Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(check(&headers, None, &allowed).is_ok(), ok, "{host:?} {origin:?}");
        }
    }
}
