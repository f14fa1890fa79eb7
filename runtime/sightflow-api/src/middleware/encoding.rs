//! `Content-Encoding` of requests: gzip is undone behind this, anything else is refused instead of being taken for the body.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{ApiError, Code};

/// Refuses with `415`; leaves `gzip`, spelled exactly so, or nothing.
pub(crate) async fn known_encoding(mut request: Request, next: Next) -> Response {
    match normalize(request.headers_mut()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let mut response = error.into_response();
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
    }
}

fn normalize(headers: &mut HeaderMap) -> Result<(), ApiError> {
    let codings: Vec<String> = headers
        .get_all(header::CONTENT_ENCODING)
        .into_iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
        .collect();
    match codings.as_slice() {
        [] => {
            headers.remove(header::CONTENT_ENCODING);
        }
        [one] if matches!(one.as_str(), "gzip" | "x-gzip") => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        other => {
            let message = format!("the Content-Encoding `{}` is not taken; send gzip or plain bytes", other.join(", "));
            return Err(ApiError::new(Code::UnsupportedMediaType, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_or_nothing() {
        for (given, expected) in [
            (vec![], Some(None)),
            (vec![""], Some(None)),
            (vec!["identity"], Some(None)),
            (vec!["gzip"], Some(Some("gzip"))),
            (vec!["GZIP"], Some(Some("gzip"))),
            (vec!["identity, x-gzip"], Some(Some("gzip"))),
            (vec!["br"], None),
            (vec!["deflate"], None),
            (vec!["gzip", "gzip"], None),
            (vec!["gzip, br"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &given {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            let found = normalize(&mut headers).ok().map(|()| headers.get(header::CONTENT_ENCODING).cloned());
            let found = found.as_ref().map(|value| value.as_ref().map(|value| value.to_str().unwrap()));
            assert_eq!(found, expected, "{given:?}");
        }
    }
}
