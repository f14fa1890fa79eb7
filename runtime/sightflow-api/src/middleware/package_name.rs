//! `/block-packages/acme/retail/versions` means `/block-packages/acme%2Fretail/versions`: a package stands in one step of the
//! path, by its id or by its name.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use sightflow_types::PackageId;

const PACKAGES: &str = "/api/v1/block-packages/";

/// Joins the two steps of a package's name before routing.
pub(crate) async fn package_name(mut request: Request, next: Next) -> Response {
    if let Some(uri) = joined(request.method(), request.uri()) {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

fn joined(method: &Method, uri: &Uri) -> Option<Uri> {
    let (namespace, rest) = uri.path().strip_prefix(PACKAGES)?.split_once('/')?;
    // To a package itself nothing is posted: this is an action, and what comes before it no id.
    let action = method == Method::POST && ["activate", "rollback"].contains(&rest);
    let one_step = action
        || namespace.contains('%')
        || namespace.starts_with(PackageId::PREFIX)
        || namespace.parse::<PackageId>().is_ok();
    if one_step {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{PACKAGES}{namespace}%2F{rest}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_step() {
        let id = "019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
        for (given, expected) in [
            ("acme/retail", Some("acme%2Fretail")),
            ("acme/retail/versions/1.0.0?force=true", Some("acme%2Fretail/versions/1.0.0?force=true")),
            ("acme/versions/versions", Some("acme%2Fversions/versions")),
            ("acme%2Fretail/versions", None),
            ("acme", None),
            (&format!("blk_{id}/versions"), None),
            (&format!("{id}/versions"), None),
            ("blk_broken/versions", None),
        ] {
            let found = joined(&Method::GET, &format!("{PACKAGES}{given}").parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(found, expected.map(|path| format!("{PACKAGES}{path}")), "{given}");
        }
        let posted = |path: &str| joined(&Method::POST, &format!("{PACKAGES}{path}").parse().unwrap()).is_some();
        assert_eq!((posted("acme/retail/activate"), posted("null/activate")), (true, false));
        assert!(joined(&Method::GET, &"/api/v1/blocks/acme/retail/b".parse().unwrap()).is_none());
    }
}
