//! The worker's place in the fleet, the jobs that it holds, and those that its threads compute.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sightflow_models::{Device, SimdLevel};
use sightflow_store::{ClaimedJob, JobLease, NewWorker, SharedStore, StoreError, WorkerRole};
use sightflow_types::{ExecutionId, JobId, WorkerId};
use tokio::sync::Notify;

use crate::WorkerConfig;

/// Identity and leases. A worker that was silent too long gets a new identity; what it held is lost by then.
pub(crate) struct Member {
    state: Mutex<State>,
    /// Some jobs are not computed any more.
    ended: Notify,
}

struct State {
    id: WorkerId,
    held: HashMap<JobId, Held>,
    /// On some thread, whatever became of the lease.
    computing: HashSet<JobId>,
}

struct Held {
    token: i64,
    execution: ExecutionId,
    lost: Lost,
}

/// Whether a job was taken away, cancelled or claimed anew while it waited or ran: its result is not wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lost(Arc<AtomicBool>);

impl Lost {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Member {
    pub(crate) async fn register(store: &SharedStore, config: &WorkerConfig) -> Result<Self, StoreError> {
        Ok(Self::new(sign_on(store, config).await?))
    }

    fn new(id: WorkerId) -> Self {
        Self { state: Mutex::new(State { id, held: HashMap::new(), computing: HashSet::new() }), ended: Notify::new() }
    }

    /// Registers anew after having been declared gone.
    pub(crate) async fn register_again(&self, store: &SharedStore, config: &WorkerConfig) -> Result<(), StoreError> {
        let id = sign_on(store, config).await?;
        let mut state = self.lock();
        state.id = id;
        state.held.drain().for_each(|(_, held)| held.lost.set());
        Ok(())
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.lock().id
    }

    pub(crate) fn holding(&self) -> Vec<JobId> {
        self.lock().held.keys().copied().collect()
    }

    /// Whether a slot works, or is about to work, under this lease.
    pub(crate) fn holds(&self, lease: JobLease) -> bool {
        self.lock().held.get(&lease.job_id).is_some_and(|held| held.token == lease.token)
    }

    /// Takes claimed jobs into account. One that was held under an older lease is lost under that one.
    pub(crate) fn hold(&self, job: &ClaimedJob) -> Lost {
        let lost = Lost::default();
        let held = Held { token: job.job.lease_token, execution: job.job.execution_id, lost: lost.clone() };
        if let Some(former) = self.lock().held.insert(job.job.id, held) {
            former.lost.set();
        }
        lost
    }

    pub(crate) fn let_go(&self, leases: &[JobLease]) {
        let mut state = self.lock();
        for lease in leases {
            if state.held.get(&lease.job_id).is_some_and(|held| held.token == lease.token) {
                state.held.remove(&lease.job_id);
            }
        }
    }

    /// The store says that these are not ours any more.
    pub(crate) fn lose(&self, jobs: &[JobId]) {
        let mut state = self.lock();
        jobs.iter().filter_map(|job| state.held.remove(job)).for_each(|held| held.lost.set());
    }

    /// These executions were cancelled, and their jobs with them.
    pub(crate) fn cancel(&self, executions: &[ExecutionId]) {
        self.lock().held.values().filter(|held| executions.contains(&held.execution)).for_each(|held| held.lost.set());
    }

    /// Waits until no thread of this process computes any of these jobs, then counts them as computed until the answer is
    /// dropped: a job whose deadline passed can be claimed again while its first computation still runs.
    pub(crate) async fn alone(self: &Arc<Self>, jobs: Vec<JobId>) -> Computing {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            {
                let mut state = self.lock();
                if !jobs.iter().any(|job| state.computing.contains(job)) {
                    state.computing.extend(jobs.iter().copied());
                    break;
                }
            }
            ended.await;
        }
        Computing { member: Arc::clone(self), jobs }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that a thread computes.
pub(crate) struct Computing {
    member: Arc<Member>,
    jobs: Vec<JobId>,
}

impl Drop for Computing {
    fn drop(&mut self) {
        let mut state = self.member.lock();
        self.jobs.iter().for_each(|job| {
            state.computing.remove(job);
        });
        drop(state);
        self.member.ended.notify_waiters();
    }
}

async fn sign_on(store: &SharedStore, config: &WorkerConfig) -> Result<WorkerId, StoreError> {
    let worker = NewWorker {
        id: WorkerId::new(),
        role: WorkerRole::Worker,
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: labels(config.device),
        models: Value::Array(Vec::new()),
        device: Some(config.device.to_string()),
        memory_total: None,
    };
    Ok(store.register_worker(worker).await?.id)
}

/// On a CPU, speed depends on its vector instructions: the fleet's list shows them.
fn labels(device: Device) -> Value {
    match device {
        Device::Cpu => json!({"simd": SimdLevel::current().as_str()}),
        Device::Cuda(_) => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_job_is_computed_once_at_a_time() {
        let member = Arc::new(Member::new(WorkerId::new()));
        let (one, two, three) = (JobId::new(), JobId::new(), JobId::new());
        let first = member.alone(vec![one, two]).await;
        let mut again = std::pin::pin!(member.alone(vec![two, three]));
        assert!(again.as_mut().now_or_never().is_none(), "it waits for the first computation");
        // It has taken nothing while it waits.
        drop(member.alone(vec![three]).now_or_never().expect("nobody computes it"));
        drop(first);
        let again = again.await;
        assert!(member.alone(vec![three]).now_or_never().is_none());
        drop(again);
        assert!(member.alone(vec![one, two, three]).now_or_never().is_some());
    }
}
