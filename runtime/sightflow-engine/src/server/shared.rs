//! What all tasks of an engine share.

use std::sync::{Arc, Mutex, PoisonError};

use sightflow_store::{StartedExecution, StoreError};
use sightflow_supervisor::Health;
use sightflow_types::error::{RunError, code};
use sightflow_types::{Problem, WorkerId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hub::Hub;
use super::{EngineConfig, EngineParts};
use crate::catalog::Catalog;
use crate::plan::Plan;
use crate::plans::PlanError;

/// Executions that one transaction takes at most.
const TAKE: usize = 64;

pub(super) struct Shared {
    pub(super) parts: EngineParts,
    pub(super) config: EngineConfig,
    pub(super) hub: Hub,
    pub(super) health: Health,
    pub(super) stop: CancellationToken,
    /// New after it was declared gone.
    id: Mutex<WorkerId>,
    /// One permit for each execution that may compute; it travels with the execution.
    slots: Arc<Semaphore>,
    /// Tasks of executions.
    pub(super) tasks: TaskTracker,
}

/// Why an execution does not get as far as its walk.
pub(super) enum Stop {
    Fail(RunError),
    Store(StoreError),
}

impl Shared {
    pub(super) fn new(parts: EngineParts, config: EngineConfig, id: WorkerId, health: Health) -> Self {
        Self {
            hub: Hub::default(),
            health,
            stop: CancellationToken::new(),
            id: Mutex::new(id),
            slots: Arc::new(Semaphore::new(slots(&config))),
            tasks: TaskTracker::new(),
            parts,
            config,
        }
    }

    pub(super) fn id(&self) -> WorkerId {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rhythm of signs of life and of looks at the store.
    pub(super) fn ticks(&self) -> Interval {
        let mut ticks = tokio::time::interval(self.config.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    pub(super) fn renew(&self, id: WorkerId) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Room for executions: all that there is, up to what one transaction takes. Waits until there is some.
    pub(super) async fn room(&self) -> Vec<OwnedSemaphorePermit> {
        let first = Arc::clone(&self.slots).acquire_owned().await;
        // The semaphore is never closed.
        first
            .into_iter()
            .chain(std::iter::from_fn(|| Arc::clone(&self.slots).try_acquire_owned().ok()))
            .take(TAKE)
            .collect()
    }

    /// As [`Shared::room`], without waiting: possibly none.
    pub(super) fn room_now(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| Arc::clone(&self.slots).try_acquire_owned().ok()).take(TAKE).collect()
    }

    /// A slot for an execution that goes on.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Whether this engine has as many executions as it may, those that only wait included.
    pub(super) fn full(&self) -> bool {
        self.hub.len() >= self.config.max_held
    }

    /// Resolves when no execution has a task any more. Nothing may begin one meanwhile.
    pub(super) async fn tasks_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The plan of what an execution runs, with these blocks.
    pub(super) async fn plan(&self, started: &StartedExecution, blocks: &Arc<Catalog>) -> Result<Arc<Plan>, Stop> {
        let (tenant, id) = (started.execution.tenant_id, started.execution.id);
        let read = async { Ok(self.parts.store.execution_definition(tenant, id).await?.definition) };
        let plan = self.parts.plans.plan_with(blocks, tenant, started.definition_digest, read).await;
        plan.map_err(|failure| match failure {
            PlanError::Invalid(found) => Stop::Fail(problems(found, "the definition is not valid any more")),
            PlanError::Store(failure @ StoreError::Corrupt(_)) => {
                Stop::Fail(RunError::new(code::INTERNAL, format!("the definition cannot be read: {failure}")))
            }
            PlanError::Store(failure) => Stop::Store(failure),
            PlanError::Failed(_) => Stop::Fail(RunError::new(code::INTERNAL, failure.to_string())),
        })
    }
}

fn slots(config: &EngineConfig) -> usize {
    config.max_running.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

/// One error for several problems: the first one's code, the others as its causes.
pub(super) fn problems(found: Vec<Problem>, message: &str) -> RunError {
    let mut found = found.into_iter();
    let Some(first) = found.next() else {
        return RunError::new(code::INTERNAL, message);
    };
    let mut error = RunError::new(&first.code, format!("{message}: {}", first.message));
    error.cause = found.map(|problem| format!("{} {}: {}", problem.code, problem.pointer, problem.message)).collect();
    error
}
