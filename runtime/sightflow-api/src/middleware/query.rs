//! Query keys that a route does not know are refused, whatever the route: the OpenAPI document says what it knows.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use crate::error::{ApiError, Code};
use crate::extract::{fields, query_keys};

/// Query keys by path template and method.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(HashMap<String, HashMap<Method, Vec<String>>>);

impl KnownKeys {
    /// What the document says.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(path, item)| {
            let operations = [
                (Method::GET, &item.get),
                (Method::HEAD, &item.get),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            let keys =
                operations.into_iter().filter_map(|(method, operation)| Some((method, keys(operation.as_ref()?))));
            (path.clone(), keys.collect())
        });
        Self(routes.collect())
    }

    /// The keys that may stand in a query; none where the request is not ours to judge.
    fn get(&self, path: &str, method: &Method) -> Option<&[String]> {
        match self.0.get(path) {
            // A path that exists with another method is answered with 405.
            Some(methods) => methods.get(method).map(Vec::as_slice),
            // Served but not documented, such as the document itself: it takes nothing.
            None => Some(&[]),
        }
    }
}

fn keys(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    parameters.collect()
}

/// Refuses with `400 unknown_field`.
pub(crate) async fn known_query(State(known): State<Arc<KnownKeys>>, request: Request, next: Next) -> Response {
    match check(&known, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(known: &KnownKeys, request: &Request) -> Result<(), ApiError> {
    let (Some(query), Some(path)) = (request.uri().query(), request.extensions().get::<MatchedPath>()) else {
        return Ok(());
    };
    let Some(known) = known.get(path.as_str(), request.method()) else { return Ok(()) };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let given = query_keys(query);
    let problems = fields::unknown(given.iter().map(String::as_str), &known, |key| format!("?{key}"));
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::problems(Code::UnknownField, "the query: unknown parameters", problems))
}
