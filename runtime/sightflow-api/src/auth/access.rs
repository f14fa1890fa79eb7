//! Who may call which route. A route that is missing here is refused to everybody, and fails a test.

use axum::http::Method;
use sightflow_store::Scope::{
    self, Admin, BlocksRead, BlocksWrite, GrantsWrite, ModelsRead, RunsRead, RunsWrite, UsageRead, WorkflowsRead,
    WorkflowsWrite,
};

/// What a request must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it answers the same to everybody.
    Nothing,
    /// Any key.
    Key,
    /// A key with this scope.
    Scope(Scope),
}

/// The base path of everything that is not health.
const BASE: &str = "/api/v1";

/// Every route, without the base path.
const ROUTES: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", Need::Nothing),
    ("GET", "/readyz", Need::Nothing),
    ("GET", "/openapi.json", Need::Nothing),
    ("GET", "/errors", Need::Nothing),
    ("GET", "/errors/{code}", Need::Nothing),
    ("GET", "/me", Need::Key),
    ("GET", "/usage", Need::Scope(UsageRead)),
    ("GET", "/workflows", Need::Scope(WorkflowsRead)),
    ("POST", "/workflows", Need::Scope(WorkflowsWrite)),
    ("POST", "/workflows/validate", Need::Scope(WorkflowsRead)),
    ("GET", "/workflows/{id}", Need::Scope(WorkflowsRead)),
    ("PATCH", "/workflows/{id}", Need::Scope(WorkflowsWrite)),
    ("DELETE", "/workflows/{id}", Need::Scope(WorkflowsWrite)),
    ("POST", "/workflows/{id}/duplicate", Need::Scope(WorkflowsWrite)),
    ("GET", "/workflows/{id}/versions", Need::Scope(WorkflowsRead)),
    ("GET", "/workflows/{id}/versions/{version}", Need::Scope(WorkflowsRead)),
    ("POST", "/workflows/{id}/versions/{version}/restore", Need::Scope(WorkflowsWrite)),
    ("GET", "/workflows/{id}/diff", Need::Scope(WorkflowsRead)),
    ("GET", "/workflows/{id}/executions", Need::Scope(RunsRead)),
    ("POST", "/workflows/{id}/clear-executions", Need::Scope(RunsWrite)),
    ("POST", "/workflows/{id}/run", Need::Scope(RunsWrite)),
    ("POST", "/workflows/{id}/execute", Need::Scope(RunsWrite)),
    ("POST", "/run", Need::Scope(RunsWrite)),
    ("GET", "/executions", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}", Need::Scope(RunsRead)),
    ("DELETE", "/executions/{id}", Need::Scope(RunsWrite)),
    ("POST", "/executions/{id}/cancel", Need::Scope(RunsWrite)),
    ("GET", "/executions/{id}/outputs", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}/outputs/{name}", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}/effects", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}/nodes", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}/nodes/{node_id}", Need::Scope(RunsRead)),
    ("GET", "/executions/{id}/events", Need::Scope(RunsRead)),
    ("GET", "/inference-jobs", Need::Scope(RunsRead)),
    ("GET", "/inference-jobs/{id}", Need::Scope(RunsRead)),
    ("GET", "/workers", Need::Scope(Admin)),
    ("GET", "/workers/{id}", Need::Scope(Admin)),
    ("GET", "/models", Need::Scope(ModelsRead)),
    ("GET", "/models/{id}", Need::Scope(ModelsRead)),
    ("GET", "/blocks", Need::Scope(BlocksRead)),
    ("GET", "/blocks/{type}", Need::Scope(BlocksRead)),
    ("GET", "/blocks/{namespace}/{package}/{block}", Need::Scope(BlocksRead)),
    ("POST", "/blocks/{type}/test", Need::Scope(BlocksRead)),
    ("POST", "/blocks/{namespace}/{package}/{block}/test", Need::Scope(BlocksRead)),
    ("GET", "/block-packages", Need::Scope(BlocksRead)),
    ("POST", "/block-packages", Need::Scope(BlocksWrite)),
    ("GET", "/block-packages/{id}", Need::Scope(BlocksRead)),
    ("DELETE", "/block-packages/{id}", Need::Scope(BlocksWrite)),
    ("GET", "/block-packages/{id}/versions", Need::Scope(BlocksRead)),
    ("GET", "/block-packages/{id}/versions/{version}", Need::Scope(BlocksRead)),
    ("DELETE", "/block-packages/{id}/versions/{version}", Need::Scope(BlocksWrite)),
    ("GET", "/block-packages/{id}/versions/{version}/component", Need::Scope(BlocksRead)),
    ("POST", "/block-packages/{id}/activate", Need::Scope(BlocksWrite)),
    ("POST", "/block-packages/{id}/rollback", Need::Scope(BlocksWrite)),
    ("PUT", "/block-packages/{id}/grants", Need::Scope(GrantsWrite)),
    ("GET", "/publishers", Need::Scope(GrantsWrite)),
    ("PUT", "/publishers/{name}", Need::Scope(GrantsWrite)),
    ("DELETE", "/publishers/{name}", Need::Scope(GrantsWrite)),
    ("GET", "/secrets", Need::Scope(GrantsWrite)),
    ("PUT", "/secrets/{name}", Need::Scope(GrantsWrite)),
    ("DELETE", "/secrets/{name}", Need::Scope(GrantsWrite)),
    ("POST", "/blobs", Need::Scope(RunsWrite)),
    ("POST", "/images", Need::Scope(RunsWrite)),
    ("GET", "/blobs/{digest}", Need::Scope(RunsRead)),
    ("DELETE", "/blobs/{digest}", Need::Scope(RunsWrite)),
    ("GET", "/blobs/{digest}/thumbnail", Need::Scope(RunsRead)),
    ("GET", "/tenants", Need::Scope(Admin)),
    ("POST", "/tenants", Need::Scope(Admin)),
    ("GET", "/tenants/{id}", Need::Scope(Admin)),
    ("PATCH", "/tenants/{id}", Need::Scope(Admin)),
    ("DELETE", "/tenants/{id}", Need::Scope(Admin)),
    ("GET", "/tenants/{id}/quotas", Need::Scope(Admin)),
    ("PUT", "/tenants/{id}/quotas", Need::Scope(Admin)),
    ("GET", "/api-keys", Need::Scope(Admin)),
    ("POST", "/api-keys", Need::Scope(Admin)),
    ("DELETE", "/api-keys/{id}", Need::Scope(Admin)),
];

/// What a request of this path template needs; none when nobody said so. A method that the path does not have needs a key.
pub(crate) fn need(method: &Method, path: &str) -> Option<Need> {
    let path = path.strip_prefix(BASE).unwrap_or(path);
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut known = ROUTES.iter().filter(|(_, template, _)| *template == path).peekable();
    known.peek()?;
    Some(known.find(|(verb, ..)| *verb == method).map_or(Need::Key, |(_, _, need)| *need))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_a_scope_and_every_scope_a_route() {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        let served: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let path = path.strip_prefix(BASE).unwrap_or(path);
                let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(move |method| (method.to_uppercase(), path.to_owned()))
            })
            // Served, but not part of the document.
            .chain([
                ("GET".to_owned(), "/openapi.json".to_owned()),
                ("GET".to_owned(), "/blocks/{namespace}/{package}/{block}".to_owned()),
                ("POST".to_owned(), "/blocks/{namespace}/{package}/{block}/test".to_owned()),
            ])
            .collect();
        let said: BTreeSet<_> =
            ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(said.len(), ROUTES.len(), "each route once");
        assert_eq!(said, served);
    }

    #[test]
    fn needs() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/workflows", Some(Need::Scope(WorkflowsRead))),
            (Method::HEAD, "/api/v1/workflows", Some(Need::Scope(WorkflowsRead))),
            (Method::PUT, "/api/v1/workflows", Some(Need::Key)),
            (Method::POST, "/healthz", Some(Need::Key)),
            (Method::GET, "/healthz", Some(Need::Nothing)),
            (Method::GET, "/api/v1/healthz", Some(Need::Nothing)),
            (Method::GET, "/api/v1/new", None),
        ] {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }
}
