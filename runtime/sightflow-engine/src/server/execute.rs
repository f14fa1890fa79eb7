//! One execution from its row to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_blobs::digest_of;
use sightflow_store::{Append, FinishedExecution, StartedExecution, StoreError};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, Problem, TenantId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::hub::{Handle, Hub};
use super::images::StoredImages;
use super::jobs::StoreJobs;
use super::journal::Journal;
use super::{EngineConfig, EngineParts, load_models};
use crate::input::{RunInput, validate_run};
use crate::plan::{Plan, compile};
use crate::run::{End, RunOutcome, RunParts, RunRequest, run_plan};

/// Plans kept; more are compiled again.
const PLAN_CACHE: usize = 512;

/// What all executions of an engine share.
pub(super) struct Shared {
    pub(super) parts: EngineParts,
    pub(super) config: EngineConfig,
    hub: Arc<Hub>,
    plans: Mutex<HashMap<(TenantId, Digest), Arc<Plan>>>,
}

impl Shared {
    pub(super) fn new(parts: EngineParts, config: EngineConfig, hub: Arc<Hub>) -> Self {
        Self { parts, config, hub, plans: Mutex::new(HashMap::new()) }
    }

    /// The models changed: plans hold their digests.
    pub(super) fn forget_plans(&self) {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn plan(&self, tenant: TenantId, definition: &Value) -> Result<Arc<Plan>, Stop> {
        let bytes = serde_json::to_vec(definition)
            .map_err(|failure| Stop::Fail(RunError::new(code::INTERNAL, failure.to_string())))?;
        let key = (tenant, digest_of(&bytes));
        if let Some(plan) = self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(plan));
        }
        let models = load_models(self.parts.store.as_ref(), tenant).await.map_err(Stop::Store)?;
        let compiled = compile(definition, &self.parts.catalog, &models, &self.config.limits);
        let Some(plan) = compiled.plan else {
            return Err(Stop::Fail(problems(compiled.errors, "the definition is not valid any more")));
        };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= PLAN_CACHE {
            plans.clear();
        }
        plans.insert(key, Arc::clone(&plan));
        Ok(plan)
    }
}

/// Why an execution does not get as far as its walk.
enum Stop {
    Fail(RunError),
    Store(StoreError),
}

fn problems(found: Vec<Problem>, message: &str) -> RunError {
    let mut found = found.into_iter();
    let Some(first) = found.next() else {
        return RunError::new(code::INTERNAL, message);
    };
    let mut error = RunError::new(&first.code, format!("{message}: {}", first.message));
    error.cause = found.map(|problem| format!("{} {}: {}", problem.code, problem.pointer, problem.message)).collect();
    error
}

pub(super) async fn execute(shared: Arc<Shared>, started: StartedExecution, stop: CancellationToken) {
    let handle = shared.hub.enter(started.lease());
    run(&shared, &handle, &started, &stop).await;
    shared.hub.leave(&handle);
}

async fn run(shared: &Arc<Shared>, handle: &Arc<Handle>, started: &StartedExecution, stop: &CancellationToken) {
    let execution = &started.execution;
    let (plan, input) = match prepare(shared, started).await {
        Ok(ready) => ready,
        Err(Stop::Fail(error)) => {
            let outcome = RunOutcome {
                end: End::Failed(error),
                outputs: json!({}),
                node_metrics: json!({}),
                progress: json!({}),
                output_blobs: Vec::new(),
            };
            return finish(shared, handle, outcome).await;
        }
        // Not the execution's fault: it stays ours and is taken over again once the lease is given back.
        Err(Stop::Store(failure)) => return give_back(shared, handle, &failure.to_string()).await,
    };
    let journal = Journal::start(Arc::clone(&shared.parts.store), Arc::clone(handle), shared.config.linger);
    // Cancelled by a client, taken over, or this engine stops.
    let cancel = CancellationToken::new();
    let watcher = {
        let (cancel, lost, stop) = (cancel.clone(), handle.lost.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = lost.cancelled() => {}
                () = stop.cancelled() => {}
            }
            cancel.cancel();
        })
    };
    let parts = RunParts {
        host: Arc::clone(&shared.parts.host),
        jobs: Arc::new(StoreJobs::new(
            Arc::clone(&shared.parts.store),
            Arc::clone(handle),
            shared.config.job_timeout_ms,
        )),
        images: Arc::new(StoredImages::for_execution(&shared.parts, execution, handle.lease)),
        observer: Arc::clone(&journal) as Arc<dyn crate::run::Observer>,
    };
    let left = execution.deadline_at.map(|deadline| deadline.millis_since(shared.parts.store.now()).max(0));
    let deadline =
        left.and_then(|ms| Instant::now().checked_add(Duration::from_millis(u64::try_from(ms).unwrap_or(0))));
    let request = RunRequest {
        plan,
        input,
        execution_id: Some(execution.id),
        context: json!({"workflow_id": execution.workflow_id, "execution_id": execution.id, "version": execution.workflow_version}),
        cancel,
        deadline,
    };
    let outcome = run_plan(&parts, request).await;
    watcher.abort();
    let flushed = journal.close().await;
    if handle.lost.is_cancelled() {
        info!(execution.id = %execution.id, "execution stopped: cancelled or taken over");
        return;
    }
    if let Err(failure) = flushed {
        return give_back(shared, handle, &failure.to_string()).await;
    }
    match outcome.end {
        End::Stopped => give_back(shared, handle, "the engine stops").await,
        _ => finish(shared, handle, outcome).await,
    }
}

async fn prepare(shared: &Arc<Shared>, started: &StartedExecution) -> Result<(Arc<Plan>, RunInput), Stop> {
    let execution = &started.execution;
    let plan = shared.plan(execution.tenant_id, &started.definition).await?;
    let input = validate_run(&plan, &execution.input, &execution.parameters)
        .map_err(|found| Stop::Fail(problems(found, "the input does not fit the definition")))?;
    let pins = plan.pins();
    if execution.pins.as_object().is_none_or(Map::is_empty) {
        let append = Append { pins: Some(pins), ..Append::default() };
        shared.parts.store.append_events(started.lease(), append).await.map_err(Stop::Store)?;
    } else if execution.pins != pins {
        return Err(Stop::Fail(RunError::new(
            code::INTERNAL,
            "a block or model that the execution was started with is not installed any more; run the workflow again",
        )));
    }
    Ok((plan, input))
}

async fn finish(shared: &Arc<Shared>, handle: &Arc<Handle>, outcome: RunOutcome) {
    let error = match outcome.end {
        End::Failed(error) => Some(error),
        _ => None,
    };
    let failed = error.is_some();
    let end = FinishedExecution {
        error,
        outputs: outcome.outputs,
        node_metrics: outcome.node_metrics,
        progress: outcome.progress,
        output_blobs: outcome.output_blobs,
        events: Vec::new(),
        pins: None,
    };
    let id = handle.lease.execution_id;
    match shared.parts.store.finish(handle.lease, end).await {
        Ok(()) => info!(execution.id = %id, execution.failed = failed, "execution finished"),
        Err(StoreError::StaleLease) => {
            info!(execution.id = %id, "execution finished elsewhere; result discarded");
        }
        Err(failure) => {
            error!(execution.id = %id, error = %failure, "cannot record the end of an execution");
            give_back(shared, handle, &failure.to_string()).await;
        }
    }
}

async fn give_back(shared: &Arc<Shared>, handle: &Arc<Handle>, why: &str) {
    let id = handle.lease.execution_id;
    match shared.parts.store.hand_back(handle.lease).await {
        Ok(()) => info!(execution.id = %id, why, "execution handed back"),
        Err(StoreError::StaleLease) => {}
        Err(failure) => {
            warn!(execution.id = %id, error = %failure, "cannot hand an execution back; its lease will run out");
        }
    }
}
