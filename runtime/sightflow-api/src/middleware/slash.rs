//! `/workflows/` means `/workflows`, without a redirect.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::Next;
use axum::response::Response;

/// Removes trailing slashes before routing.
pub(crate) async fn trim_slash(mut request: Request, next: Next) -> Response {
    if let Some(uri) = trimmed(request.uri()) {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

fn trimmed(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let short = path.trim_end_matches('/');
    if short.len() == path.len() || short.is_empty() {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{short}?{query}"),
        None => short.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_the_path_and_keeps_the_query() {
        for (given, expected) in
            [("/a/", Some("/a")), ("/a//?q=/", Some("/a?q=/")), ("/a", None), ("/", None), ("/a?x=1/", None)]
        {
            assert_eq!(trimmed(&given.parse().unwrap()).map(|uri| uri.to_string()).as_deref(), expected, "{given}");
        }
    }
}
