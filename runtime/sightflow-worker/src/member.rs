//! The worker's place in the fleet, and the jobs that it holds.

use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::{Value, json};
use sightflow_store::{NewWorker, SharedStore, StoreError, WorkerRole};
use sightflow_types::{JobId, WorkerId};

use crate::WorkerConfig;

/// Identity and leases. A worker that was silent too long gets a new identity; what it held is lost by then.
pub(crate) struct Member {
    state: Mutex<State>,
}

struct State {
    id: WorkerId,
    holding: HashSet<JobId>,
    /// Jobs that were taken away while they waited or ran: not worth starting.
    lost: HashSet<JobId>,
}

impl Member {
    pub(crate) async fn register(store: &SharedStore, config: &WorkerConfig) -> Result<Self, StoreError> {
        let id = sign_on(store, config).await?;
        Ok(Self { state: Mutex::new(State { id, holding: HashSet::new(), lost: HashSet::new() }) })
    }

    /// Registers anew after having been declared gone.
    pub(crate) async fn register_again(&self, store: &SharedStore, config: &WorkerConfig) -> Result<(), StoreError> {
        let id = sign_on(store, config).await?;
        let mut state = self.lock();
        state.id = id;
        let held = std::mem::take(&mut state.holding);
        state.lost.extend(held);
        Ok(())
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.lock().id
    }

    pub(crate) fn holding(&self) -> Vec<JobId> {
        self.lock().holding.iter().copied().collect()
    }

    pub(crate) fn hold(&self, jobs: impl Iterator<Item = JobId>) {
        self.lock().holding.extend(jobs);
    }

    pub(crate) fn let_go(&self, jobs: impl Iterator<Item = JobId>) {
        let mut state = self.lock();
        for job in jobs {
            state.holding.remove(&job);
            state.lost.remove(&job);
        }
    }

    pub(crate) fn lose(&self, jobs: Vec<JobId>) {
        let mut state = self.lock();
        for job in jobs {
            // One that was let go meanwhile is no longer of interest.
            if state.holding.remove(&job) {
                state.lost.insert(job);
            }
        }
    }

    pub(crate) fn has_lost(&self, job: JobId) -> bool {
        self.lock().lost.contains(&job)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn sign_on(store: &SharedStore, config: &WorkerConfig) -> Result<WorkerId, StoreError> {
    let worker = NewWorker {
        id: WorkerId::new(),
        role: WorkerRole::Worker,
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: json!({}),
        models: Value::Array(Vec::new()),
        device: Some(config.device.to_string()),
        memory_total: None,
    };
    Ok(store.register_worker(worker).await?.id)
}
