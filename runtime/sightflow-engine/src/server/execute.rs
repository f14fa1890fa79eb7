//! One execution from its lease to its end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use sightflow_memory::MemoryPool;
use sightflow_store::{FinishedExecution, NewEvent, StartedExecution, StoreError};
use sightflow_supervisor::{Panicked, caught};
use sightflow_types::error::{RunError, chain, code};
use sightflow_types::{ExecutionId, TenantId, event};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::effects::StoreEffects;
use super::handle::Handle;
use super::images::StoredImages;
use super::jobs::StoreJobs;
use super::journal::Journal;
use super::parked::{Active, Cold, Parked};
use super::pins;
use super::shared::{Shared, Stop, problems};
use crate::catalog::Catalog;
use crate::input::stored_run;
use crate::packages::PinError;
use crate::run::{End, Pause, Run, RunOutcome, RunParts, RunSpec};

/// Leases that are handed back at a time when the engine stops: one commit takes as many as wait for it.
const HANDS: usize = 256;

/// Runs an execution that was taken, as long as it computes. It ends recorded or given back, or it is parked; if even that
/// fails, with a lease that the next lease check gives back.
pub(super) fn begin(shared: &Arc<Shared>, started: StartedExecution, slot: OwnedSemaphorePermit) {
    // Known before its task first runs: the lease check takes what is not known for left behind.
    let handle = shared.hub.enter(started.lease());
    let owner = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let known = Arc::clone(&handle);
        let work = async {
            owner.config.faults.at("engine.execute");
            let execution = &started.execution;
            match owner.parts.plans.pinned_blocks(execution.tenant_id, &execution.pins).await {
                Ok(blocks) => {
                    if let Some(active) = prepare(&owner, &handle, started, blocks, Vec::new()).await {
                        go_on(&owner, active, Some(slot)).await;
                    }
                }
                Err(PinError::Store(failed)) => give_back(&owner, &handle, &failed).await,
                Err(broken) => {
                    finish(&owner, &handle, failure(RunError::new(code::INTERNAL, broken.to_string()))).await;
                }
            }
        };
        guarded(&owner, &known, work).await;
    });
}

/// Goes on with an execution that waits, if it does.
pub(super) fn wake(shared: &Arc<Shared>, id: ExecutionId) {
    let Some(parked) = shared.hub.unpark(id) else { return };
    let owner = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let known = Arc::clone(parked.handle());
        guarded(&owner, &known, unparked(&owner, parked)).await;
    });
}

async fn unparked(shared: &Arc<Shared>, parked: Parked) {
    match parked {
        Parked::Warm(active) => go_on(shared, *active, None).await,
        Parked::Cold(cold) => {
            let Cold { handle, tenant, blocks, .. } = *cold;
            let lost = tokio::select! {
                biased;
                () = handle.lost.cancelled() => true,
                () = shared.stop.cancelled() => true,
                active = walked_again(shared, &handle, tenant, blocks) => {
                    if let Some(active) = active {
                        go_on(shared, active, None).await;
                    }
                    false
                }
            };
            if lost {
                shared.hub.leave(&handle);
            }
        }
    }
}

/// An execution of which nothing was kept.
async fn walked_again(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    tenant: TenantId,
    blocks: Arc<Catalog>,
) -> Option<Active> {
    let id = handle.lease.execution_id;
    let store = &shared.parts.store;
    let read = async {
        let execution = store.execution(tenant, id).await?;
        let definition_digest = store.execution_definition(tenant, id).await?.digest;
        Ok(StartedExecution { execution, definition_digest })
    };
    match read.await {
        Ok(started) => {
            let payload = json!({"resume_count": started.execution.resume_count});
            let resumed = NewEvent { kind: event::EXECUTION_RESUMED.to_owned(), payload };
            prepare(shared, handle, started, blocks, vec![resumed]).await
        }
        Err(failure) => {
            give_back(shared, handle, &failure).await;
            None
        }
    }
}

/// A panic here ends the execution.
async fn guarded(shared: &Shared, handle: &Arc<Handle>, work: impl Future<Output = ()>) {
    let id = handle.lease.execution_id;
    if let Err(panicked) = caught(work).await {
        error!(execution.id = %id, error = chain(&panicked), "an execution's task panicked");
        if let Err(panicked) = caught(finish(shared, handle, failure(broken()))).await {
            error!(execution.id = %id, error = chain(&panicked), "recording the end panicked as well");
            handed_back(handle, "its end cannot be recorded", shared.parts.store.give_up(handle.lease).await);
            shared.hub.leave(handle);
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
        progress: json!({}),
        output_blobs: Vec::new(),
        block_cpu_us: 0,
        events: Vec::new(),
        pins: None,
    }
}

/// Makes a run of an execution, or ends it.
async fn prepare(
    shared: &Shared,
    handle: &Arc<Handle>,
    started: StartedExecution,
    blocks: Arc<Catalog>,
    mut events: Vec<NewEvent>,
) -> Option<Active> {
    let (plan, input, (pins, repinned)) = match ready(shared, &started, &blocks).await {
        Ok(ready) => ready,
        Err(Stop::Fail(error)) => {
            finish(shared, handle, failure(error)).await;
            return None;
        }
        // Not the execution's fault: it goes back and is taken again.
        Err(Stop::Store(failure)) => {
            give_back(shared, handle, &failure).await;
            return None;
        }
    };
    let execution = &started.execution;
    for event in &repinned {
        info!(execution.id = %execution.id, pin = %event.payload, "a block was replaced by an upgrade; the execution goes on with it");
    }
    events.extend(repinned);
    let journal = Journal::new(Arc::clone(&shared.parts.store), Arc::clone(handle), pins, events);
    let store = Arc::clone(&shared.parts.store);
    let parts = RunParts {
        host: Arc::clone(&shared.parts.host),
        jobs: Arc::new(StoreJobs::new(store, Arc::clone(handle), shared.config.job_timeout_ms)),
        effects: Arc::new(StoreEffects::new(Arc::clone(&shared.parts.store), Arc::clone(handle))),
        images: Arc::new(StoredImages::for_execution(&shared.parts, execution, handle.lease)),
        observer: Arc::clone(&journal) as Arc<dyn crate::run::Observer>,
        limits: shared.config.run_limits.clone(),
        lanes: shared.config.lanes.clone(),
    };
    let left = execution.deadline_at.map(|deadline| deadline.millis_since(shared.parts.store.now()).max(0));
    let deadline =
        left.and_then(|ms| Instant::now().checked_add(Duration::from_millis(u64::try_from(ms).unwrap_or(0))));
    let request = RunSpec {
        tenant: execution.tenant_id,
        plan,
        input,
        execution_id: Some(execution.id),
        context: json!({"workflow_id": execution.workflow_id, "execution_id": execution.id, "version": execution.workflow_version}),
        // Whatever stops the walk drops its run, too; see `drive`.
        cancel: CancellationToken::new(),
        deadline,
    };
    let run = Run::new(parts, request);
    Some(Active { handle: Arc::clone(handle), tenant: execution.tenant_id, blocks, run, journal })
}

async fn ready(
    shared: &Shared,
    started: &StartedExecution,
    blocks: &Arc<Catalog>,
) -> Result<(Arc<crate::plan::Plan>, crate::run_input::RunInput, pins::Pinned), Stop> {
    let execution = &started.execution;
    let plan = shared.plan(started, blocks).await?;
    let input = stored_run(&execution.input, execution.parameters.clone())
        .map_err(|found| Stop::Fail(problems(found, "the stored input cannot be read")))?;
    let pinned = pins::settle(&execution.pins, plan.pins()).map_err(Stop::Fail)?;
    Ok((plan, input, pinned))
}

/// How driving a run came to a stop.
enum Stopped {
    Paused(Pause),
    /// Cancelled by a client, taken over, or ended by somebody else.
    Lost,
    /// This engine stops.
    Leaving,
    /// Its journal panicked.
    Unkept(Panicked),
}

/// Drives an execution until it ends or waits for long; while it only waits it holds no slot.
async fn go_on(shared: &Arc<Shared>, active: Active, mut slot: Option<OwnedSemaphorePermit>) {
    let mut parked = Some(active);
    while let Some(active) = parked.take() {
        if slot.is_none() {
            slot = tokio::select! {
                biased;
                () = active.handle.lost.cancelled() => None,
                () = shared.stop.cancelled() => None,
                slot = shared.slot() => slot,
            };
        }
        let stopped = drive(shared, &active).await;
        drop(slot.take());
        match stopped {
            Stopped::Paused(Pause::Ended(outcome)) => {
                return finish(shared, &active.handle, ended(*outcome, &active.journal)).await;
            }
            Stopped::Paused(Pause::Waiting(until)) => {
                parked = wait(shared, active, until).await;
            }
            Stopped::Lost => {
                info!(execution.id = %active.handle.lease.execution_id, "execution stopped: cancelled or taken over");
                return shared.hub.leave(&active.handle);
            }
            Stopped::Leaving => return leave(shared, &active).await,
            Stopped::Unkept(panicked) => {
                let id = active.handle.lease.execution_id;
                error!(execution.id = %id, error = chain(&panicked), "an execution's journal panicked");
                return finish(shared, &active.handle, failure(broken())).await;
            }
        }
    }
}

/// Waits a while for news, then parks the execution. Answers it if it has something to do.
async fn wait(shared: &Arc<Shared>, active: Active, until: Option<Instant>) -> Option<Active> {
    let grace = if MemoryPool::process().is_contended() { Duration::ZERO } else { shared.config.grace };
    let news = tokio::select! {
        biased;
        () = active.handle.lost.cancelled() => true,
        () = shared.stop.cancelled() => true,
        () = active.run.waited(until) => true,
        () = tokio::time::sleep(grace) => false,
    };
    if news {
        return Some(active);
    }
    match active.journal.flush(&active.run).await {
        Ok(()) => {}
        Err(StoreError::StaleLease) => {
            active.handle.lost.cancel();
            return Some(active);
        }
        // What was not written is written by whoever goes on with it.
        Err(failure) => {
            warn!(execution.id = %active.handle.lease.execution_id, error = chain(&failure), "events wait to be written");
        }
    }
    let handle = Arc::clone(&active.handle);
    shared.config.faults.at("engine.park");
    let (parked, until) = active.park(until);
    match shared.hub.park(&handle, parked, until)? {
        Parked::Warm(active) => Some(*active),
        cold @ Parked::Cold(..) => {
            Box::pin(unparked(shared, cold)).await;
            None
        }
    }
}

/// Drives a run and keeps the journal beside it.
async fn drive(shared: &Shared, active: &Active) -> Stopped {
    let Active { handle, run, journal, .. } = active;
    if handle.lost.is_cancelled() {
        return Stopped::Lost;
    }
    let closing = CancellationToken::new();
    let walking = async {
        let stopped = tokio::select! {
            biased;
            () = handle.lost.cancelled() => Stopped::Lost,
            () = shared.stop.cancelled() => Stopped::Leaving,
            // The journal has panicked.
            () = closing.cancelled() => Stopped::Lost,
            pause = run.drive() => Stopped::Paused(pause),
        };
        closing.cancel();
        stopped
    };
    let keeping = async {
        let kept = caught(async {
            shared.config.faults.at("engine.journal");
            journal.keep(run, shared.config.linger, &closing).await
        })
        .await;
        closing.cancel();
        // A stale lease is known by the handle.
        kept.map(drop)
    };
    match tokio::join!(walking, keeping) {
        (_, Err(panicked)) => Stopped::Unkept(panicked),
        (stopped, Ok(())) => stopped,
    }
}

/// How an outcome is recorded, with what the journal has left.
fn ended(outcome: RunOutcome, journal: &Journal) -> FinishedExecution {
    let progress = outcome.report.progress.clone();
    let rest = journal.rest(outcome.report);
    FinishedExecution {
        error: match outcome.end {
            End::Failed(error) => Some(error),
            End::Completed | End::Stopped => None,
        },
        outputs: outcome.outputs,
        records: rest.records,
        progress,
        output_blobs: outcome.output_blobs,
        block_cpu_us: rest.block_cpu_us,
        events: rest.events,
        pins: rest.pins,
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
            return give_back(shared, handle, &failure).await;
        }
        // The same end would be refused again, and again after a takeover.
        Err(refused) => {
            error!(execution.id = %id, error = chain(&refused), "the end of an execution was refused; it fails");
            let error = RunError::new(code::INTERNAL, "the result of this execution could not be recorded");
            if let Err(failure) = shared.parts.store.finish(handle.lease, self::failure(error)).await {
                error!(execution.id = %id, error = chain(&failure), "cannot record the end of an execution");
                return give_back(shared, handle, &failure).await;
            }
        }
    }
    shared.hub.leave(handle);
}

/// Hands back what only waits: this engine stops.
pub(super) async fn leave_parked(shared: &Shared) {
    let all = shared.hub.unpark_all();
    let handing = futures::stream::iter(all).for_each_concurrent(HANDS, |parked| async move {
        let handle = Arc::clone(parked.handle());
        drop(parked);
        handed_back(&handle, "the engine stops", shared.parts.store.hand_back(handle.lease).await);
        shared.hub.leave(&handle);
    });
    handing.await;
}

/// This engine stops: somebody else goes on.
async fn leave(shared: &Shared, active: &Active) {
    if let Err(failure) = active.journal.flush(&active.run).await {
        let id = active.handle.lease.execution_id;
        warn!(execution.id = %id, error = chain(&failure), "the last events could not be written");
    }
    handed_back(&active.handle, "the engine stops", shared.parts.store.hand_back(active.handle.lease).await);
    shared.hub.leave(&active.handle);
}

/// A database that cannot be reached or is full costs an execution nothing but time. Whatever else fails is counted, and ends
/// what cannot go on anywhere.
async fn give_back(shared: &Shared, handle: &Arc<Handle>, failure: &StoreError) {
    let given = match failure {
        StoreError::Unavailable(_) => shared.parts.store.hand_back(handle.lease).await,
        _ => shared.parts.store.give_up(handle.lease).await,
    };
    handed_back(handle, &chain(failure), given);
    shared.hub.leave(handle);
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
