//! `/workflows`.

mod diff;
mod list;
mod versions;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use sightflow_store::{Created, Idempotency, NewWorkflow, OpenExecutions, StoreError, Workflow, WorkflowChange};
use sightflow_types::{Problem, WorkflowId, WorkflowStatus};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, Code, Detail, ErrorBody};
use crate::extract::body::{self, Held, JSON_LIMIT};
use crate::extract::{self, Path, Query, parse_object, typed};
use crate::state::ApiState;
use crate::views::workflow::{Deleted, WorkflowView};
use crate::{etag, idempotency, schema};

pub(crate) use list::{__path_list, list};
pub(crate) use versions::{
    __path_diff, __path_get_version, __path_restore, __path_versions, diff, get_version, restore, versions,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWorkflow {
    /// 1..255 characters, not only spaces.
    #[schema(min_length = 1, max_length = 255, pattern = "\\S")]
    name: String,
    description: Option<String>,
    /// Default: the empty graph.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// Default `draft`.
    #[schema(value_type = Option<schema::WorkflowStatus>)]
    status: Option<WorkflowStatus>,
}

/// Saves a workflow.
#[utoipa::path(post, path = "/workflows", tag = "workflows", params(("Idempotency-Key" = Option<schema::IdempotencyKey>, Header)), request_body = CreateWorkflow,
    responses((status = 201, body = WorkflowView), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    extract::require_json(request.headers())?;
    let (mut held, key) = receive(&state, request).await?;
    if let Some(workflow) = idempotency::replayed_workflow(&state, caller, key.as_ref()).await? {
        return created(Created { value: workflow, replayed: true });
    }
    let body: CreateWorkflow = typed(parse_object(&mut held).await?)?;
    let name = checked_name(body.name)?;
    let definition = body.definition.unwrap_or_else(empty_graph);
    let warnings = check(&state, caller, &definition).await?;
    let new = NewWorkflow {
        tenant_id: caller.tenant,
        name,
        description: body.description,
        definition,
        warnings,
        status: body.status.unwrap_or(WorkflowStatus::Draft),
        changed_by: None,
        idempotency: key,
    };
    created(state.store.create_workflow(new).await?)
}

/// One workflow.
#[utoipa::path(get, path = "/workflows/{id}", tag = "workflows", params(("id" = schema::WorkflowId, Path)),
    responses((status = 200, body = WorkflowView), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored definition cannot be read", body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state.store.workflow(caller.tenant, id).await?, &headers)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(crate) struct PatchWorkflow {
    /// 1..255 characters, not only spaces.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255, pattern = "\\S")]
    name: Option<String>,
    /// `null` clears it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[schema(value_type = schema::WorkflowStatus, required = false)]
    status: Option<WorkflowStatus>,
    /// The whole definition; a change beyond layout makes a version.
    #[schema(value_type = Object, required = false)]
    definition: Option<Value>,
    /// What changed, for the list of versions.
    change_summary: Option<String>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes a workflow. `If-Match` with the ETag that was read refuses to overwrite somebody else's change.
#[utoipa::path(patch, path = "/workflows/{id}", tag = "workflows", params(("id" = schema::WorkflowId, Path), ("If-Match" = Option<String>, Header)), request_body = PatchWorkflow,
    responses((status = 200, body = WorkflowView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored definition cannot be read", body = ErrorBody), (status = 412, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    headers: HeaderMap,
    extract::Json(body, _charge): extract::Json<Map<String, Value>>,
) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::field("", "the request changes nothing; send at least one field"));
    }
    for name in ["name", "status", "definition"] {
        if body.get(name).is_some_and(Value::is_null) {
            return Err(ApiError::field(
                format!("/{name}"),
                format!("`{name}` cannot be null; leave it out to keep it"),
            ));
        }
    }
    let body: PatchWorkflow = typed(body)?;
    let expected_version = expected(&state, caller, id, &headers).await?;
    let warnings = match &body.definition {
        Some(definition) => Some(check(&state, caller, definition).await?),
        None => None,
    };
    let change = WorkflowChange {
        name: body.name.map(checked_name).transpose()?,
        description: body.description,
        status: body.status,
        definition: body.definition,
        warnings,
        change_summary: body.change_summary,
        changed_by: None,
        expected_version,
        idempotency: None,
    };
    let changed = state.store.update_workflow(caller.tenant, id, change).await?;
    answer(changed.value, &HeaderMap::new())
}

/// The version that `If-Match` names, if it is sent; without it a workflow that cannot be read can be given a new definition.
async fn expected(
    state: &ApiState,
    caller: Caller,
    id: WorkflowId,
    headers: &HeaderMap,
) -> Result<Option<u32>, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        state.store.check_workflow(caller.tenant, id).await?;
        return Ok(None);
    }
    let current = state.store.workflow(caller.tenant, id).await?;
    if etag::matches(headers, &revision(&current)) {
        return Ok(Some(current.version));
    }
    let message = format!("the workflow has changed since (it is now at version {})", current.version);
    Err(ApiError::new(Code::StaleVersion, message))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// Cancel executions that have not ended, instead of refusing.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    cancel: bool,
}

/// Deletes a workflow; its executions stay readable.
#[utoipa::path(delete, path = "/workflows/{id}", tag = "workflows", params(("id" = schema::WorkflowId, Path), DeleteQuery),
    responses((status = 200, body = Deleted), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, ApiError> {
    let open = if query.cancel { OpenExecutions::Cancel } else { OpenExecutions::Refuse };
    state.store.delete_workflow(caller.tenant, id, open).await.map_err(|error| match error {
        StoreError::InUse(_) => ApiError::new(
            Code::InUse,
            "the workflow has executions that have not ended; cancel them, or delete with ?cancel=true",
        ),
        other => other.into(),
    })?;
    Ok(Json(Deleted { id: id.to_string(), deleted: true }))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Duplicate {
    /// Default: the old name and ` (copy)`.
    #[schema(min_length = 1, max_length = 255, pattern = "\\S")]
    name: Option<String>,
}

/// Copies a workflow: a draft at version 1.
#[utoipa::path(post, path = "/workflows/{id}/duplicate", tag = "workflows", params(("id" = schema::WorkflowId, Path), ("Idempotency-Key" = Option<schema::IdempotencyKey>, Header)), request_body = Option<Duplicate>,
    responses((status = 201, body = WorkflowView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn duplicate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut held, key) = receive(&state, request).await?;
    if let Some(workflow) = idempotency::replayed_workflow(&state, caller, key.as_ref()).await? {
        return created(Created { value: workflow, replayed: true });
    }
    let body: Duplicate = if matches!(held.bytes.trim_ascii(), b"" | b"null") {
        Duplicate::default()
    } else {
        typed(parse_object(&mut held).await?)?
    };
    let original = state.store.workflow(caller.tenant, id).await?;
    let name = match body.name {
        Some(name) => checked_name(name)?,
        None => original.name.chars().take(255 - " (copy)".len()).chain(" (copy)".chars()).collect(),
    };
    let new = NewWorkflow {
        tenant_id: caller.tenant,
        name,
        description: original.description,
        definition: original.definition,
        warnings: original.warnings,
        status: WorkflowStatus::Draft,
        changed_by: None,
        idempotency: key,
    };
    created(state.store.create_workflow(new).await?)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidateWorkflow {
    /// Anything: what is no definition is told among the errors.
    #[schema(value_type = Value)]
    definition: Value,
}

/// What validation found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validation {
    valid: bool,
    errors: Vec<Detail>,
    warnings: Vec<Detail>,
    /// Null when the definition is not valid.
    plan: Option<PlanView>,
}

/// How a definition would run.
#[derive(Debug, Serialize, ToSchema)]
struct PlanView {
    /// Node ids by level; the nodes of one level do not depend on each other.
    order: Vec<Vec<String>>,
    /// Canonical block type by node id.
    blocks: std::collections::BTreeMap<String, String>,
}

/// Checks a definition and saves nothing.
#[utoipa::path(post, path = "/workflows/validate", tag = "workflows", request_body = ValidateWorkflow,
    responses((status = 200, description = "Also when the definition is not valid", body = Validation), (status = 400, body = ErrorBody)))]
pub(crate) async fn validate(
    State(state): State<ApiState>,
    caller: Caller,
    extract::Json(body, _charge): extract::Json<ValidateWorkflow>,
) -> Result<Json<Validation>, ApiError> {
    let compiled = state.validate(caller.tenant, &body.definition).await?;
    Ok(Json(Validation {
        valid: compiled.errors.is_empty(),
        errors: compiled.errors.into_iter().map(Detail::from).collect(),
        warnings: compiled.warnings.into_iter().map(Detail::from).collect(),
        plan: compiled.plan.map(|plan| PlanView { order: plan.order(), blocks: plan.blocks() }),
    }))
}

/// How many executions went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cleared {
    deleted_count: u64,
}

/// Deletes the ended executions of a workflow.
#[utoipa::path(post, path = "/workflows/{id}/clear-executions", tag = "workflows", params(("id" = schema::WorkflowId, Path)),
    responses((status = 200, body = Cleared), (status = 404, body = ErrorBody)))]
pub(crate) async fn clear_executions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
) -> Result<Json<Cleared>, ApiError> {
    Ok(Json(Cleared { deleted_count: state.store.clear_executions(caller.tenant, id).await? }))
}

/// The pointer prefix of a definition inside a request.
const DEFINITION: &str = "/definition";

/// Refuses a definition with every problem; answers the warnings, as they are stored with it.
async fn check(state: &ApiState, caller: Caller, definition: &Value) -> Result<Vec<Problem>, ApiError> {
    if !definition.is_object() {
        return Err(ApiError::field(DEFINITION, "`definition` must be an object"));
    }
    let compiled = state.validate(caller.tenant, definition).await?;
    if compiled.errors.is_empty() {
        Ok(compiled.warnings)
    } else {
        Err(ApiError::problems(Code::DefinitionInvalid, "the definition", compiled.errors))
    }
}

fn answer(workflow: Workflow, headers: &HeaderMap) -> Result<Response, ApiError> {
    let revision = revision(&workflow);
    etag::tagged_json(headers, &WorkflowView::full(workflow), &revision)
}

/// Changes with everything that a PATCH can change, and with nothing else.
fn revision(workflow: &Workflow) -> String {
    let content = json!([workflow.name, workflow.description, workflow.status, workflow.definition]).to_string();
    format!("{}-{}", workflow.version, &sightflow_blobs::digest_of(content.as_bytes()).hex()[..8])
}

fn created(created: Created<Workflow>) -> Result<Response, ApiError> {
    let revision = revision(&created.value);
    let location =
        HeaderValue::from_str(&format!("/api/v1/workflows/{}", created.value.id)).map_err(ApiError::internal)?;
    let mut response = etag::tagged_json(&HeaderMap::new(), &WorkflowView::full(created.value), &revision)?;
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::LOCATION, location);
    idempotency::mark(&mut response, created.replayed);
    Ok(response.into_response())
}

fn checked_name(name: String) -> Result<String, ApiError> {
    match name.chars().count() {
        1..=255 if !name.trim().is_empty() => Ok(name),
        _ => Err(ApiError::field("/name", "`name` must have 1 to 255 characters and not only spaces")),
    }
}

fn empty_graph() -> Value {
    json!({"version": "1.0", "nodes": [], "edges": []})
}

/// The bytes of a request that creates something, and what its idempotency key stands for. An empty body of any type
/// means no wishes.
async fn receive(state: &ApiState, request: Request) -> Result<(Held, Option<Idempotency>), ApiError> {
    idempotency::given(request.headers())?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state.config.memory, body, &parts.headers, JSON_LIMIT).await?;
    if !held.bytes.is_empty() {
        extract::require_json(&parts.headers)?;
    }
    let key = idempotency::key(&parts, &held.bytes)?;
    Ok((held, key))
}
