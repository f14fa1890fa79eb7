//! One execution from its lease to its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_store::{FinishedExecution, StartedExecution, StoreError};
use sightflow_supervisor::caught;
use sightflow_types::error::{RunError, chain, code};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::hub::Handle;
use super::images::StoredImages;
use super::jobs::StoreJobs;
use super::journal::Journal;
use super::pins::{self, Pinned};
use super::shared::{Shared, Stop, problems};
use crate::input::{RunInput, validate_run};
use crate::plan::Plan;
use crate::run::{End, RunOutcome, RunParts, RunRequest, run_plan};

/// Runs an execution that was taken. It ends recorded or given back, or, if even that fails, with a lease that the next
/// lease check gives back.
pub(super) async fn execute(shared: &Shared, handle: &Arc<Handle>, started: &StartedExecution) {
    let id = handle.lease.execution_id;
    if let Err(panicked) = caught(run(shared, handle, started)).await {
        error!(execution.id = %id, error = chain(&panicked), "an execution's task panicked");
        if let Err(panicked) = caught(finish(shared, handle, failure(broken()))).await {
            error!(execution.id = %id, error = chain(&panicked), "recording the end panicked as well");
            handed_back(handle, "its end cannot be recorded", shared.parts.store.give_up(handle.lease).await);
        }
    }
}

fn broken() -> RunError {
    RunError::new(code::INTERNAL, "the engine failed in the middle of this execution; its log has the reason")
}

/// The end of an execution that has nothing to show but its error.
fn failure(error: RunError) -> FinishedExecution {
    FinishedExecution {
        error: Some(error),
        outputs: json!({}),
        records: Vec::new(),
        block_cpu_us: 0,
        progress: json!({}),
        output_blobs: Vec::new(),
        events: Vec::new(),
        pins: None,
    }
}

async fn run(shared: &Shared, handle: &Arc<Handle>, started: &StartedExecution) {
    shared.config.faults.at("engine.execute");
    let (plan, input, (pins, repinned)) = match prepare(shared, started).await {
        Ok(ready) => ready,
        Err(Stop::Fail(error)) => return finish(shared, handle, failure(error)).await,
        // Not the execution's fault: it goes back and is taken again.
        Err(Stop::Store(failure)) => return give_back(shared, handle, &failure).await,
    };
    for event in &repinned {
        info!(execution.id = %started.execution.id, pin = %event.payload, "a block was replaced by an upgrade; the execution goes on with it");
    }
    let journal = Journal::new(Arc::clone(&shared.parts.store), Arc::clone(handle), pins, repinned);
    let (outcome, kept) = walk(shared, handle, started, plan, input, &journal).await;
    if handle.lost.is_cancelled() {
        return info!(execution.id = %started.execution.id, "execution stopped: cancelled or taken over");
    }
    if let Err(panicked) = kept {
        error!(execution.id = %started.execution.id, error = chain(&panicked), "an execution's journal panicked");
        return finish(shared, handle, ended(RunOutcome { end: End::Failed(broken()), ..outcome }, &journal)).await;
    }
    if outcome.end != End::Stopped {
        return finish(shared, handle, ended(outcome, &journal)).await;
    }
    if let Err(failure) = journal.flush().await {
        warn!(execution.id = %started.execution.id, error = chain(&failure), "the last events could not be written");
    }
    handed_back(handle, "the engine stops", shared.parts.store.hand_back(handle.lease).await);
}

/// Walks the plan and keeps the journal beside it. Cancelled by a client, taken over, this engine's stop, or a journal that
/// can write nothing any more: the walk stops.
async fn walk(
    shared: &Shared,
    handle: &Arc<Handle>,
    started: &StartedExecution,
    plan: Arc<Plan>,
    input: RunInput,
    journal: &Arc<Journal>,
) -> (RunOutcome, Result<(), sightflow_supervisor::Panicked>) {
    let execution = &started.execution;
    let parts = RunParts {
        host: Arc::clone(&shared.parts.host),
        jobs: Arc::new(StoreJobs::new(
            Arc::clone(&shared.parts.store),
            Arc::clone(handle),
            shared.config.job_timeout_ms,
        )),
        images: Arc::new(StoredImages::for_execution(&shared.parts, execution, handle.lease)),
        observer: Arc::clone(journal) as Arc<dyn crate::run::Observer>,
        limits: shared.config.run_limits.clone(),
    };
    let left = execution.deadline_at.map(|deadline| deadline.millis_since(shared.parts.store.now()).max(0));
    let deadline =
        left.and_then(|ms| Instant::now().checked_add(Duration::from_millis(u64::try_from(ms).unwrap_or(0))));
    let cancel = CancellationToken::new();
    let request = RunRequest {
        plan,
        input,
        execution_id: Some(execution.id),
        context: json!({"workflow_id": execution.workflow_id, "execution_id": execution.id, "version": execution.workflow_version}),
        cancel: cancel.clone(),
        deadline,
    };
    let unkept = CancellationToken::new();
    let walking = async {
        let walk = run_plan(&parts, request);
        tokio::pin!(walk);
        let outcome = tokio::select! {
            biased;
            outcome = &mut walk => outcome,
            () = async { tokio::select! {
                () = handle.lost.cancelled() => {}
                () = shared.stop.cancelled() => {}
                () = unkept.cancelled() => {}
            } } => {
                cancel.cancel();
                walk.await
            }
        };
        journal.close();
        outcome
    };
    let keeping = async {
        let kept = caught(async {
            shared.config.faults.at("engine.journal");
            journal.keep(shared.config.linger).await
        })
        .await;
        if kept.is_err() {
            unkept.cancel();
        }
        // A stale lease is known by the handle.
        kept.map(drop)
    };
    tokio::join!(walking, keeping)
}

async fn prepare(shared: &Shared, started: &StartedExecution) -> Result<(Arc<Plan>, RunInput, Pinned), Stop> {
    let execution = &started.execution;
    let plan = shared.plan(started).await?;
    let input = validate_run(&plan, &execution.input, &execution.parameters)
        .map_err(|found| Stop::Fail(problems(found, "the input does not fit the definition")))?;
    let pinned = pins::settle(&execution.pins, plan.pins()).map_err(Stop::Fail)?;
    Ok((plan, input, pinned))
}

/// How an outcome is recorded, with what the journal has left.
fn ended(outcome: RunOutcome, journal: &Journal) -> FinishedExecution {
    let records = match outcome.node_metrics {
        Value::Object(records) => records,
        _ => Map::new(),
    };
    let block_cpu_us = records.values().filter_map(|record| record["block_cpu_us"].as_u64()).sum();
    let (events, pins, records) = journal.rest(records);
    FinishedExecution {
        error: match outcome.end {
            End::Failed(error) => Some(error),
            End::Completed | End::Stopped => None,
        },
        outputs: outcome.outputs,
        records,
        progress: outcome.progress,
        block_cpu_us,
        output_blobs: outcome.output_blobs,
        events,
        pins,
    }
}

async fn finish(shared: &Shared, handle: &Arc<Handle>, end: FinishedExecution) {
    let id = handle.lease.execution_id;
    shared.config.faults.at("engine.finish");
    let failed = end.error.is_some();
    match shared.parts.store.finish(handle.lease, end).await {
        Ok(()) => info!(execution.id = %id, execution.failed = failed, "execution finished"),
        Err(StoreError::StaleLease) => {
            info!(execution.id = %id, "execution finished elsewhere; result discarded");
        }
        Err(failure @ StoreError::Unavailable(_)) => {
            error!(execution.id = %id, error = chain(&failure), "cannot record the end of an execution");
            give_back(shared, handle, &failure).await;
        }
        // The same end would be refused again, and again after a takeover.
        Err(refused) => {
            error!(execution.id = %id, error = chain(&refused), "the end of an execution was refused; it fails");
            let error = RunError::new(code::INTERNAL, "the result of this execution could not be recorded");
            if let Err(failure) = shared.parts.store.finish(handle.lease, self::failure(error)).await {
                error!(execution.id = %id, error = chain(&failure), "cannot record the end of an execution");
                give_back(shared, handle, &failure).await;
            }
        }
    }
}

/// A database that cannot be reached or is full costs an execution nothing but time. Whatever else fails is counted, and ends
/// what cannot go on anywhere.
async fn give_back(shared: &Shared, handle: &Arc<Handle>, failure: &StoreError) {
    let given = match failure {
        StoreError::Unavailable(_) => shared.parts.store.hand_back(handle.lease).await,
        _ => shared.parts.store.give_up(handle.lease).await,
    };
    handed_back(handle, &chain(failure), given);
}

/// If this failed, the lease check tries again: the store says that the execution is leased here, and no task runs it.
fn handed_back(handle: &Handle, why: &str, result: Result<(), StoreError>) {
    let id = handle.lease.execution_id;
    match result {
        Ok(()) => info!(execution.id = %id, why, "execution handed back"),
        Err(StoreError::StaleLease) => {}
        Err(failure) => {
            warn!(execution.id = %id, error = chain(&failure), "cannot hand an execution back; it is tried again");
        }
    }
}
