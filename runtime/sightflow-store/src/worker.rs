//! The fleet: workers and engines.

use serde_json::Value;
use sightflow_types::{JobId, Timestamp, WorkerId, closed_set};

use crate::job::JobLease;

closed_set!(
/// What a member of the fleet does.
WorkerRole, "role", {
    /// Walks graphs.
    Engine = "engine",
    /// Runs models.
    Worker = "worker",
});

closed_set!(
/// Where a member of the fleet stands.
WorkerState, "worker state", {
    /// Registered, not yet claiming.
    Starting = "starting",
    /// Claiming.
    Ready = "ready",
    /// Finishing what it holds.
    Draining = "draining",
    /// Left, or silent too long. Never comes back under this id.
    Gone = "gone",
});

/// A member of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its id, new with each start.
    pub id: WorkerId,
    /// What it does.
    pub role: WorkerRole,
    /// For people.
    pub name: String,
    /// Program version.
    pub version: String,
    /// The operator's.
    pub labels: Value,
    /// `[{"id":"yolo11n","state":"ready"}]`.
    pub models: Value,
    /// `cpu`, `cuda:0 …`.
    pub device: Option<String>,
    /// Bytes.
    pub memory_total: Option<u64>,
    /// Bytes at the last heartbeat.
    pub memory_free: Option<u64>,
    /// Where it stands.
    pub state: WorkerState,
    /// Jobs under its lease.
    pub running_jobs: u32,
    /// When it registered.
    pub started_at: Timestamp,
    /// Last sign of life.
    pub heartbeat_at: Timestamp,
}

/// A member to register; it starts in `ready`.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// Made by the member itself.
    pub id: WorkerId,
    /// What it does.
    pub role: WorkerRole,
    /// For people.
    pub name: String,
    /// Program version.
    pub version: String,
    /// The operator's labels, `{}` if none.
    pub labels: Value,
    /// Models that it has loaded, `[]` if none.
    pub models: Value,
    /// `cpu`, `cuda:0 …`; none for engines.
    pub device: Option<String>,
    /// Bytes.
    pub memory_total: Option<u64>,
}

/// A sign of life.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Who.
    pub worker_id: WorkerId,
    /// Bytes.
    pub memory_free: Option<u64>,
    /// New list of models; none: unchanged.
    pub models: Option<Value>,
    /// Jobs that it believes to hold.
    pub holding: Vec<JobId>,
}

/// The answer to a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// False: it was declared gone. Stop, discard, register anew.
    pub alive: bool,
    /// Of the jobs that it believes to hold, those it no longer does: stop them.
    pub lost: Vec<JobId>,
    /// What is leased to it and has not begun. A lease that it does not know came with an answer that was lost, and has no
    /// deadline that would end it: give it back.
    pub not_begun: Vec<JobLease>,
}
