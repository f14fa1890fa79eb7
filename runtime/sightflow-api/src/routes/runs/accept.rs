//! What happens to a run request, in this order: receive, replay, admit, read, look up, plan, check, store images, submit,
//! wait.
//!
//! Nothing is written before everything was checked, and what is answered with 202 is durable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sightflow_engine::{Plan, validate_run};
use sightflow_store::{Created, Execution, NewExecution, Quota, Quotas, RunSource};
use sightflow_types::{ExecutionMode, ExecutionStatus, Problem, WorkflowId, WorkflowStatus};

use super::body::{self, RunBody};
use super::images;
use super::preferred_wait;
use super::request::Run;
use crate::caller::Caller;
use crate::error::{ApiError, Code};
use crate::state::ApiState;
use crate::views::execution::{Accepted, ExecutionView};
use crate::{idempotency, wait};

/// Longest time that a request waits for its execution.
const LONGEST_WAIT: u64 = 300;

/// What a run whose time is over takes to end: whoever waits for all of its time hears of that.
const ENDING: Duration = Duration::from_secs(2);

/// What is to run.
pub(super) enum Target {
    /// A saved workflow.
    Workflow {
        /// Which.
        id: WorkflowId,
        /// None: the newest.
        version: Option<u32>,
    },
    /// The definition in the body.
    Inline,
}

/// Accepts a run and answers 202, or 200 when it ended while the request waited.
pub(super) async fn run(
    state: &ApiState,
    caller: Caller,
    quotas: &Quotas,
    target: Target,
    request: Request,
) -> Result<Response, ApiError> {
    let preferred = preferred_wait(request.headers())?;
    // A repeated request gets its answer even when new work is refused, so its key must be read first; without one
    // nothing needs to be read before the refusal.
    let mut waiting = match idempotency::given(request.headers())? {
        Some(_) => None,
        None => Some(admit(state).await?),
    };
    let received = body::receive(state, request).await?;
    let created = match idempotency::replayed_execution(state, caller, received.key.as_ref()).await? {
        Some(execution) => Created { value: execution, replayed: true },
        None => {
            if waiting.is_none() {
                waiting = Some(admit(state).await?);
            }
            let body = received.understand(matches!(target, Target::Inline)).await?;
            submit(state, caller, quotas, target, body).await?
        }
    };
    let patience = patience(&created.value, preferred);
    let mut response = answer(state, caller, created, patience).await?;
    if let Some(waiting) = waiting {
        response.headers_mut().insert("x-queue-depth", HeaderValue::from(waiting));
    }
    if let Some(seconds) = preferred {
        response.headers_mut().insert(
            "preference-applied",
            HeaderValue::from_str(&format!("wait={seconds}")).map_err(ApiError::internal)?,
        );
    }
    Ok(response)
}

/// Refuses before anything is read when the server stops or too much waits; answers how much waits.
async fn admit(state: &ApiState) -> Result<u64, ApiError> {
    if *state.draining().borrow() {
        return Err(ApiError::new(Code::Unavailable, "the server is shutting down"));
    }
    let depth = state.store.queue_depth().await?;
    let oldest = depth.oldest_waiting_since.map_or(0, |since| state.store.now().millis_since(since));
    if depth.waiting_executions >= state.config.max_waiting_executions || oldest > state.config.max_wait_ms {
        return Err(ApiError::new(
            Code::QueueFull,
            format!("{} executions wait; try again later", depth.waiting_executions),
        ));
    }
    Ok(depth.waiting_executions)
}

fn patience(execution: &Execution, preferred: Option<u64>) -> Duration {
    let seconds = |wanted: u64| Duration::from_secs(wanted.min(LONGEST_WAIT));
    match (preferred, execution.mode) {
        (Some(wanted), _) => seconds(wanted),
        (None, ExecutionMode::Sync) => seconds(execution.timeout_seconds.into()) + ENDING,
        (None, ExecutionMode::Async | ExecutionMode::Background) => Duration::ZERO,
    }
}

async fn submit(
    state: &ApiState,
    caller: Caller,
    quotas: &Quotas,
    target: Target,
    body: RunBody,
) -> Result<Created<Execution>, ApiError> {
    // Held to the end: what the request takes in memory goes with it.
    let RunBody { mut run, images, definition, key, parts, charge: _charge } = body;
    within(quotas, &run)?;
    let (source, plan) = find(state, caller, target, definition).await?;
    let mut checked = images::check(state, caller, images, &mut run.input).await?;
    let checked_run =
        validate_run(&plan, &run.input, &run.parameters).map_err(|problems| unfit(problems, run.input_pointer))?;
    let (mut values, mut parameters) =
        (Value::Object(checked_run.values.clone()), Value::Object(checked_run.parameters.clone()));
    checked.add_references(&mut values);
    checked.add_references(&mut parameters);
    // Those that the definition names stay readable as long as those of the input.
    let named = plan.stored_images().into_iter().map(|(_, digest)| digest);
    let input_blobs = BTreeSet::from_iter(checked.digests().into_iter().chain(named)).into_iter().collect();
    let new = NewExecution {
        queue_quota: quotas.of(Quota::QueuedExecutions),
        tenant_id: caller.tenant,
        source,
        mode: run.mode,
        priority: run.priority,
        input: checked_run.to_input(),
        parameters: checked_run.parameters,
        metadata: Value::Object(run.metadata),
        timeout_seconds: run.timeout_seconds,
        max_retries: run.max_retries,
        traceparent: traceparent(&parts.headers),
        input_blobs,
        new_blobs: Vec::new(),
        idempotency: key,
    };
    checked.submit(state, new).await
}

/// Refuses what the tenant may not ask for.
fn within(quotas: &Quotas, run: &Run) -> Result<(), ApiError> {
    if let Some(most) = quotas.of(Quota::MaxPriority).filter(|most| u64::from(run.priority) > *most) {
        let message = format!("the tenant runs at priority {most} at most");
        return Err(ApiError::at(Code::PriorityNotAllowed, "/priority", message));
    }
    if let Some(most) = quotas.of(Quota::MaxTimeoutSeconds).filter(|most| u64::from(run.timeout_seconds) > *most) {
        let message = format!("a run of the tenant takes {most} s at most");
        return Err(ApiError::at(Code::QuotaExceeded, "/timeout_seconds", message));
    }
    Ok(())
}

/// How the execution names its definition, and the plan of it.
async fn find(
    state: &ApiState,
    caller: Caller,
    target: Target,
    inline: Option<Value>,
) -> Result<(RunSource, Arc<Plan>), ApiError> {
    let Target::Workflow { id, version } = target else {
        let definition = inline.ok_or_else(|| ApiError::internal("an inline run without a definition"))?;
        let plan = state.checked_plan(caller.tenant, &definition).await?;
        return Ok((RunSource::Inline(definition), plan));
    };
    let head = state.store.workflow_head(caller.tenant, id, version).await?;
    if head.status == WorkflowStatus::Archived {
        return Err(ApiError::new(
            Code::WorkflowArchived,
            "the workflow is archived; set its status to draft or active to run it",
        ));
    }
    let read = async { Ok(state.store.workflow_version(caller.tenant, id, head.version).await?.definition) };
    let plan = state.plan(caller.tenant, head.digest, read).await?;
    // The version that was checked is the version that runs, whatever is saved meanwhile.
    Ok((RunSource::Workflow { id, version: Some(head.version) }, plan))
}

/// Input that does not fit the workflow; pointers follow the spelling of the request.
fn unfit(mut problems: Vec<Problem>, input_pointer: &str) -> ApiError {
    let only_parameters = problems.iter().all(|problem| problem.pointer.starts_with("/parameters"));
    for problem in &mut problems {
        if let Some(rest) = problem.pointer.strip_prefix("/input") {
            problem.pointer = format!("{input_pointer}{rest}");
        }
    }
    let (code, what) = if only_parameters {
        (Code::ParametersInvalid, "the parameters")
    } else {
        (Code::InputInvalid, "the run's input")
    };
    ApiError::problems(code, what, problems)
}

/// The W3C trace context, if it is well formed.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    let well_formed = matches!(parts.as_slice(), [version, trace, span, flags] if hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2));
    well_formed.then(|| text.to_owned())
}

async fn answer(
    state: &ApiState,
    caller: Caller,
    created: Created<Execution>,
    patience: Duration,
) -> Result<Response, ApiError> {
    let Created { value: mut execution, replayed } = created;
    if !patience.is_zero() {
        execution = wait::until_terminal(state, caller.tenant, execution.id, patience).await?;
    }
    let mut response = if !patience.is_zero() && execution.status.is_terminal() {
        Json(ExecutionView::from(execution)).into_response()
    } else {
        accepted(&execution, replayed)?
    };
    idempotency::mark(&mut response, replayed);
    Ok(response)
}

fn accepted(execution: &Execution, replayed: bool) -> Result<Response, ApiError> {
    let status_url = format!("/api/v1/executions/{}", execution.id);
    let location = HeaderValue::from_str(&status_url).map_err(ApiError::internal)?;
    let body = Accepted {
        id: execution.id,
        execution_id: execution.id,
        workflow_id: execution.workflow_id,
        // A replay repeats what the first answer said.
        status: if replayed { ExecutionStatus::Pending } else { execution.status },
        events_url: format!("{status_url}/events"),
        status_url,
        created_at: execution.created_at,
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response())
}
